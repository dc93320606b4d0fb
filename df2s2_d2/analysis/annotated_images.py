"""The annotated images of a data set, with their sizes, without opening one that need not be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

from df2s2_d2.data.datasets import load_coco_boxes, load_wider_face
from df2s2_d2.formats.image_header import read_image_size
from df2s2_d2.formats.image_size_table import read_image_sizes


def load_annotated_images(
    cfg: CfgNode,
    annotations: str | None = None,
    image_dir: str | None = None,
    sizes_file: str | None = None,
    num_samples: int | None = None,
) -> list[dict[str, Any]]:
    """Dataset dicts with sizes.

    Args:
        cfg: whose first data set of DATASETS.TRAIN it is if no annotations are named.
        annotations: WIDER FACE's text or COCO JSON.
        image_dir: where the images are, to read sizes; None for the data set's own.
        sizes_file: see :func:`add_image_sizes`.
        num_samples: only so many images, spread evenly.

    Raises:
        OSError, ValueError: if there are none.
    """
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
    if num_samples is not None:
        if num_samples <= 0:
            raise ValueError(f"--samples: expected a number above 0; found {num_samples}.")
        chosen = np.linspace(0, len(records), num_samples, endpoint=False).astype(int)
        records = [records[index] for index in np.unique(chosen)]
    add_image_sizes(records, sizes_file)
    return records


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
    sizes = read_image_sizes(sizes_file) if sizes_file else {}
    for record in records:
        if "height" in record and "width" in record:
            continue
        if record["image_id"] in sizes:
            width, height = sizes[record["image_id"]]
        elif Path(record["file_name"]).is_file():
            height, width = read_image_size(record["file_name"])
        else:
            raise ValueError(
                f"The size of {record['image_id']} is not known: {record['file_name']} does not "
                f"exist, and {sizes_file or 'there is no table of sizes that'} names it; give "
                "--images FOLDER, or --image-sizes CSV with the columns image, width and height."
            )
        record.update(width=width, height=height)
