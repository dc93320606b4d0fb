"""Overlap of regions in pixels, as the official FDDB evaluation counts it.

The official tool paints both regions into masks of the image's size and counts pixels. Here an
ellipse is painted in a window around it, which gives the same pixels. Boxes are not painted: their
pixels in an ellipse are read from its summed-area table.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

# Pixels by which an ellipse may be painted beyond its rounded radius.
_MARGIN = 2

# Pixels. Coordinates beyond are drawn in to here, so that they fit the integers of OpenCV.
_FARTHEST = 1 << 20


class PaintedEllipse(NamedTuple):
    """The pixels of an ellipse within its image.

    Attributes:
        left: column of the window in the image.
        top: row of the window in the image.
        mask: (h, w) uint8, 1 on the ellipse, in a window that holds all of it.
        area: number of pixels on the ellipse.
    """

    left: int
    top: int
    mask: np.ndarray
    area: int


def region_overlaps(
    regions: np.ndarray, ellipses: np.ndarray, image_size: tuple[int, int]
) -> np.ndarray:
    """Intersection over union of regions with ellipses, each cut off at the border of the image.

    An ellipse has its centre rounded and its radii truncated; a box reaches from
    ``(round(x), round(y))`` to ``(round(x + w), round(y + h))``, both included. Regions of negative
    size are empty.

    Args:
        regions: (n, 4) boxes ``x, y, width, height``, or (n, 5) ellipses, in pixels.
        ellipses: (m, 5) ``major radius, minor radius, angle, centre x, centre y`` in pixels and
            radians.
        image_size: width and height in pixels.

    Returns:
        (n, m) float64, fractions of 1.
    """
    painted = [paint_ellipse(ellipse, image_size) for ellipse in ellipses]
    if regions.shape[1] == 4:
        areas, intersections = _intersect_boxes(regions, painted, image_size)
    else:
        areas, intersections = _intersect_ellipses(regions, painted, image_size)
    ellipse_areas = np.array([ellipse.area for ellipse in painted], np.int64)
    unions = areas[:, None] + ellipse_areas - intersections
    return intersections / np.maximum(unions, 1)


def paint_ellipse(ellipse: np.ndarray, image_size: tuple[int, int]) -> PaintedEllipse:
    """Paint an ellipse as OpenCV fills it.

    Args:
        ellipse: (5,) ``major radius, minor radius, angle, centre x, centre y`` in pixels and
            radians.
        image_size: width and height in pixels.
    """
    radii = np.clip(ellipse[:2], -1, _FARTHEST).astype(int).tolist()
    centre = np.clip(np.rint(ellipse[3:]), -_FARTHEST, _FARTHEST).astype(int).tolist()
    reach = max(radii) + _MARGIN
    (left, right), (top, bottom) = (
        (max(c - reach, 0), min(c + reach + 1, side))
        for c, side in zip(centre, image_size, strict=True)
    )
    mask = np.zeros((max(bottom - top, 0), max(right - left, 0)), np.uint8)
    if mask.size and min(ellipse[:2]) >= 0:
        degrees = math.fmod(math.degrees(ellipse[2]), 360)
        shifted = (centre[0] - left, centre[1] - top)
        cv2.ellipse(mask, shifted, radii, degrees, 0, 360, 1, cv2.FILLED)
    return PaintedEllipse(left, top, mask, cv2.countNonZero(mask) if mask.size else 0)


def _intersect_boxes(
    boxes: np.ndarray, painted: list[PaintedEllipse], image_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) areas of the boxes and (n, m) areas common with the ellipses, in pixels."""
    first = np.rint(boxes[:, :2])
    stop = np.maximum(np.rint(boxes[:, :2] + boxes[:, 2:]) + 1, first)
    first = np.clip(first, 0, image_size).astype(np.int64)
    stop = np.clip(stop, 0, image_size).astype(np.int64)
    intersections = np.zeros((len(boxes), len(painted)), np.int64)
    for column, ellipse in enumerate(painted):
        if not ellipse.area:
            continue
        sums = cv2.integral(ellipse.mask)
        window = np.array((ellipse.left, ellipse.top))
        sides = np.array(ellipse.mask.shape[::-1])
        x1, y1 = np.clip(first - window, 0, sides).T
        x2, y2 = np.clip(stop - window, 0, sides).T
        intersections[:, column] = sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]
    return (stop - first).prod(axis=1), intersections


def _intersect_ellipses(
    ellipses: np.ndarray, painted: list[PaintedEllipse], image_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`_intersect_boxes`, of ellipses."""
    areas = np.zeros(len(ellipses), np.int64)
    intersections = np.zeros((len(ellipses), len(painted)), np.int64)
    for row, ellipse in enumerate(ellipses):
        a = paint_ellipse(ellipse, image_size)
        areas[row] = a.area
        for column, b in enumerate(painted):
            left, top = max(a.left, b.left), max(a.top, b.top)
            right = min(a.left + a.mask.shape[1], b.left + b.mask.shape[1])
            bottom = min(a.top + a.mask.shape[0], b.top + b.mask.shape[0])
            if left < right and top < bottom:
                in_a = a.mask[top - a.top : bottom - a.top, left - a.left : right - a.left]
                in_b = b.mask[top - b.top : bottom - b.top, left - b.left : right - b.left]
                intersections[row, column] = np.count_nonzero(in_a & in_b)
    return areas, intersections
