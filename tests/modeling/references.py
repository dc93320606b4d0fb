"""Slow, dense float64 versions of anchors, matching, weak masks and losses.

They follow the papers' text with loops over levels, images and faces, and share no code with the
package, so that its fast versions have something to be measured by.
"""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np

POSITIVE, BACKGROUND, IGNORED = 1, 0, -1

# Decisions that hang on an IoU difference below this may fall either way in float32.
IOU_MARGIN = 1e-5


def anchor_boxes(
    sizes: list[tuple[int, int]],
    strides: list[int],
    scale: float,
    octaves: list[float],
    aspect_ratios: list[float],
) -> list[np.ndarray]:
    """Anchors of each level as XYXY (H * W * A, 4): row by row, then octaves, then ratios."""
    levels = []
    for (height, width), stride in zip(sizes, strides, strict=True):
        boxes = []
        for row in range(height):
            for column in range(width):
                x, y = (column + 0.5) * stride, (row + 0.5) * stride
                for octave in octaves:
                    for ratio in aspect_ratios:
                        area = (scale * stride * octave) ** 2
                        w = sqrt(area / ratio)
                        h = ratio * w
                        boxes.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
        levels.append(np.array(boxes))
    return levels


def intersection(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Common area of each of (R, 4) boxes and one box."""
    width = np.minimum(boxes[:, 2], box[2]) - np.maximum(boxes[:, 0], box[0])
    height = np.minimum(boxes[:, 3], box[3]) - np.maximum(boxes[:, 1], box[1])
    return np.clip(width, 0, None) * np.clip(height, 0, None)


def area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def iou(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    common = intersection(boxes, box)
    return common / (area(boxes) + area(box) - common)


def centered_inside(boxes: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    return (x < image_size[1]) & (y < image_size[0])


def match_image(
    anchors: np.ndarray,
    faces: np.ndarray,
    image_size: tuple[int, int],
    thresholds: tuple[float, float],
    low_quality: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Match the (R, 4) anchors of one image with its (F, 4) faces.

    Returns:
        Label of each anchor; its face's row, F if it is not positive; and whether the label or the
        face hangs on a difference of less than ``IOU_MARGIN``.
    """
    num_anchors, num_faces = len(anchors), len(faces)
    inside = centered_inside(anchors, image_size)
    labels = np.full(num_anchors, BACKGROUND)
    owners = np.full(num_anchors, num_faces)
    doubtful = np.zeros(num_anchors, bool)
    if num_faces:
        ious = np.stack([iou(anchors, face) for face in faces], axis=1)  # (R, F)
        ious[~inside] = 0
        best = ious.max(axis=1)
        labels[best >= thresholds[0]] = IGNORED
        labels[best >= thresholds[1]] = POSITIVE
        owners[labels == POSITIVE] = ious.argmax(axis=1)[labels == POSITIVE]
        for threshold in thresholds:
            doubtful |= abs(best - threshold) < IOU_MARGIN
        if num_faces > 1:
            first, second = np.sort(ious, axis=1)[:, ::-1][:, :2].T
            doubtful |= (first - second < IOU_MARGIN) & (first >= thresholds[1] - IOU_MARGIN)
        if low_quality:
            claimed = np.zeros(num_anchors)  # IoU of the best claim so far
            for face in range(num_faces):
                top = ious[:, face].max()
                if top == 0:
                    continue
                near_best = ious[:, face] >= top - IOU_MARGIN
                if near_best.sum() > 1:
                    doubtful |= near_best
                # A later face must fit strictly better to take over an earlier one's anchor.
                takes = (ious[:, face] == top) & (top > claimed)
                doubtful |= near_best & (claimed > 0) & (abs(top - claimed) < IOU_MARGIN)
                labels[takes], owners[takes], claimed[takes] = POSITIVE, face, top
    labels[~inside] = IGNORED
    return labels, owners, doubtful


def half_inside_one(anchors: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Which anchors have at least half of their area inside a single region."""
    result = np.zeros(len(anchors), bool)
    for region in regions:
        result |= intersection(anchors, region) >= 0.5 * area(anchors)
    return result


def weak_mask(
    boxes: np.ndarray, map_size: tuple[int, int], stride: int, image_size: tuple[int, int]
) -> np.ndarray:
    """Union of filled boxes on one map: cells are on when their centre lies in a box."""
    mask = np.zeros(map_size, bool)
    for x0, y0, x1, y1 in boxes:
        nearest, nearest_distance, found = None, np.inf, False
        for row in range(map_size[0]):
            for column in range(map_size[1]):
                x, y = (column + 0.5) * stride, (row + 0.5) * stride
                if x >= image_size[1] or y >= image_size[0]:
                    continue
                if x0 <= x < x1 and y0 <= y < y1:
                    mask[row, column] = found = True
                distance = (x - (x0 + x1) / 2) ** 2 + (y - (y0 + y1) / 2) ** 2
                if distance < nearest_distance:
                    nearest, nearest_distance = (row, column), distance
        if not found and nearest is not None:
            mask[nearest] = True
    return mask


def level_of_scale(face: np.ndarray, strides: list[int], level: int, base: float = 4.0) -> bool:
    """Whether a face's side lies in [4s/√2, 4s·2^⅔·√2) of a level; outer levels are open."""
    side = sqrt(area(face))
    low = 0 if level == 0 else base * strides[level] / sqrt(2)
    last = level == len(strides) - 1
    high = np.inf if last else base * strides[level] * 2 ** (2 / 3) * sqrt(2)
    return low <= side < high


def sigmoid_cross_entropy(logit: float, target: float) -> float:
    probability = 1 / (1 + exp(-logit))
    return -(target * log(probability) + (1 - target) * log(1 - probability))


def focal(logit: float, positive: bool, alpha: float = 0.25, gamma: float = 2.0) -> float:
    probability = 1 / (1 + exp(-logit))
    if positive:
        return -alpha * (1 - probability) ** gamma * log(probability)
    return -(1 - alpha) * probability**gamma * log(1 - probability)


def smooth_l1(difference: float, beta: float) -> float:
    difference = abs(difference)
    return 0.5 * difference**2 / beta if difference < beta else difference - 0.5 * beta


def box_code(anchor: np.ndarray, box: np.ndarray) -> list[float]:
    """(dx, dy, dw, dh) of R-CNN's parametrisation with unit weights."""
    width, height = anchor[2] - anchor[0], anchor[3] - anchor[1]
    return [
        ((box[0] + box[2]) - (anchor[0] + anchor[2])) / 2 / width,
        ((box[1] + box[3]) - (anchor[1] + anchor[3])) / 2 / height,
        log((box[2] - box[0]) / width),
        log((box[3] - box[1]) / height),
    ]
