"""Frames with faces, written by ResultFiles and read again."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.result_files import ResultFiles
from df2s2_d2.inference.media.result_formats import RESULT_FORMATS
from tests.inference.media.scenes import image_source, instances, scene

FORMATS = tuple(RESULT_FORMATS)
FACES = instances(
    [[10.123456, 20, 40.98765, 60.5], [1.0 / 3, 2.0 / 3, 7, 8.126]], [0.98765432, 0.4]
)
NOTHING = instances([], [])


def image_frame(name: str = "photo.png", folder: str = "/photos") -> Frame:
    return Frame(image_source(name, folder), scene())


def save(folder: Path, found, formats=FORMATS, **options) -> None:
    with ResultFiles(folder, formats, **options) as results:
        for frame, faces in found:
            results.add(frame, faces)


def read_json(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def read_csv(path: Path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
