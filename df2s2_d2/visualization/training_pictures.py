"""Pictures of training samples: faces, matched anchors and weak masks, side by side."""

from __future__ import annotations

import cv2
import numpy as np

from df2s2_d2.pages.close_up import Outline, draw_view, encode_jpeg
from df2s2_d2.visualization.training_samples import LevelTargets, TrainingSample

# A panel is at most so many pixels wide and high; the image is not enlarged by more than twice.
_PANEL = 420
_MOST_ENLARGED = 2.0
_GAP, _TITLE = 8, 22

FACE, UNMATCHED, REGION = (0, 224, 138), (255, 90, 31), (208, 208, 208)
# Of the levels, finest first: told apart also by those who see fewer colours.
LEVEL_COLORS = (
    (86, 180, 233),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 158, 115),
    (230, 159, 0),
    (120, 94, 240),
)
_PAPER, _INK = 255, (28, 32, 36)
_MASK_OPACITY = 0.55
# What is to be ignored is darkened to this share.
_IGNORED_LIGHT = 0.45


def draw_sample(sample: TrainingSample) -> bytes:
    """Faces, anchors of each shot and weak masks of each shot that has any, as a JPEG file."""
    height, width = sample.image.shape[:2]
    scale = min(_PANEL / max(height, width), _MOST_ENLARGED)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    ground = _darken_regions(sample)
    unmatched = np.zeros(len(sample.faces), bool)
    for shot in sample.shots:
        unmatched |= sample.anchors_per_face(shot) == 0
    faces = [
        Outline(_xywh(sample.regions), REGION, is_dashed=True),
        Outline(_xywh(sample.faces[~unmatched]), FACE),
        Outline(_xywh(sample.faces[unmatched]), UNMATCHED, thickness=2),
    ]
    panels = {"faces": (ground, faces)}
    for shot, levels in sample.shots.items():
        anchors = [
            Outline(_xywh(level.anchors), color, has_halo=False)
            for level, color in zip(levels, _colors(levels), strict=True)
        ]
        panels[f"{shot}: anchors"] = (ground, anchors)
        if any(level.mask is not None for level in levels):
            panels[f"{shot}: masks"] = (_paint_masks(sample.image, levels), faces[1:2])
    drawn = [
        _with_title(draw_view(image, (0, 0, 1 / scale), outlines, size), title)
        for title, (image, outlines) in panels.items()
    ]
    gap = np.full((drawn[0].shape[0], _GAP, 3), _PAPER, np.uint8)
    parts = [part for panel in drawn for part in (panel, gap)][:-1]
    return encode_jpeg(np.concatenate(parts, axis=1))


def _colors(levels: list[LevelTargets]) -> list[tuple[int, int, int]]:
    return [LEVEL_COLORS[number % len(LEVEL_COLORS)] for number in range(len(levels))]


def _xywh(corners: np.ndarray) -> np.ndarray:
    return np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1)


def _darken_regions(sample: TrainingSample) -> np.ndarray:
    is_ignored = np.zeros(sample.image.shape[:2], bool)
    for x1, y1, x2, y2 in sample.regions.round().astype(int).tolist():
        is_ignored[y1:y2, x1:x2] = True
    light = np.where(is_ignored, _IGNORED_LIGHT, 1.0)[..., None]
    return (sample.image * light).astype(np.uint8)


def _paint_masks(image: np.ndarray, levels: list[LevelTargets]) -> np.ndarray:
    """The image with the masks of all levels, the coarsest beneath."""
    height, width = image.shape[:2]
    painted = image.astype(np.float32)
    for level, color in list(zip(levels, _colors(levels), strict=True))[::-1]:
        if level.mask is None:
            continue
        mask = level.mask.repeat(level.stride, 0).repeat(level.stride, 1)[:height, :width]
        mixed = painted[mask] * (1 - _MASK_OPACITY) + np.float32(color) * _MASK_OPACITY
        painted[mask] = mixed
    return painted.astype(np.uint8)


def _with_title(panel: np.ndarray, title: str) -> np.ndarray:
    head = np.full((_TITLE, panel.shape[1], 3), _PAPER, np.uint8)
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(head, title, (2, _TITLE - 7), font, 0.45, _INK, 1, cv2.LINE_AA)
    return np.concatenate((head, panel))
