"""``df2s2 plot``: draw precision over recall on WIDER FACE."""

from df2s2_d2.cli import plot
from df2s2_d2.cli.program import run_script


def main() -> None:
    run_script(plot, "plot_precision_recall.py")


if __name__ == "__main__":
    main()
