"""Pictures of single errors of a result, those that cost most first."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from df2s2_d2.formats.annotated_image import event_of
from df2s2_d2.pages.close_up import Outline, close_up
from df2s2_d2.pages.gallery import Card, choose_spread

from .benchmark_images import read_benchmark_image
from .wider_face.breakdown import SIZE_EDGES, size_names
from .wider_face.error_split import (
    BACKGROUND_IOU,
    DUPLICATE,
    MISSED,
    ErrorAnalysis,
    ErrorSplit,
)
from .wider_face.ground_truth import GroundTruth
from .wider_face.selection import Selection, face_sizes

LEGEND = (
    "Solid: annotated; dashed: detected. Orange: the missed face; yellow: the error, and blue its "
    "face; green: other faces, and the detection that found the face of a duplicate; grey: faces "
    "that are ignored."
)
_KEPT, _IGNORED, _MISSED_FACE, _ERROR, _ITS_FACE = (
    (0, 224, 138),
    (208, 208, 208),
    (255, 90, 31),
    (255, 230, 0),
    (90, 190, 255),
)
_MOST_OF_AN_IMAGE = 2


class ErrorGallery:
    """The errors of one setting as pictures.

    Args:
        analysis: of the detections.
        ground_truth: the faces that they were matched with.
        setting: whose faces are to be found.
        selection: only errors of these sizes are shown.
    """

    def __init__(
        self,
        analysis: ErrorAnalysis,
        ground_truth: GroundTruth,
        setting: str,
        selection: Selection,
    ):
        self._analysis = analysis
        self._truth = ground_truth
        self._kept = ground_truth.kept[setting]
        self._selection = selection
        self._split: ErrorSplit = analysis.split(self._kept)
        self._gains = analysis.gains_of_detections(self._kept)

    def most_costly(self, kind: str, count: int) -> list[int]:
        """Numbers of the errors of a kind: of faces if they are missed, else of detections.

        All missed faces cost the same; larger ones, which are easier to find, come first. Of one
        image few are chosen, as long as there are others.
        """
        numbers = np.flatnonzero(self._split.is_kind[kind])
        numbers = numbers[self._selection.has_size(self._subjects(kind, numbers))]
        if kind == MISSED:
            weights = face_sizes(self._truth.boxes[numbers])
            images = self._truth.image_index[numbers]
        else:
            weights = self._gains[numbers]
            images = self._analysis.image_index[numbers]
        order = np.argsort(-weights, kind="stable")
        chosen = choose_spread(images[order].tolist(), count, _MOST_OF_AN_IMAGE)
        return numbers[order[chosen]].tolist()

    def cards(self, kind: str, count: int, image_dir: Path) -> Iterator[Card]:
        """Pictures of the most costly errors of a kind.

        Raises:
            FileNotFoundError: if an image is missing.
            ValueError: if it cannot be read.
        """
        for number in self.most_costly(kind, count):
            yield self._card(kind, number, image_dir)

    def _subjects(self, kind: str, numbers: np.ndarray) -> np.ndarray:
        """(n, 4) the faces that errors are about; of background the detections themselves."""
        if kind == MISSED:
            return self._truth.boxes[numbers]
        face = self._analysis.face[numbers]
        boxes = self._analysis.detections[numbers, :4].copy()
        boxes[face >= 0] = self._truth.boxes[face[face >= 0]]
        return boxes

    def _card(self, kind: str, number: int, image_dir: Path) -> Card:
        is_face = kind == MISSED
        index = self._truth.image_index if is_face else self._analysis.image_index
        image = int(index[number])
        name = self._truth.images[image]
        faces = np.flatnonzero(self._truth.image_index == image)
        kept = self._kept[faces]
        outlines = [
            Outline(self._truth.boxes[faces[~kept]], _IGNORED),
            Outline(self._truth.boxes[faces[kept]], _KEPT),
        ]
        if is_face:
            box = self._truth.boxes[number]
            outlines.append(Outline(box[None], _MISSED_FACE, thickness=2))
            line = f"{box[2]:.3g} × {box[3]:.3g} px"
        else:
            box = self._analysis.detections[number, :4]
            face = self._analysis.face[number]
            if face >= 0:
                outlines.append(Outline(self._truth.boxes[face][None], _ITS_FACE))
            if kind == DUPLICATE:
                finder = self._analysis.detections[self._analysis.finder[face], :4]
                outlines.append(Outline(finder[None], _KEPT, is_dashed=True))
            outlines.append(Outline(box[None], _ERROR, is_dashed=True, thickness=2))
            line = self._describe(number)
        subject = self._subjects(kind, np.array([number]))
        size = size_names()[int(np.digitize(face_sizes(subject)[0], SIZE_EDGES))]
        return Card(
            close_up(_read(image_dir, name), box, outlines),
            f"{kind.capitalize()}: {name}",
            [name, line],
            {"event": event_of(name), "size": size},
        )

    def _describe(self, number: int) -> str:
        *_, width, height, score = self._analysis.detections[number].tolist()
        iou, face = self._analysis.iou[number], self._analysis.face[number]
        overlap = f"IoU {iou:.2f}" if face >= 0 else f"IoU < {BACKGROUND_IOU:g}"
        on_ignored = " with an ignored face" if face >= 0 and not self._kept[face] else ""
        return (
            f"score {score:.3f}, {width:.0f} × {height:.0f} px, {overlap}{on_ignored}, costs "
            f"{self._gains[number]:.1e} AP"
        )


@lru_cache(maxsize=1)  # errors of one image often follow each other
def _read(image_dir: Path, name: str) -> np.ndarray:
    return read_benchmark_image(image_dir, name)
