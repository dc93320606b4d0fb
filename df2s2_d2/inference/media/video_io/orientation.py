"""Pictures of a camera that was held on its side or mirrored -> upright ones."""

from __future__ import annotations

import numpy as np


def upright(image: np.ndarray, matrix: bytes | None) -> np.ndarray:
    """Turn and mirror an image as its display matrix says.

    Args:
        image: (H, W, 3).
        matrix: nine int32 in the machine's order: where FFmpeg has x and y of the picture go, row
            by row; None leaves it. What is no multiple of a quarter turn is taken for the nearest.

    Returns:
        (H, W, 3) or (W, H, 3).
    """
    if matrix is None:
        return image
    (a, b), (c, d) = np.frombuffer(matrix, np.int32).reshape(3, 3)[:2, :2].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        flips_x, flips_y = a < 0, d < 0
    else:
        image = image.transpose(1, 0, 2)
        flips_x, flips_y = c < 0, b < 0
    return np.ascontiguousarray(image[:: -1 if flips_y else 1, :: -1 if flips_x else 1])
