from __future__ import annotations

import numpy as np
import torch

from df2s2_d2.modeling.boxes import round_outward


def test_rounding_outward_by_hand():
    boxes = torch.tensor([[1.2, 3.9, 4.1, 5.9], [2.0, 2.0, 5.0, 6.0], [0.5, 0.5, 0.6, 7.5]])
    # Widths 2.9 -> 3 and heights 2.0 -> 2 from the rounded corner, and so on.
    expected = [[1, 3, 4, 5], [2, 2, 5, 6], [0, 0, 1, 7]]
    np.testing.assert_array_equal(round_outward(boxes), expected)
