from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.inference.media.video_io.orientation import upright

ONE = 1 << 16
IMAGE = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)  # 0 1 2 above 3 4 5


@pytest.mark.parametrize(
    ("a", "b", "c", "d", "expected"),
    [
        (1, 0, 0, 1, [[0, 1, 2], [3, 4, 5]]),
        (-1, 0, 0, -1, [[5, 4, 3], [2, 1, 0]]),
        (-1, 0, 0, 1, [[2, 1, 0], [5, 4, 3]]),
        (1, 0, 0, -1, [[3, 4, 5], [0, 1, 2]]),
        (0, 1, -1, 0, [[3, 0], [4, 1], [5, 2]]),  # a quarter turn clockwise
        (0, -1, 1, 0, [[2, 5], [1, 4], [0, 3]]),
        (0, 1, 1, 0, [[0, 3], [1, 4], [2, 5]]),
        (0, -1, -1, 0, [[5, 2], [4, 1], [3, 0]]),
    ],
)
def test_all_eight_orientations(a, b, c, d, expected):
    matrix = np.array([a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30], np.int32)
    found = upright(IMAGE, matrix.tobytes())
    assert found[..., 0].tolist() == expected
    assert found.flags.c_contiguous


def test_what_is_nearly_a_quarter_turn_is_one():
    cosine, sine = round(0.05 * ONE), round(0.9987 * ONE)
    matrix = np.array([cosine, sine, 0, -sine, cosine, 0, 0, 0, 1 << 30], np.int32)
    assert upright(IMAGE, matrix.tobytes())[..., 0].tolist() == [[3, 0], [4, 1], [5, 2]]


def test_no_matrix_leaves_the_image():
    assert upright(IMAGE, None) is IMAGE
