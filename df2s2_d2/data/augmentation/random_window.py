"""Windows of random size and shape that show faces at every size a test may bring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from detectron2.data import transforms as T

from df2s2_d2.data.augmentation.square_window import SquareWindowTransform

# The smallest window around a face, as a share of the short side: a face of a few pixels is not
# enlarged to hundreds.
_MIN_FACE_SCALE = 0.08
# Of the windows that are a share of the image, those that lie around a face.
_AROUND_FACE_PROB = 0.8
# Of a face larger than its window, at least this share of the window is filled on either side of
# the face's centre.
_LEAST_FILLED = 0.45


class RandomWindow(T.Augmentation):
    """A random window, mostly around a face, stretched to a square.

    The window's side, the root of its area, is chosen in one of two ways: so that a random face
    gets a size that is uniform in its logarithm, or as a share of the image's short side, uniform
    likewise. Windows larger than the image show it shrunk, with a constant colour around it, as
    SCRFD's crops of up to twice the image do. The window is wider than high or the other way
    round, so that faces become slimmer or broader, as they are in photographs squeezed to another
    shape.

    The window lies at a random place around the face, which it shows whole if it can, beyond the
    image no further than its size makes it. Without a face, and in a fifth of the windows that are
    a share of the image, it lies anywhere: so that background is seen, too.

    Sizes are square roots of areas.
    """

    decides_by_size = True

    def __init__(
        self,
        output_size: int,
        pad_value: Sequence[float],
        *,
        scale_range: tuple[float, float] = (0.3, 2.0),
        face_sizes: tuple[float, float] = (8.0, 128.0),
        face_prob: float = 0.5,
        squeeze_range: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        """
        Args:
            output_size: side of the result in pixels.
            pad_value: colour outside the image, a value for each channel.
            scale_range: of the window's side as a share of the image's short side; its upper end
                also bounds windows that are chosen by a face.
            face_sizes: range of the size that a face gets, in pixels of the result.
            face_prob: probability that the side is chosen by a face, if there are any.
            squeeze_range: of the factor on the faces' height / width.

        Raises:
            ValueError: if a range is empty or not above 0, or the result has no size.
        """
        super().__init__()
        if output_size <= 0:
            raise ValueError(
                "INPUT.RANDOM_WINDOW needs INPUT.RESIZE_SQUARE_TRAIN above 0, the side of the "
                f"images that windows become; found {output_size}."
            )
        ranges = {"SCALE": scale_range, "FACE_SIZES": face_sizes, "SQUEEZE": squeeze_range}
        for name, (low, high) in ranges.items():
            if not 0 < low <= high < np.inf:
                raise ValueError(
                    f"INPUT.RANDOM_WINDOW.{name}: expected a range above 0; found {low} to {high}."
                )
        if not 0 <= face_prob <= 1:
            raise ValueError(
                f"INPUT.RANDOM_WINDOW.FACE_PROBABILITY: expected 0 to 1; found {face_prob}."
            )
        self.output_size = output_size
        self.pad_value = tuple(pad_value)
        self.scale_range = scale_range
        self.face_sizes = face_sizes
        self.face_prob = face_prob
        self.squeeze_range = squeeze_range

    def get_transform(self, image: np.ndarray, boxes: np.ndarray | None) -> SquareWindowTransform:
        """Draw a window.

        Args:
            image: (H, W, 3).
            boxes: (N, 4) corners of the faces in pixels; None = not known.
        """
        image_size = np.array(image.shape[1::-1], dtype=np.float64)
        short_side = image_size.min()
        face = self._draw_face(boxes)
        if face is not None and np.random.uniform() < self.face_prob:
            face_size = np.sqrt((face[2:] - face[:2]).prod())
            side = face_size * self.output_size / _log_uniform(*self.face_sizes)
            side = min(max(side, _MIN_FACE_SCALE * short_side), self.scale_range[1] * short_side)
        else:
            side = _log_uniform(*self.scale_range) * short_side
            if np.random.uniform() >= _AROUND_FACE_PROB:
                face = None
        stretch = np.sqrt(_log_uniform(*self.squeeze_range))
        window_size = side * np.array([stretch, 1 / stretch])

        # Per axis: inside the image (or around a smaller one), and around the face, or as much of
        # it around its centre as a smaller window shows.
        room = image_size - window_size
        low, high = room.clip(max=0), room.clip(min=0)
        if face is not None:
            start, end = face.reshape(2, 2).clip(0, image_size)
            centre = (start + end) / 2
            margin = np.minimum((end - start) / 2, _LEAST_FILLED * window_size)
            low = np.maximum(low, centre + margin - window_size)
            high = np.minimum(high, centre - margin)
        x0, y0 = np.random.uniform(low, high)
        return SquareWindowTransform(x0, y0, window_size, self.output_size, self.pad_value)

    def _draw_face(self, boxes: np.ndarray | None) -> np.ndarray | None:
        """The corners of a random face that has an area, None if there is none."""
        if boxes is None:
            return None
        faces = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
        if len(faces) == 0:
            return None
        return faces[np.random.randint(len(faces))].astype(np.float64)


def _log_uniform(low: float, high: float) -> float:
    return float(np.exp(np.random.uniform(np.log(low), np.log(high))))
