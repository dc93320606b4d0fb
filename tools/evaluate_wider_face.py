"""``df2s2 evaluate wider-face``: score detections by the WIDER FACE protocol."""

from df2s2_d2.cli import evaluate_wider_face
from df2s2_d2.cli.program import run_script


def main() -> None:
    run_script(evaluate_wider_face, "evaluate_wider_face.py")


if __name__ == "__main__":
    main()
