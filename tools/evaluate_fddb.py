"""Score detections by the FDDB protocol: discrete and continuous rates over false positives.

python tools/evaluate_fddb.py detections.txt FDDB-folds
python tools/evaluate_fddb.py detections.txt FDDB-folds --ellipses --plot roc.png --json scores.json

Image sizes come from --image-sizes or --images; without either, image_sizes.csv and originalPics/
are looked for beside FDDB-folds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from df2s2_d2.evaluation.fddb import (
    FALSE_POSITIVE_COUNTS,
    FddbResult,
    cross_validated_ellipses,
    evaluate_fddb,
    load_folds,
    read_detections,
    read_image_headers,
    read_image_sizes,
)
from df2s2_d2.evaluation.protocol import Protocol, describe_protocol, read_protocol
from df2s2_d2.evaluation.results import results_to_json


def parse_arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(
        description="Score detections by the FDDB protocol (discrete and continuous rates)."
    )
    parser.add_argument(
        "detections",
        type=Path,
        help="file of detections, or a folder or zip archive of fold-XX-out.txt",
    )
    parser.add_argument("folds", type=Path, help="folder of FDDB-fold-XX-ellipseList.txt")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--image-sizes",
        type=Path,
        metavar="CSV",
        help="image sizes, with columns image,width,height",
    )
    sizes.add_argument(
        "--images", type=Path, metavar="FOLDER", help="originalPics, to take image sizes from"
    )
    parser.add_argument(
        "--ellipses",
        action="store_true",
        help="turn boxes into ellipses by a regressor fitted on the other folds",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw both curves (.png, .pdf)")
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        metavar="FILE",
        help="write the figures as JSON to FILE, or print them instead of the table",
    )
    return parser, parser.parse_args()


def find_image_sizes(
    arguments: argparse.Namespace, images: Iterable[str]
) -> dict[str, tuple[int, int]]:
    """Sizes from where the arguments say, or from beside the folds."""
    beside = arguments.folds.resolve().parent
    if arguments.image_sizes:
        return read_image_sizes(arguments.image_sizes)
    if arguments.images:
        return read_image_headers(arguments.images, images)
    if (beside / "image_sizes.csv").is_file():
        return read_image_sizes(beside / "image_sizes.csv")
    if (beside / "originalPics").is_dir():
        return read_image_headers(beside / "originalPics", images)
    raise ValueError(
        "image sizes are needed, as regions are cut off at the border of the image: give "
        f"--images originalPics or --image-sizes CSV (neither is in {beside})"
    )


def to_table(result: FddbResult, regions: str, protocol: Protocol | None) -> str:
    rates = result.rates()
    rows = [f"{'false positives':<15} {'discrete':>10} {'continuous':>10}"]
    rows += [
        f"{count:<15,} {rates['disc'][count]:10.5f} {rates['cont'][count]:10.5f}"
        for count in FALSE_POSITIVE_COUNTS
    ]
    rows += [
        "",
        f"scored as       {regions}",
        f"protocol        {describe_protocol(protocol)}",
        f"images          {result.num_images:9,}",
        f"faces           {result.num_faces:9,}",
        f"detections      {result.num_detections:9,}",
        f"missing images  {result.num_missing_images:9,}  (counted as images without detections)",
        f"unknown images  {result.num_unknown_images:9,}  (not in the folds; "
        f"{result.num_unknown_detections:,} detections left out)",
    ]
    return "\n".join(rows)


def main() -> None:
    parser, arguments = parse_arguments()
    regions = "given"
    try:
        folds = load_folds(arguments.folds)
        detections = read_detections(arguments.detections)
        known = [image for fold in folds.values() for image in fold if image in detections]
        sizes = find_image_sizes(arguments, known)
        if arguments.ellipses:
            detections = cross_validated_ellipses(detections, folds, sizes)
            regions = f"ellipses by a regressor, fitted in {len(folds)}-fold cross-validation"
        result = evaluate_fddb(detections, folds, sizes)
        protocol = read_protocol(arguments.detections)
        content = results_to_json(
            {"fddb": result.rates()}, result.counts(), protocol, regions=regions
        )
        if arguments.json not in (None, "-"):
            Path(arguments.json).write_text(content + "\n", encoding="utf-8")
        if arguments.plot:
            # Here, since matplotlib takes longer to import than most of this work.
            from df2s2_d2.evaluation.fddb.roc_plot import plot_roc

            plot_roc({arguments.detections.stem: result}, arguments.plot)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    print(content if arguments.json == "-" else to_table(result, regions, protocol))


if __name__ == "__main__":
    main()
