from __future__ import annotations

import argparse

# A program of its own, of which a copy runs anywhere: with its help, and its options.
from df2s2_d2.inference import detect_onnx
from df2s2_d2.inference.detect_onnx import __doc__, add_arguments
from df2s2_d2.models import local_file

__all__ = ["__doc__", "add_arguments", "run"]


def run(args: argparse.Namespace) -> int | None:
    args.model = local_file(args.model, "onnx")
    return detect_onnx.run(args)
