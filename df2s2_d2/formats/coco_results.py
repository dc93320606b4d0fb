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

from df2s2_d2.formats.detection_rows import expected_of_row, first_impossible
from df2s2_d2.formats.json_file import as_id, is_number_below, read_json, shorten
from df2s2_d2.formats.rows_by_image import concatenate_rows

_CATEGORY = 1
_LARGEST = float(np.finfo(np.float64).max)


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
    results = read_json(path)
    if not isinstance(results, list):
        raise ValueError(
            f"{path}: expected COCO's results, a list of detections, found a "
            f"{type(results).__name__}"
        )
    table = np.zeros((len(results), 5))
    rows_of: dict[str, list[int]] = defaultdict(list)
    for index, result in enumerate(results):
        image, table[index] = _parse_result(f"{path}, [{index}]", result)
        rows_of[image].append(index)
    wrong = first_impossible(table)
    if wrong is not None:
        raise ValueError(
            f"{path}, [{wrong}]: expected {expected_of_row(table[wrong])}; "
            f"found {shorten(results[wrong])}"
        )
    return {image: table[its_rows] for image, its_rows in rows_of.items()}


def _parse_result(place: str, result: Any) -> tuple[str, list[float]]:
    fields = result if isinstance(result, dict) else {}
    if "faces" in fields:
        raise ValueError(
            f"{place}: it is what df2s2 detect --save json writes, which is for people's own "
            "programs: evaluate what --save jsonl, wider or coco writes"
        )
    image, box = as_id(fields.get("image_id")), fields.get("bbox")
    numbers = [*(box if isinstance(box, list) else ()), fields.get("score")]
    is_row = len(numbers) == 5 and all(is_number_below(one, _LARGEST) for one in numbers)
    if image is None or not is_row:
        raise ValueError(
            f'{place}: expected "image_id", a whole number or a text, "bbox" as [x, y, width, '
            f'height] and "score", all finite numbers; found {shorten(result)}'
        )
    return str(image), numbers
