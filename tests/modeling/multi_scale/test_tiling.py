"""Tiles cover their image, stay inside the budget, and show small faces whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from df2s2_d2.modeling.multi_scale.tiling import Tiles, padded_size


@pytest.mark.parametrize(
    "size", [(1, 1), (600, 800), (601, 3000), (3000, 130), (2500, 2500), (1409, 1867), (128, 9000)]
)
@pytest.mark.parametrize("max_pixels, overlap", [(640 * 640, 256), (1_000_000, 100)])
def test_tiles_cover_the_image_overlap_and_fit_the_budget(size, max_pixels, overlap):
    tiles = Tiles(size, max_pixels, overlap, divisor=128)
    seen = np.zeros(size, int)
    for left, top, right, bottom in tiles.corners.tolist():
        assert 0 <= left < right <= size[1] and 0 <= top < bottom <= size[0]
        assert left % 128 == 0 and top % 128 == 0
        padded = [-(-side // 128) * 128 for side in (bottom - top, right - left)]
        assert padded[0] * padded[1] <= max_pixels
        seen[top:bottom, left:right] += 1
    assert seen.min() == 1
    for axis, (start, end) in enumerate(((1, 3), (0, 2))):
        spans = sorted({(c[start], c[end]) for c in tiles.corners.tolist()})
        assert spans[0][0] == 0 and spans[-1][1] == size[axis]
        for (_, before), (after, _) in zip(spans, spans[1:], strict=False):
            assert before - after >= overlap


def test_image_inside_the_budget_is_one_tile():
    assert Tiles((640, 512), 640 * 512, 256, 128).corners.tolist() == [[0, 0, 512, 640]]
    assert len(Tiles((640, 513), 640 * 512, 200, 128)) > 1  # padded to 640 x 640


def test_tiles_are_no_larger_than_their_number_needs():
    corners = Tiles((1728, 2304), 4_000_000, 256, 128).corners.tolist()
    assert corners == [[0, 0, 1280, 1728], [1024, 0, 2304, 1728]]


def test_budget_too_small_for_the_overlap_is_an_error():
    with pytest.raises(ValueError, match="262144 pixels or more"):
        Tiles((600, 800), 384 * 384 - 1, 300, 128)
    assert len(Tiles((600, 800), 262144, 300, 128)) > 1


def test_each_box_is_selected_whole_from_some_tile():
    tiles = Tiles((600, 3000), 640 * 640, 256, 128)
    rng = np.random.default_rng(0)
    side = rng.uniform(2, 0.75 * 256, (2000, 1))
    corner = rng.uniform(0, 1, (2000, 2)) * ([3000, 600] - side)
    boxes = torch.tensor(np.concatenate((corner, corner + side), axis=1), dtype=torch.float32)
    selected = torch.stack([tiles.selects(boxes, i, False) for i in range(len(tiles))], dim=1)
    corners = tiles.corners.float()
    inside = (boxes[:, None, :2] >= corners[:, :2]) & (boxes[:, None, 2:] <= corners[:, 2:])
    assert selected.any(dim=1).all()
    assert inside.all(dim=2)[selected].all()


def test_what_every_tile_cuts_is_kept_on_demand():
    tiles = Tiles((600, 3000), 640 * 640, 256, 128)
    left, _, right, _ = tiles.corners[1].tolist()
    across = torch.tensor([[left, 50.0, right, 550.0]])
    assert not tiles.selects(across, 1, keep_cut=False).any()
    assert tiles.selects(across, 1, keep_cut=True).all()
    # The right half of a small face, cut by the second tile, which the first one shows whole.
    half = torch.tensor([[left, 50.0, left + 20.0, 90.0]])
    assert tiles.selects(half, 0, keep_cut=True).all()
    assert not tiles.selects(half, 1, keep_cut=True).any()


def test_sides_are_padded_to_multiples():
    assert padded_size((1, 128), 128) == (128, 128)
    assert padded_size((129, 700), 128) == (256, 768)
    assert padded_size((5, 7), 1) == (5, 7)
