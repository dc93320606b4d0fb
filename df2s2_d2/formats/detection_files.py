"""Detections in any of the formats that name images by text."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from df2s2_d2.formats import detections_jsonl
from df2s2_d2.formats.coco_results import read_coco_results
from df2s2_d2.formats.detection_rows import check_coordinates
from df2s2_d2.formats.wider_face_detections import read_event_files


def read_detections(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read detections in WIDER FACE's format of submissions, COCO's of results, or JSON Lines.

    Args:
        path: a folder of ``<event>/<image>.txt``, a zip archive of one, a JSON file whose
            ``image_id`` are the names of images, or a ``.jsonl`` file, see
            :mod:`~df2s2_d2.formats.detections_jsonl`.

    Returns:
        Name of the image, such as ``"<event>/<image>"`` -> (n, 5) float64 ``x, y, width, height,
        score`` in pixels of the original image, in the order of the file.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if it holds no detections files, a file is malformed, or its numbers can be no
            detections in pixels; the message names file and line, or the place in the file.
    """
    path = Path(path)
    if path.suffix.lower() == ".json" and path.is_file():
        detections = read_coco_results(path)
    elif path.suffix.lower() == ".jsonl" and path.is_file():
        detections = detections_jsonl.read_detections(path)
    else:
        detections = read_event_files(path)
    check_coordinates(path, detections)
    return detections
