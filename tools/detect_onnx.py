#!/usr/bin/env python3
"""``df2s2 detect-onnx``: find faces by an ONNX file."""

from df2s2_d2.cli import detect_onnx
from df2s2_d2.cli.program import run_script


def main() -> None:
    run_script(detect_onnx, "detect_onnx.py")


if __name__ == "__main__":
    main()
