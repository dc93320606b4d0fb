"""Matching in windows against dense matching of every anchor with every face."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.modeling.matcher import Matcher
from detectron2.structures import Boxes, pairwise_iou

from df2s2_d2.modeling.targets import BACKGROUND, IGNORED, POSITIVE, AnchorMatcher, anchor_matching
from tests.modeling import references, scenes

THRESHOLDS = [(0.4, 0.5), (0.4, 0.4), (0.3, 0.7)]
IMAGE_SIZES = [(256, 256), (130, 250), (40, 30)]


def reference_anchors(image_sizes: list[tuple[int, int]]) -> np.ndarray:
    sizes = scenes.map_sizes(scenes.padded_size(image_sizes))
    levels = references.anchor_boxes(sizes, scenes.STRIDES, 4.0, scenes.OCTAVES, scenes.RATIOS)
    return np.concatenate(levels)


def match(matcher: AnchorMatcher, image_sizes, faces_per_image):
    faces, image_index = scenes.flat(faces_per_image)
    grids = scenes.grids_of(image_sizes)
    return matcher(grids, faces, image_index, torch.tensor(image_sizes))


def random_batch(seed: int, counts: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [
        scenes.random_faces(rng, count, size)
        for count, size in zip(counts, IMAGE_SIZES, strict=True)
    ]


def crowd(seed: int) -> np.ndarray:
    return scenes.random_faces(np.random.default_rng(seed), 150, (256, 256), sides=(3, 30))


@pytest.mark.parametrize("low_quality", [True, False])
@pytest.mark.parametrize("thresholds", THRESHOLDS)
@pytest.mark.parametrize("seed, counts", [(0, (40, 12, 3)), (1, (0, 25, 1)), (2, (1, 0, 0))])
def test_equals_the_slow_reference(seed, counts, thresholds, low_quality):
    batch = random_batch(seed, counts)
    num_faces = sum(len(faces) for faces in batch)
    matches = match(AnchorMatcher(thresholds, low_quality), IMAGE_SIZES, batch)
    anchors = reference_anchors(IMAGE_SIZES)
    first_face = 0
    for image, faces in enumerate(batch):
        labels, owners, doubtful = references.match_image(
            anchors, faces.astype(float), IMAGE_SIZES[image], thresholds, low_quality
        )
        sure = ~doubtful
        assert sure.mean() > 0.9
        np.testing.assert_array_equal(matches.labels[image][sure], labels[sure])
        owners = np.where(labels == POSITIVE, owners + first_face, num_faces)
        np.testing.assert_array_equal(matches.faces[image][sure], owners[sure])
        first_face += len(faces)


@pytest.mark.parametrize("seed", [3, 4])
def test_a_crowd_equals_the_slow_reference(seed):
    faces = crowd(seed)
    matches = match(AnchorMatcher((0.4, 0.5), True), [(256, 256)], [faces])
    labels, owners, doubtful = references.match_image(
        reference_anchors([(256, 256)]), faces.astype(float), (256, 256), (0.4, 0.5), True
    )
    assert (~doubtful & (labels == POSITIVE)).sum() > 100
    np.testing.assert_array_equal(matches.labels[0][~doubtful], labels[~doubtful])
    np.testing.assert_array_equal(matches.faces[0][~doubtful], owners[~doubtful])


@pytest.mark.parametrize("low_quality", [True, False])
@pytest.mark.parametrize("thresholds", THRESHOLDS)
@pytest.mark.parametrize("seed", [5, 6])
def test_labels_equal_those_of_detectron2(seed, thresholds, low_quality):
    faces = scenes.random_faces(np.random.default_rng(seed), 40, (256, 256))
    boxes = torch.cat([grid.boxes() for grid in scenes.grids_of([(256, 256)])])
    dense = pairwise_iou(Boxes(torch.from_numpy(faces)), Boxes(boxes))
    matcher = Matcher(list(thresholds), [0, -1, 1], allow_low_quality_matches=low_quality)
    expected = matcher(dense)[1].numpy()
    labels = match(AnchorMatcher(thresholds, low_quality), [(256, 256)], [faces]).labels[0].numpy()
    *_, doubtful = references.match_image(
        boxes.double().numpy(), faces.astype(float), (256, 256), thresholds, low_quality
    )
    np.testing.assert_array_equal(labels[~doubtful], expected[~doubtful])


def test_equal_fits_are_all_taken_as_detectron2_takes_them():
    # Every 16 px anchor that holds this 4 px face whole overlaps it by 16 / 256.
    face = torch.tensor([[14.0, 14, 18, 18]])
    grids = scenes.generator(octaves=[1.0], aspect_ratios=[1.0]).grids(scenes.map_sizes((128, 128)))
    matches = AnchorMatcher((0.4, 0.5), True)(
        grids, face, torch.tensor([0]), torch.tensor([[128, 128]])
    )
    dense = pairwise_iou(Boxes(face), Boxes(torch.cat([grid.boxes() for grid in grids])))
    expected = Matcher([0.4, 0.5], [0, -1, 1], allow_low_quality_matches=True)(dense)[1]
    assert (expected == POSITIVE).sum() == 16  # centres 10, 14, 18 and 22 in x and in y
    assert torch.equal(matches.labels[0].long(), expected.long())


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_faces_below_the_thresholds_take_the_anchors_that_fit_them_best(seed):
    faces = scenes.random_faces(np.random.default_rng(seed), 80, (256, 256), sides=(2, 40))
    matches = match(AnchorMatcher((0.4, 0.5), True), [(256, 256)], [faces])
    labels, owners = matches.labels[0].numpy(), matches.faces[0].numpy()
    anchors = reference_anchors([(256, 256)])
    ious = np.stack([references.iou(anchors, face) for face in faces.astype(float)], axis=1)
    best = ious.max(axis=0)
    margin = references.IOU_MARGIN
    positive = labels == POSITIVE
    own_iou = np.where(positive, ious[np.arange(len(anchors)), owners % len(faces)], 0)

    # Whatever is positive without reaching the threshold is its face's best.
    below = positive & (ious.max(axis=1) < 0.5 - margin)
    assert below.any()
    assert (own_iou[below] >= best[owners[below]] - margin).all()
    for face in range(len(faces)):
        # One of its best anchors is the face's own, or a better fit to another face.
        fits = ious[:, face] >= best[face] - margin
        assert ((owners[fits] == face) | (own_iou[fits] >= best[face] - margin))[
            positive[fits]
        ].any()


def test_an_anchor_that_is_best_for_two_faces_goes_to_the_better_fit_then_the_earlier():
    grids = scenes.generator(strides=[32], octaves=[1.0], aspect_ratios=[1.0]).grids([(1, 1)])

    # One anchor, -48 ... 80: IoUs are (side / 128)².
    def owner(*sides):
        faces = torch.tensor([[0.0, 0, side, side] for side in sides])
        images = torch.zeros(len(sides), dtype=torch.int64)
        matches = AnchorMatcher((0.4, 0.5), True)(grids, faces, images, torch.tensor([[32, 32]]))
        assert matches.labels.tolist() == [[POSITIVE]]
        return matches.faces.item()

    assert owner(10, 20) == 1
    assert owner(20, 10) == 0
    assert owner(20, 20) == 0


def test_a_face_takes_its_best_anchor_from_a_face_that_overlaps_it_more():
    grids = scenes.generator(strides=[32], octaves=[1.0], aspect_ratios=[1.0]).grids([(1, 2)])
    # Anchors -48 ... 80 and -16 ... 112 in x, both -48 ... 80 in y. The first face fits the second
    # anchor best, but fits the first one, which the second face needs, better than that does.
    faces = torch.tensor([[-16.0, -48, 100, 80], [-48, -48, 0, 0]])
    matches = AnchorMatcher((0.4, 0.5), True)(
        grids, faces, torch.zeros(2, dtype=torch.int64), torch.tensor([[32, 64]])
    )
    assert matches.labels.tolist() == [[POSITIVE, POSITIVE]]
    assert matches.faces.tolist() == [[1, 0]]


def test_without_faces_all_is_background_except_the_padding():
    matches = match(AnchorMatcher((0.4, 0.5), True), [(128, 128), (40, 30)], [[], []])
    labels = matches.labels
    assert (labels[0] == BACKGROUND).all()
    inside = references.centered_inside(reference_anchors([(128, 128)]), (40, 30))
    assert (labels[1][inside] == BACKGROUND).all()
    assert (labels[1][~inside] == IGNORED).all()
    assert (matches.faces == 0).all()


@pytest.mark.parametrize(
    "face",
    [(-1744, -1744, 2256, 2256), (50, 100, 350, 103), (250, 3, 253, 303), (0, 0, 1, 1)],
    ids=["4000 px", "300 x 3", "3 x 300", "1 px in the corner"],
)
def test_extreme_faces_get_a_best_anchor(face):
    size = (512, 512)
    matches = match(AnchorMatcher((0.4, 0.5), True), [size], [np.array([face])])
    ious = references.iou(reference_anchors([size]), np.array(face, float))
    positive = matches.labels[0].numpy() == POSITIVE
    assert positive.any()
    np.testing.assert_allclose(ious[positive], ious.max(), rtol=1e-5)


@pytest.mark.parametrize("thresholds", THRESHOLDS)
def test_faces_at_the_edge_of_the_padding_get_an_anchor_inside(thresholds):
    size = (101, 70)  # the cells nearest to the edges have their centre beyond them
    face = np.array([[62, 93, 70, 101]])
    matches = match(AnchorMatcher(thresholds, True), [size, (256, 256)], [face, []])
    inside = references.centered_inside(reference_anchors([(256, 256)]), size)
    positive = matches.labels[0].numpy() == POSITIVE
    assert positive.any() and not (positive & ~inside).any()


def test_a_face_beyond_its_image_makes_nothing_positive():
    matches = match(
        AnchorMatcher((0.4, 0.5), True), [(256, 256)], [np.array([[2e4, 0, 2.1e4, 99]])]
    )
    assert (matches.labels == BACKGROUND).all()


@pytest.mark.parametrize(
    ("right", "label"),
    [
        (32.0, POSITIVE),  # 64 x 64 of 128 x 64 pixels: an IoU of exactly 1/2
        (31.0, IGNORED),
        (0.0, IGNORED),  # 32 x 64 pixels: exactly 1/4
        (-1.0, BACKGROUND),
    ],
)
def test_an_anchor_exactly_at_a_threshold_has_reached_it(right, label):
    grids = scenes.generator(strides=[32], octaves=[1.0], aspect_ratios=[1.0]).grids([(1, 1)])
    # One anchor, -48 ... 80 in x and y; the face lies inside it, as high as it.
    face = torch.tensor([[-32.0, -48, right, 80]])
    matches = AnchorMatcher((0.25, 0.5), False)(
        grids, face, torch.tensor([0]), torch.tensor([[32, 32]])
    )
    assert matches.labels.tolist() == [[label]]


def test_with_equal_thresholds_no_anchor_lies_between():
    grids = scenes.generator(strides=[32], octaves=[1.0], aspect_ratios=[1.0]).grids([(1, 1)])
    for right, label in [(32.0, POSITIVE), (31.9, BACKGROUND)]:
        matches = AnchorMatcher((0.5, 0.5), False)(
            grids,
            torch.tensor([[-32.0, -48, right, 80]]),
            torch.tensor([0]),
            torch.tensor([[32, 32]]),
        )
        assert matches.labels.tolist() == [[label]]


@pytest.mark.parametrize("low_quality", [True, False])
def test_without_selecting_pairs_all_is_the_same(low_quality, monkeypatch):
    """As on a GPU, where every pair of a window is computed."""
    batch = random_batch(10, (40, 12, 3))
    matcher = AnchorMatcher((0.4, 0.5), low_quality)
    selected = match(matcher, IMAGE_SIZES, batch)
    visits = []

    def visit_all(mask: torch.Tensor) -> torch.Tensor:
        visits.append(mask.numel())
        return torch.arange(mask.numel())

    monkeypatch.setattr(anchor_matching, "entries_to_visit", visit_all)
    dense = match(matcher, IMAGE_SIZES, batch)
    assert sum(visits) > 10_000
    assert torch.equal(dense.labels, selected.labels)
    assert torch.equal(dense.faces, selected.faces)


@pytest.mark.parametrize("thresholds", [(0.5, 0.4), (0.0, 0.5), (0.4, 1.1)])
def test_impossible_thresholds_are_refused(thresholds):
    with pytest.raises(ValueError, match="IOU_THRESHOLDS"):
        AnchorMatcher(thresholds, True)


_MEASURE_MEMORY = """
import resource
import numpy as np
import torch
from df2s2_d2.modeling.targets import AnchorMatcher
from tests.modeling import scenes

size, matcher = (1024, 1024), AnchorMatcher((0.4, 0.5), True)
def match(count):
    faces = scenes.random_faces(np.random.default_rng(0), count, size)
    assert len(faces) > 0.9 * count
    boxes, index = scenes.flat([faces])
    grids = scenes.grids_of([size])
    assert sum(len(grid) for grid in grids) > 500_000
    return matcher(grids, boxes, index, torch.tensor([size]))
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
match(1)
before = peak()
match(2100)
print(peak() - before)
"""


def test_a_crowd_on_half_a_million_anchors_takes_little_memory():
    pytest.importorskip("resource")
    result = subprocess.run(
        [sys.executable, "-c", _MEASURE_MEMORY],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    # MiB; a dense matrix takes 4,000, and all windows at once take 400.
    assert float(result.stdout) < 200
