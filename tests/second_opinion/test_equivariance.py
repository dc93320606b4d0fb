"""What becomes of targets and merged boxes when images are mirrored, or enlarged with their boxes.

Coordinates are whole numbers and anchors squares of powers of two, so that mirroring and doubling
round nothing and results have to be equal, not close.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from df2s2_d2.modeling.anchors import AnchorGrid
from df2s2_d2.modeling.multi_scale.box_voting import box_voting
from df2s2_d2.modeling.targets import AnchorMatcher
from df2s2_d2.modeling.targets.weak_masks import rasterize_weak_mask
from tests.modeling import scenes
from tests.second_opinion.random_data import NUM_DATA_SETS

SIDE = 256
STRIDES = [8, 16, 32, 64]
BLOCKS = 4
BLOCK = pytest.mark.parametrize("block", range(BLOCKS))


def seeds(block: int) -> range:
    return range(block, NUM_DATA_SETS, BLOCKS)


def grids(scale: int = 1) -> list[AnchorGrid]:
    generator = scenes.generator(
        strides=[scale * stride for stride in STRIDES], octaves=[1], aspect_ratios=[1.0]
    )
    return generator.grids([(SIDE // stride, SIDE // stride) for stride in STRIDES])


def random_faces(random: np.random.Generator) -> Tensor:
    """Whole corners inside the image, from far below the smallest anchor to the largest.

    Neither side is many times the other: of the anchors that lie within a face and so fit it
    equally well, the matching takes those near its centre.
    """
    corners = random.integers(0, SIDE - 40, size=(random.integers(1, 12), 2))
    sides = 2 ** random.uniform(1, 8, (len(corners), 1)) * random.uniform(0.7, 1.4, corners.shape)
    ends = np.minimum(corners + sides.astype(int), SIDE)
    return torch.tensor(np.hstack([corners, ends]), dtype=torch.float32)


def mirrored(boxes: Tensor, side: int = SIDE) -> Tensor:
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    return torch.stack((side - x2, y1, side - x1, y2), dim=1)


def matched(faces: Tensor, low_quality: bool, scale: int = 1) -> tuple[Tensor, Tensor]:
    matcher = AnchorMatcher((0.35, 0.5), low_quality)
    images, sizes = torch.zeros(len(faces), dtype=torch.int64), torch.tensor([[SIDE * scale] * 2])
    matches = matcher(grids(scale), faces, images, sizes)
    return matches.labels[0], matches.faces[0]


def mirrored_anchors(values: Tensor) -> Tensor:
    levels = values.split([len(grid) for grid in grids()])
    maps = zip(levels, grids(), strict=True)
    return torch.cat([m.view(grid.height, grid.width).flip(1).flatten() for m, grid in maps])


def is_decided_by_order(faces: Tensor) -> bool:
    """Whether anchors may fit two faces equally well: then the earlier face takes them."""
    return len(torch.unique((faces[:, 2:] - faces[:, :2]).prod(dim=1))) < len(faces)


@BLOCK
@pytest.mark.parametrize("low_quality", [True, False])
def test_matches_are_mirrored_with_the_image(block, low_quality):
    num_positive = 0
    for seed in seeds(block):
        faces = random_faces(np.random.default_rng(seed))
        labels, owners = matched(faces, low_quality)
        other_labels, other_owners = matched(mirrored(faces), low_quality)
        assert torch.equal(mirrored_anchors(other_labels), labels), seed
        assert torch.equal(mirrored_anchors(other_owners), owners), seed
        num_positive += int((labels == 1).sum())
    assert num_positive > len(seeds(block))


@BLOCK
@pytest.mark.parametrize("low_quality", [True, False])
def test_matches_stay_when_image_faces_and_anchors_double(block, low_quality):
    for seed in seeds(block):
        faces = random_faces(np.random.default_rng(seed))
        labels, owners = matched(faces, low_quality)
        other_labels, other_owners = matched(2 * faces, low_quality, scale=2)
        assert torch.equal(other_labels, labels) and torch.equal(other_owners, owners), seed


@BLOCK
def test_matches_do_not_depend_on_the_order_of_faces_that_fit_differently(block):
    num_compared = 0
    for seed in seeds(block):
        random = np.random.default_rng(seed)
        faces = random_faces(random)
        if is_decided_by_order(faces):
            continue
        order = torch.from_numpy(random.permutation(len(faces)))
        labels, _ = matched(faces, low_quality=False)
        other_labels, _ = matched(faces[order], low_quality=False)
        assert torch.equal(other_labels, labels), seed
        num_compared += 1
    assert num_compared > len(seeds(block)) // 3


def painted(faces: Tensor, grid: AnchorGrid, side: int = SIDE) -> Tensor:
    chosen = torch.ones(len(faces), dtype=torch.bool)
    images = torch.zeros(len(faces), dtype=torch.int64)
    return rasterize_weak_mask(grid, faces, chosen, images, torch.tensor([[side, side]]))[0]


@BLOCK
@pytest.mark.parametrize("level", range(len(STRIDES)))
def test_weak_masks_are_mirrored_and_doubled_with_the_image(block, level):
    for seed in seeds(block):
        # Edges and centres lie on no centre of a cell and not in the midst of two.
        faces = random_faces(np.random.default_rng(seed)) + torch.tensor([0.25, 0.25, 0.5, 0.5])
        mask = painted(faces, grids()[level])
        assert torch.equal(painted(mirrored(faces), grids()[level]).flip(1), mask), seed
        assert torch.equal(painted(2 * faces, grids(2)[level], 2 * SIDE), mask), seed
        assert mask.any()


def votes(boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    merged, merged_scores, _ = box_voting(boxes, scores, torch.zeros(len(boxes)).long(), 0.3)
    return merged, merged_scores


@BLOCK
def test_merged_boxes_are_mirrored_doubled_and_reordered_with_the_boxes(block):
    num_merged = 0
    for seed in seeds(block):
        random = np.random.default_rng(seed)
        faces = random_faces(random)
        looks = torch.cat([faces, faces + torch.from_numpy(random.integers(-2, 3, faces.shape))])
        looks = looks[(looks[:, 2:] > looks[:, :2]).all(dim=1)].float()
        scores = torch.from_numpy(random.permutation(len(looks)) + 1.0).float() / (len(looks) + 1)
        merged, merged_scores = votes(looks, scores)
        num_merged += len(looks) - len(merged)
        for changed, back in (
            (mirrored(looks), mirrored),
            (2 * looks, lambda boxes: boxes / 2),
        ):
            other, other_scores = votes(changed, scores)
            torch.testing.assert_close(back(other), merged, rtol=0, atol=1e-3)
            assert torch.equal(other_scores, merged_scores), seed
        order = torch.from_numpy(random.permutation(len(looks)))
        other, other_scores = votes(looks[order], scores[order])
        torch.testing.assert_close(other, merged, rtol=0, atol=1e-3)
        assert torch.equal(other_scores, merged_scores), seed
    assert num_merged > 2 * len(seeds(block))
