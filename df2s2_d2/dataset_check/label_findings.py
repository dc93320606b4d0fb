"""Boxes that are probably no faces, or not where the faces are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from df2s2_d2.dataset_check import findings
from df2s2_d2.dataset_check.annotated_dataset import AnnotatedDataset, Labels
from df2s2_d2.dataset_check.findings import Finding, Kind
from df2s2_d2.evaluation.box_pairs import FacesByPosition, window_of_overlap

# A box may reach over the border by so many pixels, as rounding and careless drawing make it, or
# by this share of its own side.
_BORDER_PIXELS, _BORDER_SHARE = 2.0, 0.1
# A box covers the image from this share of its area on.
_COVERING_SHARE = 0.9
# Two boxes are one face from this overlap on for certain, and from the lower one on probably.
_SAME_IOU, _NEAR_IOU = 0.9, 0.7
# A face is inside an ignored region if that covers so much of it.
_INSIDE_SHARE = 0.9
# Height over width: outside of these limits something else was annotated, or sides were mixed up.
_LEAST_RATIO, _MOST_RATIO = 1 / 2.5, 3.5
# Pixels of the shorter side.
_TINY_SIDE = 4.0


def find_suspicious_labels(dataset: AnnotatedDataset, image_sizes: np.ndarray) -> list[Finding]:
    """Look at all boxes at once.

    Args:
        dataset: whose boxes they are.
        image_sizes: (I, 2) heights and widths of the upright images in pixels; nan where they are
            not known, and only what lies above or left of such an image is outside it.

    Returns:
        Kind by kind. A box without an area or outside its image is nothing else besides.
    """
    labels = dataset.labels
    found = []
    usable = np.ones(len(labels.boxes), bool)
    for kind, mask, reasons, weights in _by_geometry(labels, image_sizes):
        mask = mask & usable
        if kind in _UNUSABLE:
            usable &= ~mask
        for box in np.flatnonzero(mask).tolist():
            image = int(labels.image_index[box])
            found.append(Finding(kind, reasons(box), image, box, weight=float(weights[box])))
    found += _duplicates(dataset, usable)
    found += _inside_ignored(dataset, usable)
    return found


_UNUSABLE = (findings.NO_AREA, findings.SHARES, findings.OUTSIDE)


def _by_geometry(labels: Labels, image_sizes: np.ndarray) -> Iterator[tuple]:
    """Kinds that a box and its image decide: kind, (B,) mask, its reason and (B,) weights."""
    heights, widths = np.nan_to_num(image_sizes, nan=np.inf)[labels.image_index].T
    x, y, w, h = labels.boxes.T
    right, bottom = x + w, y + h
    ones = np.ones(len(x))

    def size(box: int) -> str:
        return f"{w[box]:g} × {h[box]:g} px at ({x[box]:g}, {y[box]:g})"

    def against_image(box: int) -> str:
        if not np.isfinite(widths[box]):
            return size(box)
        return f"{size(box)}, image {widths[box]:g} × {heights[box]:g} px"

    yield findings.NO_AREA, (w <= 0) | (h <= 0), size, ones
    in_shares = (labels.boxes >= 0).all(axis=1) & (right <= 1) & (bottom <= 1)
    yield findings.SHARES, in_shares, size, ones
    outside = (right <= 0) | (bottom <= 0) | (x >= widths) | (y >= heights)
    yield findings.OUTSIDE, outside, against_image, ones
    beyond_x = np.maximum(np.maximum(-x, right - widths), 0)
    beyond_y = np.maximum(np.maximum(-y, bottom - heights), 0)
    share = np.maximum(_quotient(beyond_x, w), _quotient(beyond_y, h))
    cx, cy = x + w / 2, y + h / 2
    off_centre = (cx < 0) | (cy < 0) | (cx > widths) | (cy > heights)
    yield findings.OFF_CENTRE, off_centre, against_image, share
    is_far = np.maximum(beyond_x, beyond_y) > _BORDER_PIXELS
    over = is_far & (share > _BORDER_SHARE) & ~off_centre
    yield findings.OVER_BORDER, over, against_image, share
    shown_w = np.minimum(right, widths) - np.maximum(x, 0)
    shown_h = np.minimum(bottom, heights) - np.maximum(y, 0)
    # Unknown sizes are infinite, and no box covers such an image.
    covered = np.maximum(shown_w, 0) / widths * (np.maximum(shown_h, 0) / heights)
    yield findings.COVERS_IMAGE, covered >= _COVERING_SHARE, against_image, covered
    ratio = _quotient(h, w)
    odd = ~labels.ignored & ((ratio < _LEAST_RATIO) | (ratio > _MOST_RATIO))
    distance = np.abs(np.log(np.maximum(ratio, 1e-6)))

    def shape(box: int) -> str:
        return f"{size(box)}: height / width {ratio[box]:.2f}"

    yield findings.ODD_SHAPE, odd, shape, distance
    shorter = np.minimum(w, h)
    yield findings.TINY, ~labels.ignored & (shorter < _TINY_SIDE), size, -shorter


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


def _duplicates(dataset: AnnotatedDataset, usable: np.ndarray) -> list[Finding]:
    """Faces that overlap an earlier one of their image so much that both are one."""
    labels = dataset.labels
    chosen = np.flatnonzero(usable & ~labels.ignored)
    boxes, images = labels.boxes[chosen], labels.image_index[chosen]
    window = window_of_overlap(boxes[:, 0], boxes[:, 2], _NEAR_IOU)
    best = np.zeros(len(chosen))
    partner = np.full(len(chosen), -1)
    for first, repeats, second in FacesByPosition(boxes[:, 0], images).pairs(*window, images):
        first = np.repeat(first, repeats)
        earlier = second < first
        first, second = first[earlier], second[earlier]
        common, area_a, area_b = _overlaps(boxes[first], boxes[second])
        iou = common / (area_a + area_b - common)
        # The best of each face, the earliest of equally good ones.
        order = np.lexsort((second, -iou, first))
        face, start = np.unique(first[order], return_index=True)
        best[face], partner[face] = iou[order][start], second[order][start]

    def make(face: int) -> Finding:
        kind = findings.DUPLICATE if best[face] >= _SAME_IOU else findings.NEAR_DUPLICATE
        return _pair(
            dataset, kind, chosen[face], chosen[partner[face]], "IoU {:.2f} with", best[face]
        )

    return [make(face) for face in np.flatnonzero(best >= _NEAR_IOU).tolist()]


def _inside_ignored(dataset: AnnotatedDataset, usable: np.ndarray) -> list[Finding]:
    """Faces that a single ignored region covers."""
    labels = dataset.labels
    faces = np.flatnonzero(usable & ~labels.ignored)
    regions = np.flatnonzero(usable & labels.ignored)
    if not len(regions):
        return []
    boxes, region_boxes = labels.boxes[faces], labels.boxes[regions]
    # Where the left edge of a region can be that covers so much of the face.
    window = (
        boxes[:, 0] - region_boxes[:, 2].max(),
        boxes[:, 0] + (1 - _INSIDE_SHARE) * boxes[:, 2],
    )
    by_position = FacesByPosition(region_boxes[:, 0], labels.image_index[regions])
    found = {}
    for first, repeats, second in by_position.pairs(*window, labels.image_index[faces]):
        first = np.repeat(first, repeats)
        common, area, _ = _overlaps(boxes[first], region_boxes[second])
        share = common / area
        for pair in np.flatnonzero(share >= _INSIDE_SHARE).tolist():
            face, region = faces[first[pair]], regions[second[pair]]
            reason = "{:.0%} of it inside"
            found.setdefault(
                face, _pair(dataset, findings.IN_IGNORED, face, region, reason, share[pair])
            )
    return list(found.values())


def _pair(
    dataset: AnnotatedDataset, kind: Kind, box: int, other: int, reason: str, value: float
) -> Finding:
    return Finding(
        kind,
        f"{reason.format(value)} {dataset.place(int(other))}",
        int(dataset.labels.image_index[box]),
        int(box),
        int(other),
        weight=float(value),
    )


def _overlaps(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Common area of a[i] and b[i], and the area of each; (P, 4) x, y, width, height."""
    low = np.maximum(a[:, :2], b[:, :2])
    high = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    common = np.maximum(high - low, 0).prod(axis=1)
    return common, a[:, 2:].prod(axis=1), b[:, 2:].prod(axis=1)
