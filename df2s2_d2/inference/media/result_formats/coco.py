"""Faces as COCO's results, with the list of images that they are of."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from df2s2_d2.formats.growing_files import JsonArrayFile
from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.result_formats.base import (
    ResultFile,
    RunOutput,
    corner_and_size,
    place_in_video,
)
from df2s2_d2.inference.media.sources import Source

logger = logging.getLogger(__name__)


class CocoResults(ResultFile):
    """``coco.json``, which COCO's tools read as results, and ``coco_images.json``, its images.

    ``COCO("coco_images.json").loadRes("coco.json")`` works, and so does
    ``COCO(ground_truth).loadRes("coco.json")`` if the ground truth was named.

    With a ground truth images have its ids. They are found by their ``file_name``: the end of an
    image's path, as many folders as need be. Images that it does not have, and all but the first
    for one id, are left out with a warning. Without it images are numbered from 1, in a run that
    is shared out so that no two shards have a number in common.
    """

    def __init__(self, output: RunOutput, state: Mapping[str, Any] | None = None):
        self._shard = output.shard
        self._ground_truth = output.coco_ground_truth
        self._category = 1 if self._ground_truth is None else self._ground_truth.category
        self._source_of: dict[int | str, Source] = {}  # by the id that it has in the ground truth
        for source in output.sources:
            self._known_id(source)
        state = state or {}
        self._num_images = state.get("listed", 0)
        self._num_unknown, self._num_doubles = state.get("unknown", 0), state.get("doubles", 0)
        self._example: Sequence[str] = state.get("example", ("", ""))  # an image, and the other
        self._name = output.file("coco.json").name
        categories = json.dumps([{"id": self._category, "name": "face"}])
        before = f'{{"categories": {categories}, "annotations": [], "images": '
        images = output.file("coco_images.json")
        with contextlib.ExitStack() as opened:
            self._results = JsonArrayFile(output.file("coco.json"), end=state.get("results_end"))
            opened.callback(self._results.close)
            self._images = JsonArrayFile(images, before, "}", state.get("images_end"))
            opened.pop_all()

    def start(self) -> None:
        self._results.start()
        self._images.start()

    def add(self, frame: Frame, faces: np.ndarray, track_ids: np.ndarray | None) -> None:
        image_id = self._image_id(frame)
        if image_id is None:
            return
        height, width = frame.image.shape[:2]
        name = str(frame.source.path)
        image = {"id": image_id, "file_name": name, "width": width, "height": height}
        self._images.add([image | place_in_video(frame)])
        self._results.add(
            [
                {
                    "image_id": image_id,
                    "category_id": self._category,
                    "bbox": box,
                    "score": score,
                }
                for *box, score in corner_and_size(faces).tolist()
            ]
        )

    def _image_id(self, frame: Frame) -> int | str | None:
        """None if the frame is to be left out."""
        if self._ground_truth is None:
            self._num_images += 1
            return self._shard.number + (self._num_images - 1) * self._shard.count
        image_id = self._known_id(frame.source)
        if image_id is None:
            self._num_unknown += 1
        elif self._source_of[image_id] != frame.source:
            self._num_doubles += 1
            self._example = str(frame), str(self._source_of[image_id].path)
            return None
        return image_id

    def _known_id(self, source: Source) -> int | str | None:
        """The id of a source in the ground truth, which belongs to the first that asks for it."""
        if self._ground_truth is None or source.is_video:
            return None
        ids = self._ground_truth.ids
        parts = Path(os.path.abspath(source.path)).parts
        names = ("/".join(parts[start:]) for start in range(1, len(parts)))
        image_id = next((ids[name] for name in names if name in ids), None)
        if image_id is not None:
            self._source_of.setdefault(image_id, source)
        return image_id

    def state(self) -> dict[str, Any]:
        return {
            "listed": self._num_images,
            "unknown": self._num_unknown,
            "doubles": self._num_doubles,
            "example": list(self._example),
            "results_end": self._results.end,
            "images_end": self._images.end,
        }

    def sync(self) -> None:
        self._results.sync()
        self._images.sync()

    def close(self) -> None:
        with contextlib.closing(self._images):
            self._results.close()
        if self._num_unknown:
            logger.warning(
                "%s leaves out %d images that %s does not list",
                self._name,
                self._num_unknown,
                self._ground_truth.path,
            )
        if self._num_doubles:
            logger.warning(
                "%s leaves out %d images for whose ids it has others, such as %s for that "
                "of %s: look for faces in the folder of %s only, or put folders into its file_name",
                self._name,
                self._num_doubles,
                *self._example,
                self._ground_truth.path,
            )
