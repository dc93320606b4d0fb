"""Faces found in an image, as NumPy arrays: the same from PyTorch and from ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from df2s2_d2.inference.image_input import ImageLike, as_image
from df2s2_d2.inference.media.face_regions import crop_faces
from df2s2_d2.missing_packages import with_remedy
from df2s2_d2.visualization.face_boxes import draw_faces

if TYPE_CHECKING:
    import supervision
    from detectron2.structures import Instances

# As numbers are written to files: hundredths of a pixel, and enough of a score to keep the order.
BOX_DECIMALS, SCORE_DECIMALS = 2, 6


class Face(NamedTuple):
    """One face.

    Attributes:
        xyxy: (4,) float32, left, top, right and bottom in pixels.
        score: from 0 to 1.
    """

    xyxy: np.ndarray
    score: float


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of one image, by descending score as detectors give them.

    A sequence of :class:`Face`; masks, indices and slices choose some of them:
    ``faces[faces.scores > 0.5]``, ``faces[:3]``.

    Args:
        xyxy: (N, 4) boxes: left, top, right and bottom in pixels of the upright image.
        scores: (N,), from 0 to 1.
        image_size: height and width of the image.

    Attributes:
        xyxy: float32, sharing memory with what was given if that is float32.
        scores: float32, likewise.
        image_size: (height, width).

    Raises:
        ValueError: if the shapes do not fit each other, or a number is not finite.
    """

    xyxy: np.ndarray
    scores: np.ndarray
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        boxes, scores = (np.asarray(x, dtype=np.float32) for x in (self.xyxy, self.scores))
        if boxes.size == 0 == scores.size:  # such as two empty lists
            boxes, scores = boxes.reshape(0, 4), scores.reshape(0)
        if scores.ndim != 1 or boxes.shape != (len(scores), 4):
            raise ValueError(
                f"expected boxes of shape (N, 4) and scores of shape (N,), found {boxes.shape} and "
                f"{scores.shape}"
            )
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise ValueError("a box or a score is not finite: the detector is broken")
        height, width = self.image_size
        object.__setattr__(self, "xyxy", boxes)
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "image_size", (int(height), int(width)))

    @classmethod
    def from_instances(cls, instances: Instances) -> Faces:
        """detectron2's detections, all of which are taken for faces.

        Args:
            instances: with ``pred_boxes`` and ``scores``, as a Predictor gives them.
        """
        boxes, scores = instances.pred_boxes.tensor, instances.scores
        return cls(
            boxes.detach().cpu().numpy(), scores.detach().cpu().numpy(), instances.image_size
        )

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Faces:
        """The faces of what :meth:`to_dict` gave, or of a record of ``detections.json``.

        Raises:
            ValueError: if the record is of another kind.
        """
        try:
            found = record["faces"]
            boxes, scores = [face["box"] for face in found], [face["score"] for face in found]
            return cls(boxes, scores, (record["height"], record["width"]))
        except (KeyError, TypeError) as error:
            raise ValueError(
                "expected a record with width, height and faces, each of which has a box and a "
                f"score ({error!r})"
            ) from error

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Face]:
        return map(Face, self.xyxy, self.scores.tolist())

    @overload
    def __getitem__(self, index: int) -> Face: ...

    @overload
    def __getitem__(self, index: slice | np.ndarray | list) -> Faces: ...

    def __getitem__(self, index):
        """One face by its number; several by a slice, a mask (N,) of bool, or their numbers.

        Raises:
            IndexError: if there is no such face, or a mask has another length.
        """
        if isinstance(index, (int, np.integer)) and not isinstance(index, bool):
            return Face(self.xyxy[index], float(self.scores[index]))
        if not isinstance(index, slice):
            index = np.asarray(index)
            index = index if index.size else index.astype(bool if index.dtype == bool else int)
            if index.ndim != 1:
                raise IndexError(f"expected a mask or numbers of shape (M,), found {index.shape}")
        return Faces(self.xyxy[index], self.scores[index], self.image_size)

    def __repr__(self) -> str:
        height, width = self.image_size
        return f"Faces({len(self)} in {width} x {height} pixels)"

    def to_dict(self) -> dict[str, Any]:
        """``width``, ``height`` and ``faces``, each with ``box`` (XYXY) and ``score``.

        Plain numbers, rounded as ``df2s2 detect`` writes them into ``detections.json``.
        """
        height, width = self.image_size
        boxes = self.xyxy.astype(float).round(BOX_DECIMALS).tolist()
        scores = self.scores.astype(float).round(SCORE_DECIMALS).tolist()
        faces = [{"box": box, "score": score} for box, score in zip(boxes, scores, strict=True)]
        return {"width": width, "height": height, "faces": faces}

    def to_json(self, indent: int | None = None) -> str:
        """:meth:`to_dict` as JSON, of one line unless an ``indent`` is given."""
        return json.dumps(self.to_dict(), indent=indent)

    def draw(self, image: ImageLike, image_format: str = "RGB") -> np.ndarray:
        """The image with the faces framed; confidence is the opacity of the frame.

        Args:
            image: that the faces were found in, in any form that a predictor takes.
            image_format: order of the channels of an array or tensor, and of the result: "RGB", or
                "BGR" for OpenCV.

        Returns:
            (H, W, 3) uint8.

        Raises:
            OSError, ValueError: if it is no image, or one of another size.
        """
        picture = draw_faces(self._pixels(image, image_format, "RGB"), self.xyxy, self.scores)
        return picture if image_format == "RGB" else np.ascontiguousarray(picture[:, :, ::-1])

    def crops(
        self, image: ImageLike, margin: float = 0.0, image_format: str = "RGB"
    ) -> list[np.ndarray]:
        """The faces cut out of the image.

        Args:
            image, image_format: see :meth:`draw`.
            margin: added on each side, as a share of the box's width or height.

        Returns:
            (h, w, 3) uint8 for each face that is not outside of the image; views of an array that
            was given.

        Raises:
            OSError, ValueError: see :meth:`draw`.
        """
        return crop_faces(self._pixels(image, image_format, image_format), self.xyxy, margin)

    def _pixels(self, image: ImageLike, array_format: str, image_format: str) -> np.ndarray:
        pixels = as_image(image, array_format, image_format)
        if pixels.shape[:2] != self.image_size:
            (height, width), (own_height, own_width) = pixels.shape[:2], self.image_size
            raise ValueError(
                f"the image has {width} x {height} pixels, but the faces were found in one of "
                f"{own_width} x {own_height}"
            )
        return pixels

    def to_supervision(self) -> supervision.Detections:
        """The faces as detections of the library supervision, of class 0, "face".

        Raises:
            ModuleNotFoundError: if it is not installed; says how.
        """
        try:
            import supervision
        except ModuleNotFoundError as error:
            raise with_remedy(error) from error
        return supervision.Detections(
            xyxy=self.xyxy.copy(),
            confidence=self.scores.copy(),
            class_id=np.zeros(len(self), dtype=int),
            data={"class_name": np.full(len(self), "face")},
        )
