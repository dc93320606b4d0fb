"""Antialiased drawing in the coordinates of a figure, shared by everything the pictures show.

Coordinates are those of a face: the origin is its centre, one unit is half of its height, y points
down. A `Painter` maps them to pixels; a `Sprite` is an oversampled transparent layer around one
figure that also knows which of its pixels belong to the figure's *region* (the head of a person,
the body of a distractor), so that sizes and visibility are measured instead of assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

Colour = tuple[float, float, float]  # red, green, blue in 0…255

SUBPIXEL_BITS = 4  # cv2 takes vertices in fixed point
SHARP_HEIGHT = 48  # faces lower than this many pixels are drawn larger and area-averaged
LARGE_HEIGHT = 160  # faces above need no oversampling: their edges are antialiased anyway


@lru_cache(maxsize=64)
def circle_points(arc: tuple[float, float], count: int) -> np.ndarray:
    """Points on an arc of the unit circle, (count, 2)."""
    turn = np.linspace(*arc, count)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


def ellipse_points(
    centre: tuple[float, float],
    radii: tuple[float, float],
    angle: float = 0.0,
    arc: tuple[float, float] = (0.0, 2 * np.pi),
    count: int = 28,
) -> np.ndarray:
    """Points on an ellipse turned by `angle` radians, or on an arc of it. Returns (count, 2)."""
    cos, sin = np.cos(angle), np.sin(angle)
    axes = np.array([[radii[0] * cos, radii[0] * sin], [-radii[1] * sin, radii[1] * cos]])
    return circle_points(arc, count) @ axes + centre


def box_points(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """The four corners of a rectangle, shape (4, 2)."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def scaled(colour: Colour, factor: float) -> Colour:
    """The colour darkened (factor < 1) or lightened (factor > 1)."""
    return tuple(min(channel * factor, 255.0) for channel in colour)


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """`first` with `share` of `second` in it."""
    return tuple(a + (b - a) * share for a, b in zip(first, second, strict=True))


@lru_cache(maxsize=32)
def taper(count: int) -> np.ndarray:
    """Width of a stroke along its points relative to its middle, (count,)."""
    return np.maximum(np.sin(np.linspace(0.1, 0.9, count) * np.pi), 0.4)


class Painter:
    """Draws filled shapes on a canvas, in figure coordinates.

    Args:
        canvas: (H, W, 3) or premultiplied (H, W, 4) uint8, changed in place.
        origin: pixel (x, y) of the figure's origin.
        unit: pixels per unit.
        roll: clockwise rotation of the figure, radians.
        owner: optional (H, W) int32 map of the region each pixel shows; painted pixels become 0.
    """

    def __init__(
        self,
        canvas: np.ndarray,
        origin: tuple[float, float] = (0.0, 0.0),
        unit: float = 1.0,
        roll: float = 0.0,
        owner: np.ndarray | None = None,
    ):
        self.canvas = canvas
        self.origin = np.asarray(origin, float)
        self.unit = unit
        self.owner = owner
        cos, sin = np.cos(roll), np.sin(roll)
        self.to_canvas = np.array([[cos, sin], [-sin, cos]]) * unit

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Figure points (N, 2) as fixed-point canvas vertices (N, 2), int32."""
        # Vertices name pixel centres, hence the half pixel.
        positions = np.asarray(points, float) @ self.to_canvas + self.origin - 0.5
        return np.round(positions * (1 << SUBPIXEL_BITS)).astype(np.int32)

    def polygon(self, points: np.ndarray, colour: Colour) -> None:
        """Fills the polygon with these corners, (N, 2)."""
        vertices = [self.pixels(points)]
        cv2.fillPoly(self.canvas, vertices, (*colour, 255), cv2.LINE_AA, SUBPIXEL_BITS)
        if self.owner is not None:
            cv2.fillPoly(self.owner, vertices, 0, cv2.LINE_8, SUBPIXEL_BITS)

    def ellipse(
        self,
        centre: tuple[float, float],
        radii: tuple[float, float],
        colour: Colour,
        angle: float = 0.0,
    ) -> None:
        """Fills an ellipse."""
        self.polygon(ellipse_points(centre, radii, angle), colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fills a rectangle."""
        self.polygon(box_points(left, top, right, bottom), colour)

    def stroke(self, points: np.ndarray, width: float, colour: Colour) -> None:
        """Draws the open line through these points, (N, 2), tapered at its ends."""
        points = np.asarray(points, float)
        along = np.empty_like(points)
        along[1:-1] = points[2:] - points[:-2]
        along[0], along[-1] = points[1] - points[0], points[-1] - points[-2]
        normal = np.stack([-along[:, 1], along[:, 0]], axis=1)
        length = np.maximum(np.hypot(*along.T), 1e-9)
        reach = normal * (taper(len(points)) * (width / 2) / length)[:, None]
        self.polygon(np.concatenate([points + reach, (points - reach)[::-1]]), colour)


@dataclass(frozen=True)
class Region:
    """What a pasted figure's region covers, occluded or not.

    Attributes:
        box: x0, y0, x1, y1 in image pixels, ends exclusive; may reach over the border.
        area: number of its pixels, those outside of the image included.
    """

    box: tuple[int, int, int, int]
    area: int


class Sprite:
    """A transparent layer around one figure.

    Args:
        centre: image position (x, y) of the face centre, pixels.
        height: height of the face, pixels.
        extent: left, top, right, bottom of the layer in figure units.
        roll: clockwise rotation of the figure, radians.
    """

    def __init__(
        self,
        centre: tuple[float, float],
        height: float,
        extent: tuple[float, float, float, float],
        roll: float = 0.0,
    ):
        unit = height / 2
        left, top = (int(np.floor(c + e * unit)) for c, e in zip(centre, extent[:2], strict=True))
        right, bottom = (
            int(np.ceil(c + e * unit)) for c, e in zip(centre, extent[2:], strict=True)
        )
        self.window = (left, top, right, bottom)
        self.oversampling = max(
            int(np.ceil(SHARP_HEIGHT / height)), 2 if height < LARGE_HEIGHT else 1
        )
        shape = ((bottom - top) * self.oversampling, (right - left) * self.oversampling)
        origin = (np.subtract(centre, (left, top))) * self.oversampling
        self.canvas = np.zeros((*shape, 4), np.uint8)
        self.mask = np.zeros(shape, np.uint8)
        self.gain = np.ones((17, 17))  # brightness over the layer; smooth, so a coarse grid will do
        self.pen = Painter(self.canvas, origin, unit * self.oversampling, roll)

    def mark(self, points: np.ndarray) -> None:
        """Adds a polygon (N, 2) to the figure's region."""
        cv2.fillPoly(self.mask, [self.pen.pixels(points)], 255, cv2.LINE_AA, SUBPIXEL_BITS)

    def shade(self, light: tuple[float, float], strength: float) -> None:
        """Lights the layer from the direction `light` (x, y) and darkens it towards the rim."""
        rows, columns = (np.linspace(0, size, len(self.gain)) for size in self.mask.shape)
        x = (columns[None] - self.pen.origin[0]) / self.pen.unit
        y = (rows[:, None] - self.pen.origin[1]) / self.pen.unit
        slope = strength * (light[0] * x + light[1] * y)
        self.gain *= 1.04 + np.clip(slope, -0.65, 0.3) - 0.1 * np.minimum(x**2 + y**2, 2.0)

    def paste(
        self, image: np.ndarray, owner: np.ndarray, number: int, blur: float = 0.0
    ) -> Region | None:
        """Composes the layer over the image.

        Args:
            image: (H, W, 3) uint8, changed in place.
            owner: (H, W) int32 map of visible regions, changed in place.
            number: what the pixels of this figure's region are called in `owner`, at least 1.
            blur: standard deviation of a Gaussian blur, image pixels.

        Returns:
            The whole region, or None where not one pixel is half covered.
        """
        left, top, right, bottom = self.window
        size = (right - left, bottom - top)
        patch = cv2.resize(self.canvas, size, interpolation=cv2.INTER_AREA)
        region = cv2.resize(self.mask, size, interpolation=cv2.INTER_AREA) > 127
        gain = cv2.resize(self.gain.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        # Premultiplied colours never exceed their alpha.
        patch[..., :3] = np.minimum(patch[..., :3] * gain[..., None], patch[..., 3:])
        if blur > 0:
            patch = cv2.GaussianBlur(patch, (0, 0), blur)
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(right, image.shape[1]), min(bottom, image.shape[0])
        if x0 < x1 and y0 < y1:
            inside = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
            shown = patch[inside]
            clear = 255 - shown[..., 3:].astype(np.uint16)
            below = image[y0:y1, x0:x1]
            below[:] = np.minimum(shown[..., :3] + (below * clear + 127) // 255, 255)
            owned = owner[y0:y1, x0:x1]
            owned[shown[..., 3] > 127] = 0
            owned[region[inside]] = number
        rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
        if not rows.size:
            return None
        box = (left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)
        return Region(tuple(int(edge) for edge in box), int(region.sum()))
