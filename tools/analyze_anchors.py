#!/usr/bin/env python3
"""Count the anchors that each training face matches, from annotations alone (DSFD §3.4, §4.2).

    python tools/analyze_anchors.py --config-file CONFIG [CONFIG ...]
    python tools/analyze_anchors.py --config-file CONFIG --annotations faces.txt \\
        --image-sizes sizes.csv --output output/anchors --opts MODEL.SHOT.ANCHORS.SCALE 3.0

Every image is augmented once as the config trains it, boxes only, and its faces are matched with
the anchors of MODEL.SHOT. Sizes of faces and anchors are square roots of areas, in pixels of the
image that enters the network. The output folder gets anchors.png and anchors.json.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from PIL import ExifTags, Image

from df2s2_d2 import load_config
from df2s2_d2.analysis.anchor_statistics import NEAR_FACTOR, AnchorStatistics, analyze
from df2s2_d2.data.datasets import load_coco_boxes, load_wider_face


def load_records(annotations: str, image_dir: str) -> list[dict[str, Any]]:
    """Dataset dicts of WIDER FACE's text or COCO JSON; no image is opened.

    Raises:
        OSError, ValueError: if the file cannot be read; names it.
    """
    is_json = annotations.lower().endswith(".json")
    records = (load_coco_boxes if is_json else load_wider_face)(image_dir, annotations)
    if any("annotations" not in record for record in records):
        raise ValueError(f"{annotations} lists images without faces: give annotated ones.")
    return records


def add_image_sizes(records: list[dict[str, Any]], sizes_file: str | None) -> None:
    """Give every record its height and width, from a table or else from the image's header.

    Args:
        records: dataset dicts; those with a size keep it.
        sizes_file: CSV with the columns image, width and height; None = read headers.

    Raises:
        OSError, ValueError: if a size is nowhere to be found; names the image.
    """
    sizes = _read_sizes(sizes_file) if sizes_file else {}
    for record in records:
        if "height" in record and "width" in record:
            continue
        if record["image_id"] in sizes:
            width, height = sizes[record["image_id"]]
        elif Path(record["file_name"]).is_file():
            with Image.open(record["file_name"]) as image:
                width, height = image.size
                # Orientations from 5 on lie on their side, and are turned when they are read.
                if image.getexif().get(ExifTags.Base.Orientation, 1) >= 5:
                    width, height = height, width
        else:
            raise ValueError(
                f"The size of {record['image_id']} is not known: {record['file_name']} does not "
                f"exist, and {sizes_file or 'there is no table of sizes that'} names it; give "
                "--images FOLDER, or --image-sizes CSV with the columns image, width and height."
            )
        record.update(width=width, height=height)


def _read_sizes(sizes_file: str) -> dict[str, tuple[int, int]]:
    sizes = {}
    with open(sizes_file, encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        for row in rows:
            try:
                width, height = int(row["width"]), int(row["height"])
                if min(width, height) <= 0:
                    raise ValueError
                sizes[str(Path(row["image"]).with_suffix(""))] = (width, height)
            except (KeyError, TypeError, ValueError):
                raise ValueError(
                    f"{sizes_file}, line {rows.line_num}: expected the columns image, width and "
                    f"height, sizes in pixels; found {list(row.values())}."
                ) from None
    return sizes


def to_table(name: str, summary: dict[str, Any]) -> str:
    """Figures of one config as a text."""
    rows = [{"size": "all", **summary["all"]}, *summary["by_size"]]
    count_names = summary["all"]["shares_by_count"]
    lines = [
        f"{name}: {summary['images']:,} images, anchor sizes "
        + " ".join(f"{size:g}" for size in summary["anchor_sizes"]),
        f"{'face size':<10}{'faces':>9}{'anchors':>9}"
        + "".join(f"{name:>7}" for name in count_names)
        + f"{'near':>7}",
    ]
    for row in rows:
        if row["faces"]:
            shares = [*row["shares_by_count"].values(), row["share_near"]]
            lines.append(
                f"{row['size']:<10}{row['faces']:>9,}{row['mean_anchors']:>9.2f}"
                + "".join(f"{share:>7.1%}" for share in shares)
            )
    return "\n".join(lines)


def plot(statistics: dict[str, AnchorStatistics], path: Path) -> None:
    """Matched anchors per face, over its size, and distances to the nearest anchor size.

    Args:
        statistics: legend entry -> figures.
        path: of the picture; its ending is the format.
    """
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    histogram, by_size, distance = figure.subplots(1, 3)
    for name, figures in statistics.items():
        summary = figures.summary()
        label = f"{name}: mean {figures.counts.mean():.2f}"
        histogram.hist(
            figures.counts,
            bins=np.arange(-0.5, 21),
            weights=np.full(len(figures.counts), 1 / len(figures.counts)),
            histtype="step",
            label=label,
        )
        rows = [row for row in summary["by_size"] if row["faces"]]
        means = [row["mean_anchors"] for row in rows]
        by_size.plot([row["size"] for row in rows], means, marker="o", label=name)
        near = summary["all"]["share_near"]
        distance.hist(
            figures.octaves_to_anchor,
            bins=np.linspace(-3, 1, 65),
            histtype="step",
            label=f"{name}: near {near:.0%}",
        )
    histogram.set(xlabel="matched anchors", ylabel="share of the faces", xlim=(-0.5, 20.5))
    histogram.yaxis.set_major_formatter(PercentFormatter(1))
    by_size.set(xlabel="size of the face in pixels", ylabel="matched anchors, mean")
    by_size.tick_params(axis="x", labelrotation=30)
    distance.set(xlabel="octaves from the nearest anchor size", ylabel="faces")
    distance.axvspan(-np.log2(NEAR_FACTOR), np.log2(NEAR_FACTOR), color="0.9", zorder=0)
    for axes in (histogram, by_size, distance):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=90)


def parse_arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", nargs="+", required=True, metavar="FILE")
    parser.add_argument(
        "--annotations",
        metavar="FILE",
        help="WIDER FACE's text or COCO JSON; else those of the first data set in DATASETS.TRAIN",
    )
    parser.add_argument("--images", metavar="FOLDER", help="where the images are, to read sizes")
    parser.add_argument(
        "--image-sizes", metavar="CSV", help="columns image, width, height: no image is opened"
    )
    parser.add_argument("--output", type=Path, default=Path("output/anchors"), metavar="FOLDER")
    parser.add_argument("--samples", type=int, metavar="N", help="only N images, spread evenly")
    parser.add_argument("--seed", type=int, default=0, help="of the augmentation (default 0)")
    parser.add_argument(
        "--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="for all configs"
    )
    return parser, parser.parse_args()


def load_images(arguments: argparse.Namespace, cfg: CfgNode) -> list[dict[str, Any]]:
    """Dataset dicts with sizes of the images that the arguments name.

    Raises:
        OSError, ValueError: if there are none.
    """
    annotations, image_dir = arguments.annotations, arguments.images
    if annotations is None:
        name = cfg.DATASETS.TRAIN[0] if cfg.DATASETS.TRAIN else ""
        if name not in DatasetCatalog:
            raise ValueError(
                f"DATASETS.TRAIN names no data set that is registered, but {name!r}: give "
                "--annotations FILE."
            )
        metadata = MetadataCatalog.get(name)
        annotations, image_dir = metadata.annotation_file, image_dir or metadata.image_dir
    records = load_records(annotations, image_dir or "")
    if arguments.samples is not None:
        if arguments.samples <= 0:
            raise ValueError(f"--samples: expected a number above 0; found {arguments.samples}.")
        chosen = np.linspace(0, len(records), arguments.samples, endpoint=False).astype(int)
        records = [records[index] for index in np.unique(chosen)]
    add_image_sizes(records, arguments.image_sizes)
    return records


def run(arguments: argparse.Namespace) -> None:
    configs = {path: load_config(path, arguments.opts) for path in arguments.config_file}
    records = load_images(arguments, next(iter(configs.values())))
    statistics = {path: analyze(cfg, records, arguments.seed) for path, cfg in configs.items()}
    summaries = {path: figures.summary() for path, figures in statistics.items()}
    for path, summary in summaries.items():
        print(to_table(path, summary), end="\n\n")
    arguments.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(summaries, indent=2) + "\n"
    (arguments.output / "anchors.json").write_text(text, encoding="utf-8")
    plot(
        {Path(path).stem: figures for path, figures in statistics.items()},
        arguments.output / "anchors.png",
    )
    print(f"In {arguments.output}/: anchors.png, anchors.json")


def main() -> None:
    parser, arguments = parse_arguments()
    try:
        run(arguments)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    # Its tensors are small: threads would mostly wait for each other.
    torch.set_num_threads(1)
    main()
