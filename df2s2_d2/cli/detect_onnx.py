from __future__ import annotations

# A program of its own, of which a copy runs anywhere: with its help, and its options.
from df2s2_d2.inference.detect_onnx import __doc__, add_arguments, run

__all__ = ["__doc__", "add_arguments", "run"]
