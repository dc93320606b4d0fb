"""Draw precision over recall on WIDER FACE, for sets of detections beside published curves.

  df2s2 plot --output curves.png curves.pdf --ground-truth eval_tools/ground_truth \\
      --detections ours=found.zip baseline=baseline/ --curves published/

A folder of published curves holds <method>_<setting>.csv with the header precision,recall. Each
picture's ending is its format. The AP of every curve is printed, with its protocol if it is known.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", type=Path, nargs="+", action="extend", required=True, metavar="FILE"
    )
    parser.add_argument(
        "--detections",
        type=_named_path,
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=PATH",
        help="legend entry, and a folder or zip archive of <event>/<image>.txt or a file .jsonl",
    )
    parser.add_argument(
        "--ground-truth",
        type=Path,
        metavar="FOLDER",
        help="of the official wider_*_val.mat files; needed for detections",
    )
    parser.add_argument("--curves", type=Path, metavar="FOLDER", help="of published curves")
    parser.add_argument("--title", default="", help="above the panels")
    parser.add_argument(
        "--axes-from",
        type=float,
        default=0.0,
        metavar="X",
        help="where both axes begin, to enlarge the corner in which good detectors differ",
    )


def _named_path(text: str) -> tuple[str, Path]:
    """NAME=PATH, taken apart."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=PATH")
    return name, Path(path)


def run(args: argparse.Namespace) -> None:
    problem = None
    if not (args.detections or args.curves):
        problem = "nothing to draw: give --detections, --curves or both"
    elif args.detections and not args.ground_truth:
        problem = "--detections are scored against --ground-truth FOLDER"
    elif not 0 <= args.axes_from < 1:
        problem = f"--axes-from must lie in [0, 1), got {args.axes_from}"
    if problem:
        raise argparse.ArgumentError(None, problem)

    from df2s2_d2.evaluation.figures import save_figure
    from df2s2_d2.evaluation.wider_face.comparison import compare
    from df2s2_d2.evaluation.wider_face.precision_recall_plot import draw_precision_recall
    from df2s2_d2.evaluation.wider_face.result_table import comparison_table

    comparison = compare(args.detections, args.ground_truth, args.curves)
    figure = draw_precision_recall(comparison.results, args.title, args.axes_from)
    for path in args.output:
        save_figure(figure, path)
    print(comparison_table(comparison.results, comparison.remarks))
