"""``df2s2 report``: write one HTML file that explains a WIDER FACE result."""

from df2s2_d2.cli import report
from df2s2_d2.cli.program import run_script


def main() -> None:
    run_script(report, "report.py")


if __name__ == "__main__":
    main()
