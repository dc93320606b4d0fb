#!/usr/bin/env python3
"""``df2s2 detect``: find the faces in images, videos, streams and camera pictures."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from df2s2_d2.cli import detect
from df2s2_d2.cli.program import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run(detect, "demo.py", arguments, "demo.py")


if __name__ == "__main__":
    sys.exit(main())
