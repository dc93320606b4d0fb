"""``df2s2 evaluate fddb``: score detections by the FDDB protocol."""

from df2s2_d2.cli import evaluate_fddb
from df2s2_d2.cli.program import run_script


def main() -> None:
    run_script(evaluate_fddb, "evaluate_fddb.py")


if __name__ == "__main__":
    main()
