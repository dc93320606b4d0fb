"""Arguments that the commands on detections have in common."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_wider_face_files(parser: argparse.ArgumentParser) -> None:
    """Add detections on WIDER FACE and the ground truth, by their places."""
    parser.add_argument(
        "detections",
        type=Path,
        help="folder of <event>/<image>.txt, a zip archive of one, COCO's results as .json, or "
        ".jsonl of `df2s2 detect`",
    )
    parser.add_argument(
        "ground_truth", type=Path, help="folder of the official wider_*_val.mat files"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``; "-" prints the results."""
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        metavar="FILE",
        help="write the figures as JSON to FILE, or print them instead of the table",
    )


def write_json(args: argparse.Namespace, text: str) -> None:
    """Write the results to the file that ``--json`` names, if it names one."""
    if args.json not in (None, "-"):
        Path(args.json).write_text(text + "\n", encoding="utf-8")
