"""One shot: its targets and its losses against the slow references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from detectron2.layers import ShapeSpec

from df2s2_d2 import load_config
from df2s2_d2.modeling import HeadOutputs, Shot
from df2s2_d2.modeling.targets import BACKGROUND, IGNORED, POSITIVE, GroundTruth
from tests.modeling import references, scenes

IMAGE_SIZES = [(128, 128), (101, 90)]
FACES = [
    [[10.3, 12.1, 33.2, 44.9], [60.4, 50.7, 121.3, 127.2], [5.1, 80.6, 22.4, 103.7]],
    [[30.9, 20.2, 57.6, 50.3]],
]
REGIONS = [[[61.3, 3.2, 110.7, 41.9]], [[1.3, 55.7, 44.1, 99.3]]]
NAMES = [f"p{level}" for level in range(2, 8)]
SHAPES = {name: ShapeSpec(channels=8, stride=2 ** int(name[1])) for name in NAMES}


def make_shot(overrides: tuple = (), **options) -> Shot:
    pairs = zip(overrides[::2], overrides[1::2], strict=True)
    keys = [part for key, value in pairs for part in (f"MODEL.SHOT.{key}", value)]
    cfg = load_config(overrides=["MODEL.SHOT.HEAD.CONV_DIM", 8, *keys])
    return Shot(cfg.MODEL.SHOT, SHAPES, **options)


def make_outputs(masks: bool = True, seed: int = 0) -> HeadOutputs:
    generator = torch.Generator().manual_seed(seed)

    def random_maps(channels: int, scale: float) -> list[torch.Tensor]:
        return [
            (scale * torch.randn(2, channels, *size, generator=generator)).requires_grad_()
            for size in scenes.map_sizes((128, 128))
        ]

    return HeadOutputs(
        random_maps(6, 2.0), random_maps(24, 0.5), random_maps(1, 2.0) if masks else None
    )


def ground_truth(faces=FACES, regions=REGIONS, image_sizes=IMAGE_SIZES) -> GroundTruth:
    return GroundTruth(*scenes.flat(faces), *scenes.flat(regions), torch.tensor(image_sizes))


def reference_targets(assignment: str = "matching"):
    """Per level and image: labels, owners and anchors; masks and participating cells."""
    sizes = scenes.map_sizes((128, 128))
    levels = references.anchor_boxes(sizes, scenes.STRIDES, 4.0, scenes.OCTAVES, scenes.RATIOS)
    starts = np.cumsum([0, *map(len, levels)])
    anchor_targets, mask_targets = [], []
    per_image = []
    for faces, regions, image_size in zip(FACES, REGIONS, IMAGE_SIZES, strict=True):
        anchors = np.concatenate(levels)
        labels, owners, doubtful = references.match_image(
            anchors, np.array(faces), image_size, (0.4, 0.5), True
        )
        assert not doubtful.any()
        in_region = references.half_inside_one(anchors, np.array(regions))
        assert (in_region & (labels == BACKGROUND)).any()
        labels[in_region & (labels != POSITIVE)] = IGNORED
        per_image.append((labels, owners))
    for level, (size, stride) in enumerate(zip(sizes, scenes.STRIDES, strict=True)):
        rows = slice(starts[level], starts[level + 1])
        anchor_targets.append([(labels[rows], owners[rows]) for labels, owners in per_image])
        masks = []
        for image, image_size in enumerate(IMAGE_SIZES):
            faces, (labels, owners) = np.array(FACES[image]), anchor_targets[level][image]
            if assignment == "matching":
                chosen = sorted(set(owners[labels == POSITIVE]))
            else:
                chosen = [
                    index
                    for index, face in enumerate(faces)
                    if references.level_of_scale(face, scenes.STRIDES, level)
                ]
            mask = references.weak_mask(faces[chosen], size, stride, image_size)
            participating = np.zeros(size, bool)
            for row, column in np.ndindex(size):
                x, y = (column + 0.5) * stride, (row + 0.5) * stride
                ignored = any(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in REGIONS[image])
                inside = x < image_size[1] and y < image_size[0]
                participating[row, column] = inside and not ignored
            masks.append((mask, participating))
        mask_targets.append(masks)
    return levels, anchor_targets, mask_targets


def reference_losses(outputs: HeadOutputs, normalizer: str, assignment: str) -> dict[str, float]:
    """Eq. 2 without its weights: loops over levels, images, anchors and cells."""
    levels, anchor_targets, mask_targets = reference_targets(assignment)
    cls_sums, box_sums, positives, participants = np.zeros((4, len(levels)))
    mask_total = 0.0
    for level, anchors in enumerate(levels):
        logits = outputs.logits[level].detach().permute(0, 2, 3, 1).reshape(2, -1).tolist()
        deltas = outputs.deltas[level].detach().permute(0, 2, 3, 1).reshape(2, -1, 4).tolist()
        mask_logits = outputs.masks[level].detach()[:, 0].numpy().astype(float)
        pixel_losses = []
        for image in range(2):
            labels, owners = anchor_targets[level][image]
            for index in np.flatnonzero(labels != IGNORED):
                positive = labels[index] == POSITIVE
                cls_sums[level] += references.focal(logits[image][index], positive)
                participants[level] += 1
                if positive:
                    code = references.box_code(anchors[index], FACES[image][owners[index]])
                    positives[level] += 1
                    for delta, target in zip(deltas[image][index], code, strict=True):
                        box_sums[level] += references.smooth_l1(delta - target, 1 / 9)
            mask, participating = mask_targets[level][image]
            pixel_losses += [
                references.sigmoid_cross_entropy(mask_logits[image][cell], mask[cell])
                for cell in zip(*np.nonzero(participating), strict=True)
            ]
        mask_total += np.mean(pixel_losses)
    at_least_one = np.maximum(positives, 1)
    divisors = {
        "global": (positives.sum(), positives.sum()),
        "per_level": (at_least_one, at_least_one),
        "literal": (participants, at_least_one),
        "participating": (participants.sum(), positives.sum()),
    }[normalizer]
    return {
        "loss_cls": (cls_sums / divisors[0]).sum(),
        "loss_box_reg": (box_sums / divisors[1]).sum(),
        "loss_mask": mask_total,
    }


@pytest.mark.parametrize("normalizer", ["global", "per_level", "literal", "participating"])
@pytest.mark.parametrize("assignment", ["matching", "scale"])
def test_losses_equal_the_slow_reference(normalizer, assignment):
    shot = make_shot(
        ("LOSS.NORMALIZER", normalizer, "WEAK_MASK.ASSIGNMENT", assignment)
        + ("LOSS.BOX_REG_WEIGHT", 0.7, "WEAK_MASK.LOSS_WEIGHT", 0.3)
    )
    outputs = make_outputs()
    losses = shot.losses(outputs, ground_truth())
    expected = reference_losses(outputs, normalizer, assignment)
    expected["loss_box_reg"] *= 0.7
    expected["loss_mask"] *= 0.3
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value, rel=1e-4), name


@pytest.mark.parametrize("assignment", ["matching", "scale"])
def test_mask_targets_equal_the_slow_reference(assignment):
    shot = make_shot(("WEAK_MASK.ASSIGNMENT", assignment))
    grids, truth = shot.grids(make_outputs()), ground_truth()
    targets = shot.target_rule.masks(grids, shot.target_rule.match(grids, truth), truth)
    *_, expected = reference_targets(assignment)
    for target, images in zip(targets, expected, strict=True):
        for image, (mask, participating) in enumerate(images):
            np.testing.assert_array_equal(target.mask[image], mask)
            np.testing.assert_array_equal(target.participating[image], participating)


def test_positive_anchors_stay_positive_inside_an_ignored_region():
    shot = make_shot()
    grids = shot.grids(make_outputs())
    free = shot.target_rule.match(grids, ground_truth(regions=[[], []])).labels
    covered = shot.target_rule.match(grids, ground_truth(regions=[[[0, 0, 128, 128]]] * 2)).labels
    assert (free == POSITIVE).any()
    assert torch.equal(covered == POSITIVE, free == POSITIVE)
    assert (covered[free == BACKGROUND] == IGNORED).float().mean() > 0.5


def test_a_level_without_faces_still_has_a_mask_loss():
    shot, outputs = make_shot(), make_outputs()
    shot.losses(outputs, ground_truth(faces=[[], []]))["loss_mask"].backward()
    for logits in outputs.masks:  # towards "off": a positive derivative in every valid cell
        assert (logits.grad >= 0).all() and logits.grad.any()


@pytest.mark.parametrize("faces", [FACES, [[], []]], ids=["faces", "no faces"])
def test_every_term_is_connected_with_every_prediction(faces):
    outputs = make_outputs()
    sum(make_shot().losses(outputs, ground_truth(faces)).values()).backward()
    for x in (*outputs.logits, *outputs.deltas, *outputs.masks):
        assert x.grad is not None and x.grad.isfinite().all()
    assert all(x.grad.any() for x in outputs.logits)
    assert any(x.grad.any() for x in outputs.deltas) == bool(faces[0])


def test_predictions_in_the_padding_do_not_matter():
    shot, outputs = make_shot(), make_outputs()
    before = shot.losses(outputs, ground_truth())
    for maps in outputs:
        for x, stride in zip(maps, scenes.STRIDES, strict=True):
            centers = (torch.arange(x.shape[-1]) + 0.5) * stride
            with torch.no_grad():
                x[1][:, centers >= IMAGE_SIZES[1][0]] = 1e3
                x[1][:, :, centers >= IMAGE_SIZES[1][1]] = 1e3
    assert shot.losses(outputs, ground_truth()) == before


def test_weight_and_suffix_of_a_first_shot():
    outputs = make_outputs()
    plain = make_shot().losses(outputs, ground_truth())
    first = make_shot(loss_weight=0.5, loss_suffix="_first_shot").losses(outputs, ground_truth())
    assert set(first) == {f"{name}_first_shot" for name in plain}
    for name, loss in plain.items():
        assert first[f"{name}_first_shot"].item() == pytest.approx(loss.item() / 2)


def test_without_masks_there_is_no_mask_loss():
    losses = make_shot().losses(make_outputs(masks=False), ground_truth())
    assert set(losses) == {"loss_cls", "loss_box_reg"}


def test_the_box_code_is_weighted():
    outputs, truth = make_outputs(), ground_truth()
    for deltas in outputs.deltas:
        deltas.data.zero_()
    plain = make_shot(("LOSS.SMOOTH_L1_BETA", 1e-6)).losses(outputs, truth)
    keys = ("LOSS.SMOOTH_L1_BETA", 1e-6, "LOSS.BBOX_REG_WEIGHTS", (3.0, 3.0, 3.0, 3.0))
    weighted = make_shot(keys).losses(outputs, truth)
    ratio = weighted["loss_box_reg"] / plain["loss_box_reg"]
    assert ratio.item() == pytest.approx(3, rel=1e-3)  # |3 x| in the linear part


def test_candidates_are_the_best_anchors_of_all_levels():
    shot, outputs = make_shot(), make_outputs()
    boxes, scores = shot.candidates(outputs, torch.tensor(IMAGE_SIZES), num_candidates=50)
    assert boxes.shape == (2, 50, 4) and scores.shape == (2, 50)
    sizes = scenes.map_sizes((128, 128))
    anchors = np.concatenate(
        references.anchor_boxes(sizes, scenes.STRIDES, 4.0, scenes.OCTAVES, scenes.RATIOS)
    )
    for image, image_size in enumerate(IMAGE_SIZES):

        def rows(maps, width, image=image):
            return np.concatenate(
                [
                    x[image].detach().permute(1, 2, 0).reshape(-1, width).double().numpy()
                    for x in maps
                ]
            )

        logits, deltas = rows(outputs.logits, 1)[:, 0], rows(outputs.deltas, 4)
        logits[~references.centered_inside(anchors, image_size)] = -np.inf
        best = np.argsort(-logits)[:50]
        np.testing.assert_allclose(scores[image].detach(), 1 / (1 + np.exp(-logits[best])), 1e-5)
        size = anchors[best, 2:] - anchors[best, :2]
        center = anchors[best, :2] + size / 2 + deltas[best, :2] * size
        half = size * np.exp(deltas[best, 2:]) / 2
        expected = np.concatenate((center - half, center + half), axis=1)
        np.testing.assert_allclose(boxes[image].detach(), expected, rtol=1e-4, atol=1e-3)


def test_there_are_no_more_candidates_than_anchors():
    boxes, _ = make_shot().candidates(make_outputs(), torch.tensor(IMAGE_SIZES), 10**6)
    assert boxes.shape[1] == (32**2 + 16**2 + 8**2 + 4**2 + 2**2 + 1) * 6


@pytest.mark.parametrize(
    "overrides, message",
    [
        (("LOSS.NORMALIZER", "ema"), "LOSS.NORMALIZER"),
        (("WEAK_MASK.ASSIGNMENT", "all"), "WEAK_MASK.ASSIGNMENT"),
        (("IN_FEATURES", ["p2", "p9"]), r"IN_FEATURES.*'p9'"),
    ],
)
def test_impossible_options_are_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        make_shot(overrides)
