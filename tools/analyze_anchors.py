#!/usr/bin/env python3
"""``df2s2 anchors``: count the anchors that each training face matches."""

from df2s2_d2.cli import anchors
from df2s2_d2.cli.program import run_script


def main() -> None:
    run_script(anchors, "analyze_anchors.py")


if __name__ == "__main__":
    main()
