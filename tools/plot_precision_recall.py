"""Draw precision over recall on WIDER FACE, for sets of detections beside published curves.

python tools/plot_precision_recall.py --output curves.png curves.pdf \\
    --ground-truth eval_tools/ground_truth --detections ours=found.zip baseline=baseline/ \\
    --curves published/

A folder of published curves holds <method>_<setting>.csv with the header precision,recall. Each
picture's ending is its format. The AP of every curve is printed, with its protocol if it is known.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from df2s2_d2.evaluation import (
    PublishedCurves,
    WiderFaceResult,
    evaluate_wider_face,
    load_ground_truth,
    read_detections,
    read_published_curves,
)
from df2s2_d2.evaluation.figures import save_figure
from df2s2_d2.evaluation.protocol import describe_protocol, read_protocol
from df2s2_d2.evaluation.wider_face.ground_truth import SETTINGS
from df2s2_d2.evaluation.wider_face.precision_recall_plot import draw_precision_recall

Results = dict[str, WiderFaceResult | PublishedCurves]


def named_path(text: str) -> tuple[str, Path]:
    """NAME=PATH, taken apart."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=PATH")
    return name, Path(path)


def parse_arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument(
        "--detections",
        type=named_path,
        nargs="+",
        default=[],
        metavar="NAME=PATH",
        help="legend entry and folder or zip archive of <event>/<image>.txt",
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
    arguments = parser.parse_args()
    if not (arguments.detections or arguments.curves):
        parser.error("nothing to draw: give --detections, --curves or both")
    if arguments.detections and not arguments.ground_truth:
        parser.error("--detections are scored against --ground-truth FOLDER")
    if not 0 <= arguments.axes_from < 1:
        parser.error(f"--axes-from must lie in [0, 1), got {arguments.axes_from}")
    return parser, arguments


def collect_results(arguments: argparse.Namespace) -> tuple[Results, dict[str, str]]:
    """The curves to draw, own ones first, and what to say of each besides its AP."""
    results: Results = {}
    remarks = {}
    if arguments.detections:
        ground_truth = load_ground_truth(arguments.ground_truth)
    for name, path in arguments.detections:
        if name in results:
            raise ValueError(f"two sets of detections are called {name!r}; rename one")
        results[name] = evaluate_wider_face(read_detections(path), ground_truth)
        remarks[name] = describe_protocol(read_protocol(path))
    if arguments.curves:
        for name, curves in read_published_curves(arguments.curves).items():
            if name in results:
                raise ValueError(f"{name!r} is a published method too; rename the detections")
            results[name] = curves
            remarks[name] = "published curve"
    return results, remarks


def to_table(results: Results, remarks: dict[str, str]) -> str:
    names = [f"AP_{setting}" for setting in SETTINGS]
    width = max(map(len, results))
    rows = [f"{'':<{width}} " + " ".join(f"{name:>10}" for name in names)]
    for name, result in results.items():
        figures = (f"{result.ap[n]:10.4f}" if n in result.ap else " " * 10 for n in names)
        rows.append(f"{name:<{width}} {' '.join(figures)}  {remarks[name]}")
    return "\n".join(rows)


def main() -> None:
    parser, arguments = parse_arguments()
    try:
        results, remarks = collect_results(arguments)
        figure = draw_precision_recall(results, arguments.title, arguments.axes_from)
        for path in arguments.output:
            save_figure(figure, path)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    print(to_table(results, remarks))


if __name__ == "__main__":
    main()
