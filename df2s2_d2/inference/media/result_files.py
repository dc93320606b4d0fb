"""Faces found -> files: JSON, CSV, WIDER FACE's text and COCO's results.

Every frame is written as soon as it is added, so that a run that breaks off leaves what it found,
also if there is no more room for it, and memory does not grow with the number of frames. All
formats hold the same numbers.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from detectron2.structures import Instances

from df2s2_d2.formats.growing_files import GrowingFile, JsonArrayFile
from df2s2_d2.formats.json_file import read_json
from df2s2_d2.formats.wider_face_detections import write_detections
from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.sources import as_utf8

logger = logging.getLogger(__name__)

# Decimals: hundredths of a pixel, and enough of a score to keep the order.
_BOX_DECIMALS, _SCORE_DECIMALS = 2, 6


class ResultFile(Protocol):
    """Takes the faces of one frame after the other."""

    def add(self, frame: Frame, faces: np.ndarray) -> None:
        """Write the faces of a frame, (n, 5) ``x1, y1, x2, y2, score``."""

    def close(self) -> None:
        """Finish the file."""


class UnwritableResults(OSError):
    """A result file cannot be written any more."""


class JsonResults:
    """``detections.json``: an array of frames with ``file``, ``width``, ``height`` and ``faces``.

    A face has ``box``, XYXY in pixels, and ``score``; frames of videos have ``frame``, from 0, and
    ``time`` in seconds too. Images without faces are listed with none.
    """

    def __init__(self, folder: Path):
        self._file = JsonArrayFile(folder / "detections.json")

    def add(self, frame: Frame, faces: np.ndarray) -> None:
        height, width = frame.image.shape[:2]
        record = {"file": str(frame.source.path), **_place_in_video(frame)}
        record |= {"width": width, "height": height}
        record["faces"] = [{"box": box, "score": score} for *box, score in faces.tolist()]
        self._file.add([record])

    def close(self) -> None:
        self._file.close()


class CsvResults:
    """``detections.csv``: a row a face; frame and time are empty for images."""

    _COLUMNS = ("file", "frame", "time", "width", "height", "x1", "y1", "x2", "y2", "score")

    def __init__(self, folder: Path):
        self._file = GrowingFile(folder / "detections.csv")
        self._write([self._COLUMNS])

    def _write(self, rows: list[Sequence]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._file.append(text.getvalue())

    def add(self, frame: Frame, faces: np.ndarray) -> None:
        height, width = frame.image.shape[:2]
        place = _place_in_video(frame)
        start = [frame.source.path, place.get("frame"), place.get("time"), width, height]
        self._write([[*start, *face] for face in faces.tolist()])

    def close(self) -> None:
        self._file.close()


class WiderResults:
    """``wider/<event>/<image>.txt``, as WIDER FACE's tools read them.

    An image's event is the folder that it is in; a video is an event of which each frame, by its
    number, is an image. A second image of like name in a folder of like name gets a number.
    """

    def __init__(self, folder: Path):
        self._folder = folder / "wider"
        self._folder.mkdir(exist_ok=True)
        self._taken: set[str] = set()

    def add(self, frame: Frame, faces: np.ndarray) -> None:
        rows = faces.copy()
        rows[:, 2:4] = np.round(faces[:, 2:4] - faces[:, :2], _BOX_DECIMALS)
        write_detections(self._folder, {self._name(frame): rows})

    def _name(self, frame: Frame) -> str:
        source = frame.source
        if frame.index is not None:
            event = str(source.name.with_suffix("")).replace("/", "_")
            return f"{event}/{frame.index:06d}"
        path = Path(os.path.abspath(source.path))
        # Either sign between folders would make more of them.
        event, stem = (as_utf8(part).replace("\\", "_") for part in (path.parent.name, path.stem))
        event = event or "images"  # of an image in the root of the file system
        name, number = f"{event}/{stem}", 1
        while name in self._taken:
            number += 1
            name = f"{event}/{stem}_{number}"
        self._taken.add(name)
        return name

    def close(self) -> None:
        pass  # every image has a file of its own


class CocoResults:
    """``coco.json``, which COCO's tools read as results, and ``coco_images.json``, its images.

    ``COCO("coco_images.json").loadRes("coco.json")`` works, and so does
    ``COCO(ground_truth).loadRes("coco.json")`` if the ground truth was named here.
    """

    def __init__(self, folder: Path, ground_truth: str | os.PathLike | None = None):
        """
        Args:
            folder: for both files.
            ground_truth: COCO JSON that has the ids of the images, which are found by their
                ``file_name``: the end of an image's path, as many folders as need be. Images that
                it does not have, and all but the first for one id, are left out with a warning.
                Without it images are numbered from 1.

        Raises:
            ValueError: if the ground truth cannot be read.
        """
        self._ground_truth = ground_truth
        self._ids, self._category = {}, 1
        if ground_truth is not None:
            self._ids, self._category = _read_ids(ground_truth)
        self._num_images = self._num_unknown = self._num_doubles = 0
        self._frame_of: dict[int | str, str] = {}  # by the id that it has in the ground truth
        self._example = ("", "")
        self._results = JsonArrayFile(folder / "coco.json")
        categories = json.dumps([{"id": self._category, "name": "face"}])
        before = f'{{"categories": {categories}, "annotations": [], "images": '
        self._images = JsonArrayFile(folder / "coco_images.json", before, "}")

    def add(self, frame: Frame, faces: np.ndarray) -> None:
        image_id = self._image_id(frame)
        if image_id is None:
            return
        height, width = frame.image.shape[:2]
        name = str(frame.source.path)
        image = {"id": image_id, "file_name": name, "width": width, "height": height}
        self._images.add([image | _place_in_video(frame)])
        sizes = np.round(faces[:, 2:4] - faces[:, :2], _BOX_DECIMALS).tolist()
        self._results.add(
            [
                {
                    "image_id": image_id,
                    "category_id": self._category,
                    "bbox": [x, y, *size],
                    "score": score,
                }
                for (x, y, _, _, score), size in zip(faces.tolist(), sizes, strict=True)
            ]
        )

    def _image_id(self, frame: Frame) -> int | str | None:
        """None if the frame is to be left out."""
        if self._ground_truth is None:
            self._num_images += 1
            return self._num_images
        parts = Path(os.path.abspath(frame.source.path)).parts
        names = ("/".join(parts[start:]) for start in range(1, len(parts)))
        image_id = next((self._ids[name] for name in names if name in self._ids), None)
        if image_id is None:
            self._num_unknown += 1
        elif image_id in self._frame_of:
            self._num_doubles += 1
            self._example = str(frame), self._frame_of[image_id]
            return None
        else:
            self._frame_of[image_id] = str(frame)
        return image_id

    def close(self) -> None:
        with contextlib.closing(self._images):
            self._results.close()
        if self._num_unknown:
            logger.warning(
                "coco.json leaves out %d images that %s does not list",
                self._num_unknown,
                self._ground_truth,
            )
        if self._num_doubles:
            logger.warning(
                "coco.json leaves out %d images for whose ids it has others, such as %s for that "
                "of %s: look for faces in the folder of %s only, or put folders into its file_name",
                self._num_doubles,
                *self._example,
                self._ground_truth,
            )


_FORMATS = {"json": JsonResults, "csv": CsvResults, "wider": WiderResults, "coco": CocoResults}
FORMATS = tuple(_FORMATS)


class ResultFiles:
    """The result files of a run, closed at the end of a ``with``."""

    def __init__(
        self,
        folder: Path,
        formats: Sequence[str],
        score_threshold: float = 0.0,
        coco_ground_truth: str | os.PathLike | None = None,
    ):
        """
        Args:
            folder: where they go; made if need be.
            formats: of "json", "csv", "wider" and "coco"; may be empty.
            score_threshold: only faces with a higher score are written.
            coco_ground_truth: see :class:`CocoResults`.

        Raises:
            OSError: if the files cannot be made.
            ValueError: if the ground truth cannot be read.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.score_threshold = score_threshold
        self.num_faces = 0
        options = {"coco": {"ground_truth": coco_ground_truth}}
        self._files: list[ResultFile] = [
            _FORMATS[name](folder, **options.get(name, {})) for name in dict.fromkeys(formats)
        ]

    def add(self, frame: Frame, instances: Instances) -> None:
        """Write the faces of a frame: ``pred_boxes`` in its pixels and ``scores``.

        Raises:
            ValueError: if a number is not finite; nothing is written then.
            UnwritableResults: if a file cannot be written.
        """
        instances = instances[instances.scores > self.score_threshold]
        boxes = instances.pred_boxes.tensor.double().numpy()
        scores = instances.scores.double().numpy()
        faces = np.column_stack([boxes.round(_BOX_DECIMALS), scores.round(_SCORE_DECIMALS)])
        if not np.isfinite(faces).all():
            raise ValueError("A face has a box that is not finite: the detector is broken")
        try:
            for file in self._files:
                file.add(frame, faces)
        except OSError as error:
            raise UnwritableResults(
                f"The results end before {frame}: {error}; run again once {self.folder} takes them"
            ) from error
        self.num_faces += len(faces)

    def close(self) -> None:
        with contextlib.ExitStack() as stack:
            for file in self._files:
                stack.callback(file.close)

    def __enter__(self) -> ResultFiles:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _place_in_video(frame: Frame) -> dict:
    if frame.index is None:
        return {}
    return {"frame": frame.index, "time": round(frame.time, 3)}


def _read_ids(path: str | os.PathLike) -> tuple[dict[str, int | str], int]:
    """Ids of the images by file name, and that of the category "face", or of the only one."""
    try:
        content = read_json(path)
        images = {image["file_name"]: image["id"] for image in content["images"]}
        categories = {category["name"]: category["id"] for category in content["categories"]}
        only = next(iter(categories.values())) if len(categories) == 1 else None
        category = categories.get("face", only)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} gives no ids of images: it must be COCO JSON, whose 'images' have 'id' and "
            f"'file_name' and whose 'categories' have 'id' and 'name' ({error!r})"
        ) from error
    if category is None:
        raise ValueError(f"{path} has {len(categories)} categories, none of which is named 'face'")
    return images, category
