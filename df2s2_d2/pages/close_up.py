"""Small pictures of one box in an image, with outlines of this and other boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

# Pixels of a picture, width and height.
PANEL = (240, 180)

# A window is as wide as so many boxes, and at least so many pixels of the image.
_CONTEXT = 4.0
_LEAST_WINDOW = 64.0
# What is shown whole gets so much more room than it needs.
_MARGIN = 1.05

_MARGIN_COLOR = 208
_HALO = (0, 0, 0)
_DASH = 5.0
_JPEG_QUALITY = 82


class Outline(NamedTuple):
    """Boxes of one meaning.

    Attributes:
        boxes: (n, 4) x, y, width, height in pixels of the image.
        color: RGB, 0 to 255.
        is_dashed: for boxes that are not in the same sense as others.
        thickness: of the line, in pixels of the picture.
        has_halo: whether a dark line around it makes it stand out; many boxes on one place would
            be dark all over.
    """

    boxes: np.ndarray
    color: tuple[int, int, int]
    is_dashed: bool = False
    thickness: int = 1
    has_halo: bool = True


def close_up(image: np.ndarray, box: np.ndarray, outlines: Sequence[Outline]) -> bytes:
    """Show a box and its surroundings, all pictures of one size.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: x, y, width, height in pixels; it may lie outside the image, which ends in grey.
        outlines: in the order in which they are drawn.

    Returns:
        A JPEG file of ``PANEL`` pixels.
    """
    window = choose_view(box, image.shape[1], image.shape[0])
    return encode_jpeg(draw_view(image, window, outlines, PANEL))


def choose_view(box: np.ndarray, width: int, height: int) -> tuple[float, float, float]:
    """The part of the plane to show.

    Args:
        box: x, y, width, height in pixels of the image.
        width: of the image.
        height: of the image.

    Returns:
        Left, top and pixels of the image in one of the picture.
    """
    panel, image = np.array(PANEL, np.float64), np.array([width, height], np.float64)
    low, high = np.minimum(box[:2], box[:2] + box[2:]), np.maximum(box[:2], box[:2] + box[2:])
    if (high <= 0).any() or (low >= image).any():  # outside: both are shown, as far as it goes
        low = np.maximum(np.minimum(low, 0), -image)
        high = np.minimum(np.maximum(high, image), 2 * image)
        scale = ((high - low) / panel).max() * _MARGIN
    else:
        size = high - low
        scale = max(_CONTEXT * size.max(), _LEAST_WINDOW) / panel[0]
        scale = max(scale, (size / panel).max() * _MARGIN)
        # Not so large that nothing but grey would be added.
        scale = min(scale, ((np.maximum(high, image) - np.minimum(low, 0)) / panel).max() * _MARGIN)
    extent = panel * scale
    corner = (low + high - extent) / 2
    inside = np.clip(corner, 0, np.maximum(image - extent, 0))
    shows_box = (inside <= low) & (high <= inside + extent)
    left, top = np.where(shows_box, inside, corner).tolist()
    return left, top, float(scale)


def draw_view(
    image: np.ndarray,
    view: tuple[float, float, float],
    outlines: Sequence[Outline],
    panel: tuple[int, int],
) -> np.ndarray:
    """A part of an image, resized, with outlines around boxes.

    Args:
        image: (H, W, 3) uint8 RGB.
        view: left, top and pixels of the image in one of the picture.
        outlines: in the order in which they are drawn.
        panel: width and height of the picture.

    Returns:
        (panel height, panel width, 3) uint8 RGB, grey where there is no image.
    """
    left, top, scale = view
    picture = np.full((panel[1], panel[0], 3), _MARGIN_COLOR, np.uint8)
    image_height, image_width = image.shape[:2]
    # Whole pixels of the image, and where they come to lie.
    x1, y1 = max(0, int(np.floor(left))), max(0, int(np.floor(top)))
    x2 = min(image_width, int(np.ceil(left + panel[0] * scale)))
    y2 = min(image_height, int(np.ceil(top + panel[1] * scale)))
    if x2 > x1 and y2 > y1:
        place = [round((v - o) / scale) for v, o in ((x1, left), (y1, top), (x2, left), (y2, top))]
        size = max(1, place[2] - place[0]), max(1, place[3] - place[1])
        method = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
        part = cv2.resize(image[y1:y2, x1:x2], size, interpolation=method)
        px, py = max(0, place[0]), max(0, place[1])
        part = part[py - place[1] :, px - place[0] :]
        target = picture[py : py + part.shape[0], px : px + part.shape[1]]
        target[:] = part[: target.shape[0], : target.shape[1]]
    for boxes, color, is_dashed, thickness, has_halo in outlines:
        corners = np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1)
        corners = (corners - [left, top, left, top]) / scale
        for corner in corners[_may_show(corners, panel)]:
            lines = _outline(corner, is_dashed)
            strokes = [(_HALO, thickness + 2)] * has_halo + [(color, thickness)]
            for line_color, width in strokes:
                cv2.polylines(picture, lines, not is_dashed, line_color, width, cv2.LINE_AA)
    return picture


def encode_jpeg(picture: np.ndarray) -> bytes:
    """An RGB picture as a JPEG file."""
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    # Colours at full size: else thin lines are pale.
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def _may_show(corners: np.ndarray, panel: tuple[int, int]) -> np.ndarray:
    low, high = (
        np.minimum(corners[:, :2], corners[:, 2:]),
        np.maximum(corners[:, :2], corners[:, 2:]),
    )
    return ((high >= 0) & (low <= panel)).all(axis=1)


def _outline(corner: np.ndarray, is_dashed: bool) -> list[np.ndarray]:
    """Lines of whole pixels around a box: one closed line, or many dashes."""
    # Lines need no end far away, where OpenCV's 16 bits would not reach.
    x1, y1, x2, y2 = np.clip(corner, -1000, 3000)
    turns = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
    if not is_dashed:
        return [np.round(turns).astype(np.int32)]
    dashes = []
    for start, end in zip(turns, np.roll(turns, -1, axis=0), strict=True):
        count = max(1, round(float(np.abs(end - start).max()) / (2 * _DASH)))
        begins = np.arange(count)[:, None] / count
        pair = np.stack((begins, begins + 0.5 / count), axis=1)  # (count, 2, 1)
        dashes.extend(np.round(start + (end - start) * pair).astype(np.int32))
    return dashes


def side_by_side(images: Sequence[np.ndarray]) -> bytes:
    """Whole images in one picture: two beside or below each other, or up to four in two rows.

    Args:
        images: 1 to 4, (H, W, 3) uint8 RGB.

    Returns:
        A JPEG file of ``PANEL`` pixels.
    """
    is_wide = images[0].shape[1] * PANEL[1] > images[0].shape[0] * PANEL[0]
    columns, rows = (2, 2) if len(images) > 2 else (1, 2) if is_wide else (2, 1)
    cell = PANEL[0] // columns, PANEL[1] // rows
    picture = np.full((PANEL[1], PANEL[0], 3), _MARGIN_COLOR, np.uint8)
    for number, image in enumerate(images[:4]):
        height, width = image.shape[:2]
        scale = max(width / cell[0], height / cell[1])
        view = (width - cell[0] * scale) / 2, (height - cell[1] * scale) / 2, scale
        row, column = divmod(number, columns)
        x, y = column * cell[0], row * cell[1]
        picture[y : y + cell[1], x : x + cell[0]] = draw_view(image, view, [], cell)
    return encode_jpeg(picture)
