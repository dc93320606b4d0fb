"""Boxes of faces drawn on images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

# Faces that ONNX Runtime found are drawn where detectron2 is not installed.
if TYPE_CHECKING:
    from detectron2.structures import Instances

FACE_COLOR = (0.1, 1.0, 0.2)
MISSED_COLOR = (1.0, 0.2, 0.1)

_FONT = cv2.FONT_HERSHEY_SIMPLEX
# In an image of so many pixels lines and letters have the sizes below; in larger ones they grow.
_UNIT_AREA = 640 * 480
_LINE_WIDTH = 1.5
_FONT_SCALE = 0.4
# A line is at most this share of its box, so that small faces are seen.
_MOST_OF_BOX = 0.1


def draw_detections(
    image: np.ndarray, detections: Instances, faces: np.ndarray | None = None
) -> np.ndarray:
    """:func:`draw_faces` of detections on the CPU, with their ``track_ids`` if they have any."""
    boxes, scores = detections.pred_boxes.tensor.numpy(), detections.scores.numpy()
    track_ids = detections.track_ids.numpy() if detections.has("track_ids") else None
    return draw_faces(image, boxes, scores, faces, track_ids)


def draw_faces(
    image: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    faces: np.ndarray | None = None,
    track_ids: np.ndarray | None = None,
) -> np.ndarray:
    """Draw each detection with its confidence as opacity, as DF²S² figure 1 does.

    Lines lie around the boxes, and boxes wide enough for it carry their confidence as a number, or
    that of their track.

    Args:
        image: (H, W, 3) uint8 RGB; it is not changed.
        boxes: (N, 4) detections, XYXY in pixels of the image.
        scores: (N,), confidence from 0 to 1.
        faces: (M, 4) annotated faces, XYXY, drawn beneath the detections.
        track_ids: (N,) numbers of the detections' tracks; None if they are not tracked.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    picture = np.array(image, order="C")
    scale = max(1.0, math.sqrt(image.shape[0] * image.shape[1] / _UNIT_AREA))
    for box in [] if faces is None else faces:
        _draw_box(picture, box, scale, MISSED_COLOR, 0.9)
    for index in np.argsort(scores, kind="stable"):  # the most certain are on top
        score = float(scores[index])
        _draw_box(picture, boxes[index], scale, FACE_COLOR, score)
        label = f"{score:.2f}" if track_ids is None else f"#{track_ids[index]}"
        _draw_label(picture, boxes[index], scale, label, score)
    return picture


def _draw_box(
    picture: np.ndarray, box: np.ndarray, scale: float, color: tuple[float, ...], opacity: float
) -> None:
    x1, y1, x2, y2 = _rounded(box)
    line = _line_width(box, scale)
    left, top, right, bottom = x1 - line, y1 - line, x2 + line, y2 + line
    _blend(picture, (left, top, right, y1), color, opacity)
    _blend(picture, (left, y2, right, bottom), color, opacity)
    _blend(picture, (left, y1, x1, y2), color, opacity)
    _blend(picture, (x2, y1, right, y2), color, opacity)


def _draw_label(
    picture: np.ndarray, box: np.ndarray, scale: float, text: str, opacity: float
) -> None:
    """A word upon the box, or in its upper edge at the top of the image, if it fits."""
    size = _FONT_SCALE * scale
    thickness = max(1, round(size))
    (width, height), baseline = cv2.getTextSize(text, _FONT, size, thickness)
    margin = max(1, round(scale))
    x1, y1, x2, _ = _rounded(box)
    if width + 2 * margin > x2 - x1:
        return
    line = _line_width(box, scale)
    left, tag_height = max(x1 - line, 0), height + baseline + margin
    bottom = max(y1 - line, tag_height)
    tag = left, bottom - tag_height, left + width + 2 * margin, bottom
    _blend(picture, tag, FACE_COLOR, opacity)
    place = left + margin, bottom - baseline
    cv2.putText(picture, text, place, _FONT, size, (0, 0, 0), thickness, cv2.LINE_AA)


def _rounded(box: np.ndarray) -> list[int]:
    return np.round(box).astype(int).tolist()


def _line_width(box: np.ndarray, scale: float) -> int:
    x1, y1, x2, y2 = box
    return max(
        1, min(round(_LINE_WIDTH * scale), round(_MOST_OF_BOX * float(min(x2 - x1, y2 - y1))))
    )


def _blend(
    picture: np.ndarray,
    rectangle: tuple[int, int, int, int],
    color: tuple[float, ...],
    opacity: float,
) -> None:
    """Mix a colour (shares of 255) into a rectangle as far as it is inside the picture."""
    x1, y1, x2, y2 = (max(0, side) for side in rectangle)
    region = picture[y1:y2, x1:x2]
    region[:] = np.round(region + (255 * np.array(color) - region) * opacity)
