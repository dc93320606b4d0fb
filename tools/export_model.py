#!/usr/bin/env python3
"""``df2s2 export``: write a trained detector as an ONNX or TorchScript file."""

from df2s2_d2.cli import export
from df2s2_d2.cli.program import run_script


def main() -> None:
    run_script(export, "export_model.py")


if __name__ == "__main__":
    main()
