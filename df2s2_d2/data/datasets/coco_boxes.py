"""Face boxes in COCO JSON: only ``images`` and the boxes of ``annotations`` are needed.

detectron2's own COCO reader also wants image sizes, categories and unique annotation ids, which
files with boxes alone often lack.
"""

from __future__ import annotations

import json
import logging
import math
from collections import defaultdict
from typing import Any

import numpy as np

from df2s2_d2.data.datasets.dataset_dicts import make_annotations, make_record

logger = logging.getLogger(__name__)


def load_coco_boxes(image_dir: str, json_file: str) -> list[dict[str, Any]]:
    """Load face boxes from COCO JSON as dataset dicts, without opening any image.

    Every annotation is a face, whatever its category. Annotations with ``iscrowd`` or ``ignore``
    are regions to be ignored. Boxes without an area are dropped.

    Args:
        image_dir: folder that ``file_name`` in the JSON is relative to.
        json_file: JSON with ``images`` (``id``, ``file_name``, optionally ``height`` and
            ``width``) and ``annotations`` (``image_id``, ``bbox``: x, y, width, height in pixels).

    Returns:
        One dict an image in the file's order; ``image_id`` is ``file_name`` without its extension.
        Without a list of ``annotations`` in the file, the dicts have none either.

    Raises:
        ValueError: if the file departs from the format; names the file and the place in it.
    """
    content = _read_json(json_file)
    images = _require_list(json_file, content, "images")
    if not images:
        raise ValueError(f'{json_file}, "images": expected images, found none.')
    records: dict[Any, dict[str, Any]] = {}
    image_ids = set()
    for index, image in enumerate(images):
        place = f"{json_file}, images[{index}]"
        key, path = _require_image(place, image)
        record = make_record(image_dir, path)
        if key in records or record["image_id"] in image_ids:
            raise ValueError(
                f'{place}: expected an "id" and "file_name" of its own; found {image}.'
            )
        if "height" in image and "width" in image:
            record.update(height=image["height"], width=image["width"])
        records[key] = record
        image_ids.add(record["image_id"])

    if "annotations" in content:
        _add_annotations(json_file, _require_list(json_file, content, "annotations"), records)
    return list(records.values())


def _add_annotations(
    json_file: str, annotations: list[Any], records: dict[Any, dict[str, Any]]
) -> None:
    boxes = defaultdict(list)
    ignored = defaultdict(list)
    for index, annotation in enumerate(annotations):
        place = f"{json_file}, annotations[{index}]"
        key, box = _require_box(place, annotation)
        if key not in records:
            raise ValueError(f'{place}: expected the "id" of an image; found "image_id" {key!r}.')
        boxes[key].append(box)
        ignored[key].append(bool(annotation.get("iscrowd") or annotation.get("ignore")))

    for key, record in records.items():
        record["annotations"] = make_annotations(
            np.array(boxes[key], dtype=np.float64).reshape(-1, 4),
            np.array(ignored[key], dtype=bool),
        )
    num_kept = sum(len(record["annotations"]) for record in records.values())
    logger.info(
        "%s: %d images, %d boxes; dropped %d more without an area.",
        json_file,
        len(records),
        num_kept,
        len(annotations) - num_kept,
    )


def _read_json(json_file: str) -> dict[str, Any]:
    try:
        with open(json_file, encoding="utf-8-sig") as file:
            content = json.load(file)
    except json.JSONDecodeError as error:
        place = f"{json_file}, line {error.lineno}, column {error.colno}"
        raise ValueError(f"{place}: expected JSON, found a fault in it ({error.msg}).") from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{json_file}: expected JSON in UTF-8, found other data ({error})."
        ) from None
    if not isinstance(content, dict):
        raise ValueError(
            f'{json_file}: expected an object with "images" and "annotations", '
            f"found a {type(content).__name__}."
        )
    return content


def _require_list(json_file: str, content: dict[str, Any], key: str) -> list[Any]:
    if not isinstance(content.get(key), list):
        found = type(content[key]).__name__ if key in content else "nothing"
        raise ValueError(f'{json_file}, "{key}": expected a list, found {found}.')
    return content[key]


def _require_image(place: str, image: Any) -> tuple[Any, str]:
    if isinstance(image, dict):
        key, path = image.get("id"), image.get("file_name")
        if isinstance(key, int | str) and isinstance(path, str) and path:
            return key, path
    raise ValueError(f'{place}: expected "id" and "file_name"; found {str(image)[:80]}.')


def _require_box(place: str, annotation: Any) -> tuple[Any, list[float]]:
    if isinstance(annotation, dict):
        key, box = annotation.get("image_id"), annotation.get("bbox")
        if (
            isinstance(key, int | str)
            and isinstance(box, list)
            and len(box) == 4
            and all(isinstance(value, int | float) and math.isfinite(value) for value in box)
        ):
            return key, box
    raise ValueError(
        f'{place}: expected "image_id" and "bbox" as [x, y, width, height]; '
        f"found {str(annotation)[:80]}."
    )
