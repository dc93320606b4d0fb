"""``df2s2 submission``: pack detections into a checked archive for WIDER FACE's test server."""

from df2s2_d2.cli import submission
from df2s2_d2.cli.program import run_script


def main() -> None:
    run_script(submission, "make_submission.py")


if __name__ == "__main__":
    main()
