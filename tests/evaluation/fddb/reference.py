"""FDDB's protocol as a plain program: whole masks, all matchings, every threshold from scratch."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np


def paint_whole(region: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Mask of the image's size with a box (4 numbers) or an ellipse (5 numbers) filled in it."""
    mask = np.zeros(size[::-1], np.uint8)
    if len(region) == 4:
        x, y, w, h = region
        first, last = (round(x), round(y)), (round(x + w), round(y + h))
        if last[0] >= first[0] and last[1] >= first[1]:
            cv2.rectangle(mask, first, last, 1, cv2.FILLED)
    elif min(region[:2]) >= 0:
        major, minor, angle, x, y = region
        centre, radii = (round(x), round(y)), (int(major), int(minor))
        cv2.ellipse(mask, centre, radii, math.degrees(angle), 0, 360, 1, cv2.FILLED)
    return mask > 0


def overlap(a: np.ndarray, b: np.ndarray, size: tuple[int, int]) -> float:
    mask_a, mask_b = paint_whole(a, size), paint_whole(b, size)
    union = (mask_a | mask_b).sum()
    return (mask_a & mask_b).sum() / union if union else 0.0


def best_matching(overlaps: np.ndarray) -> list[float]:
    """Overlaps of the pairs in the matching of the largest total, by trying all of them."""
    if overlaps.shape[0] > overlaps.shape[1]:
        overlaps = overlaps.T
    num_rows, num_columns = overlaps.shape
    matchings = [
        [overlaps[row, column] for row, column in enumerate(columns)]
        for columns in itertools.permutations(range(num_columns), num_rows)
    ]
    return max(matchings, key=sum)


def evaluate(
    detections: dict[str, np.ndarray],
    faces: dict[str, np.ndarray],
    sizes: dict[str, tuple[int, int]],
) -> list[tuple[float, int, float, float]]:
    """Threshold, false positives, discrete and continuous rate, by descending threshold."""
    num_faces = sum(map(len, faces.values()))
    overlaps = {
        image: np.array(
            [[overlap(row[:-1], face, sizes[image]) for face in faces[image]] for row in rows]
        )
        for image, rows in detections.items()
    }
    scores = sorted({row[-1] for rows in detections.values() for row in rows}, reverse=True)
    curve = []
    for threshold in scores:
        num_detections, found, total = 0, 0, 0.0
        for image, rows in detections.items():
            kept = rows[:, -1] >= threshold
            num_detections += kept.sum()
            if kept.any() and len(faces[image]):
                matched = best_matching(overlaps[image][kept])
                found += sum(value > 0.5 for value in matched)
                total += sum(matched)
        curve.append((threshold, num_detections - found, found / num_faces, total / num_faces))
    return curve
