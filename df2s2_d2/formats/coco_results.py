"""Detections in COCO's format of results: one JSON file, in which images may have any name.

It is a list of detections with ``image_id``, ``category_id``, ``bbox`` (x, y, width, height in
pixels) and ``score``. Images without detections do not appear in it.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from df2s2_d2.formats.rows_by_image import concatenate_rows

_CATEGORY = 1


def write_coco_results(path: str | os.PathLike, detections: Mapping[str | int, np.ndarray]) -> None:
    """Write detections, one a line.

    Numbers are written so that reading them back gives the same float64 values.

    Args:
        path: of the file; its folder is made if need be.
        detections: name or number of the image -> (n, 5) ``x, y, width, height, score`` in any
            order; the rows of an image are written by descending score.

    Raises:
        ValueError: if an array is not as above; the message names the image.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        separator = "["
        for image, rows in detections.items():
            _, rows = concatenate_rows([(str(image), rows)], 5)
            for *box, score in rows[np.argsort(-rows[:, 4], kind="stable")].tolist():
                result = {"image_id": image, "category_id": _CATEGORY, "bbox": box, "score": score}
                file.write(f"{separator}\n{json.dumps(result)}")
                separator = ","
        file.write("[]\n" if separator == "[" else "\n]\n")


def read_coco_results(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read detections, of whatever category.

    Args:
        path: of the file.

    Returns:
        Name of the image, its ``image_id`` as text -> (n, 5) float64 ``x, y, width, height,
        score`` in pixels, in the order of the file.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it departs from the format; the message names the file and the place in it.
    """
    try:
        results = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}); write it again") from error
    if not isinstance(results, list):
        raise ValueError(
            f"{path}: expected COCO's results, a list of detections, found a "
            f"{type(results).__name__}"
        )
    rows: dict[str, list[list[float]]] = defaultdict(list)
    for index, result in enumerate(results):
        image, row = _parse_result(f"{path}, [{index}]", result)
        rows[image].append(row)
    return {image: np.array(its_rows, np.float64) for image, its_rows in rows.items()}


def _parse_result(place: str, result: Any) -> tuple[str, list[float]]:
    try:
        row = [float(value) for value in (*result["bbox"], result["score"])]
        image = result["image_id"]
    except (KeyError, OverflowError, TypeError, ValueError):
        row, image = [], None
    if len(row) != 5 or not np.isfinite(row).all() or not isinstance(image, str | int):
        raise ValueError(
            f'{place}: expected "image_id", "bbox" as [x, y, width, height] and "score", all '
            f"finite; found {str(result)[:80]}"
        )
    return str(image), row
