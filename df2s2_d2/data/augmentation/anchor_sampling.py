"""Anchor-based sampling: crops that bring a face to a random anchor's size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from detectron2.data import transforms as T

from df2s2_d2.data.augmentation.crops import RandomSquareCrop
from df2s2_d2.data.augmentation.square_window import SquareWindowTransform


class AnchorSampling(T.Augmentation):
    """Anchor-based sampling (DSFD §3.4, after PyramidBox's data-anchor-sampling).

    A random face gets a random size: that of an anchor, at most one step larger than the anchor
    nearest to the face, times a factor between a half and two that is uniform in its logarithm.
    The crop is the square that gives the face this size once it is resized to ``output_size``. It
    lies at a random place around the face, beyond the image no further than its side makes it; a
    face larger than the crop fills it and keeps its centre in it. An image without faces gives a
    square of its short side at a random place.

    Sizes are square roots of areas.
    """

    decides_by_size = True

    def __init__(
        self,
        anchor_sizes: Sequence[float],
        output_size: int,
        pad_value: Sequence[float],
        min_face_size: float = 0.0,
    ) -> None:
        """
        Args:
            anchor_sizes: ascending, in pixels of the result.
            output_size: side of the result in pixels.
            pad_value: colour outside the image, a value for each channel.
            min_face_size: faces with a side below this many pixels of the image are chosen only
                where there are no others.

        Raises:
            ValueError: if there are no sizes to choose from, or none to give the result.
        """
        super().__init__()
        if not _are_ascending_sizes(anchor_sizes):
            raise ValueError(
                "INPUT.ANCHOR_SAMPLING.ANCHOR_SIZES: expected ascending sizes above 0; "
                f"found {anchor_sizes}."
            )
        if output_size <= 0:
            raise ValueError(
                "INPUT.ANCHOR_SAMPLING needs INPUT.RESIZE_SQUARE_TRAIN above 0, the side of the "
                f"images that anchor sizes are measured in; found {output_size}."
            )
        self.anchor_sizes = anchor_sizes
        self.output_size = output_size
        self.pad_value = tuple(pad_value)
        self.min_face_size = min_face_size

    def get_transform(self, image: np.ndarray, boxes: np.ndarray | None) -> T.Transform:
        """Draw a crop.

        Args:
            image: (H, W, 3).
            boxes: (N, 4) corners of the faces in pixels; None = not known.
        """
        image_size = np.array(image.shape[1::-1], dtype=np.float64)
        faces = self._eligible_faces(boxes, image_size)
        if len(faces) == 0:
            return RandomSquareCrop(1.0, 1.0).get_transform(image, None)
        start, end = faces[np.random.randint(len(faces))].reshape(2, 2)
        face_size = np.sqrt((end - start).prod())
        side = face_size * self.output_size / self._draw_target(face_size)

        # Per axis: around the face (or inside a larger one, around its centre), and inside the
        # image (or around a smaller one).
        centre, room = (start + end) / 2, image_size - side
        low = np.maximum.reduce([np.minimum(start, end - side), centre - side, room.clip(max=0)])
        high = np.minimum.reduce([np.maximum(start, end - side), centre, room.clip(min=0)])
        x0, y0 = np.random.uniform(low, high)
        return SquareWindowTransform(x0, y0, side, self.output_size, self.pad_value)

    def _eligible_faces(self, boxes: np.ndarray | None, image_size: np.ndarray) -> np.ndarray:
        """(M, 4) corners of the faces to choose from, clipped to the image."""
        if boxes is None:
            return np.empty((0, 4))
        faces = np.asarray(boxes, dtype=np.float64).clip(0, np.tile(image_size, 2))
        short_sides = (faces[:, 2:] - faces[:, :2]).min(axis=1)
        large_enough = short_sides >= self.min_face_size
        visible = short_sides > 0
        return faces[visible & large_enough if (visible & large_enough).any() else visible]

    def _draw_target(self, face_size: float) -> float:
        distances = np.abs(np.array(self.anchor_sizes) - face_size)
        num_choices = min(np.argmin(distances) + 2, len(self.anchor_sizes))
        anchor_size = self.anchor_sizes[np.random.randint(num_choices)]
        return anchor_size * 2 ** np.random.uniform(-1, 1)


def _are_ascending_sizes(values: Sequence[float]) -> bool:
    if not values or not all(isinstance(value, int | float) for value in values):
        return False
    sizes = np.array([0.0, *values])
    return bool(np.isfinite(sizes).all() and (np.diff(sizes) > 0).all())
