"""Drawn heads: the features of a face on a head that turns, tilts and speaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from .hair import draw_hair_back, draw_hair_front
from .painter import Painter, Sprite, ellipse_points, mixed, scaled
from .style import FaceStyle

HEAD_EXTENT = (-2.0, -2.0, 2.0, 2.3)  # units around the face that hair, hats and scarves may take


@dataclass(frozen=True)
class FeatureLayout:
    """Where the parts of a face sit on the head, in figure units before it turns."""

    eyes: tuple[tuple[float, float], ...] = ((-0.34, -0.12), (0.34, -0.12))
    brows: tuple[tuple[float, float], ...] = ((-0.35, -0.36), (0.35, -0.36))
    noses: tuple[tuple[float, float], ...] = ((0.0, 0.2),)
    mouths: tuple[tuple[float, float], ...] = ((0.0, 0.58),)


def head_outline(style: FaceStyle, grow: float = 0.0) -> np.ndarray:
    """Contour of the face, forehead to chin: y spans exactly [-1, 1] when `grow` is 0. (48, 2)."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    y = -np.cos(turn)
    jaw = 1 - 0.2 * np.maximum(y, 0) ** 2
    width = style.width * (1 - 0.08 * abs(np.sin(style.yaw)))
    return np.stack([(width + grow) * np.sin(turn) * jaw, (1 + grow) * y], axis=1)


class TurnedHead:
    """Maps points on the front of a head to where they show once it has turned."""

    def __init__(self, style: FaceStyle):
        self.style = style
        self.cos_yaw, self.sin_yaw = np.cos(style.yaw), np.sin(style.yaw)

    def __call__(self, points: np.ndarray, lift: float = 0.0) -> np.ndarray:
        """Frontal points (N, 2), `lift` units above the skin, as they appear: (N, 2)."""
        x, y = np.asarray(points, float).T
        radius = self.style.width
        depth = (
            0.72 * np.sqrt(np.clip(1 - (x / (1.15 * radius)) ** 2 - (y / 1.3) ** 2, 0, 1)) + lift
        )
        shown_x = x * self.cos_yaw + depth * self.sin_yaw * radius
        shown_y = y + depth * 0.6 * self.style.pitch
        return np.stack([shown_x, shown_y], axis=1)

    def shows(self, x: float) -> bool:
        """Whether a frontal point at this x is still on the side that faces the viewer."""
        return abs(np.arcsin(np.clip(x / (1.15 * self.style.width), -1, 1)) + self.style.yaw) < 1.25


def draw_eye(pen: Painter, turned: TurnedHead, centre: tuple[float, float]) -> None:
    """One eye in its shaded socket, lid and highlight included."""
    if not turned.shows(centre[0]):
        return
    style, (x, y) = turned.style, centre
    pen.polygon(turned(ellipse_points(centre, (0.25, 0.17))), scaled(style.skin, 0.8))
    pen.polygon(turned(ellipse_points(centre, (0.19, 0.105))), (246, 244, 240))
    pen.polygon(turned(ellipse_points((x, y + 0.005), (0.105, 0.105))), style.eye)
    pen.polygon(turned(ellipse_points((x, y + 0.005), (0.055, 0.055))), (14, 12, 12))
    pen.polygon(turned(ellipse_points((x - 0.04, y - 0.04), (0.026, 0.026))), (255, 255, 255))
    lid = ellipse_points(centre, (0.21, 0.12), arc=(np.pi, 2 * np.pi), count=12)
    pen.stroke(turned(lid), 0.07, scaled(style.skin, 0.22))


def draw_brow(pen: Painter, turned: TurnedHead, centre: tuple[float, float]) -> None:
    """One eyebrow, arched outwards."""
    style, (x, y) = turned.style, centre
    if not turned.shows(x):
        return
    side = np.sign(x) or 1.0
    across = np.linspace(-0.2, 0.2, 9)
    arch = (
        y - style.brow_raise - 0.06 * np.cos(across / 0.2 * 1.3) + 0.1 * style.smile * across * side
    )
    colour = mixed(style.hair, (40, 30, 26), 0.5)
    pen.stroke(turned(np.stack([x + across, arch], axis=1)), 0.1, colour)


def draw_nose(pen: Painter, turned: TurnedHead, centre: tuple[float, float]) -> None:
    """A nose whose tip stands out of the head, with a lit bridge and nostrils."""
    style, (x, y) = turned.style, centre
    bridge = turned(np.array([[x, y - 0.34]]), 0.04)[0]
    tip = turned(np.array([[x, y + 0.06]]), 0.24)[0]
    left, right = turned(np.array([[x - 0.15, y + 0.1], [x + 0.15, y + 0.1]]), 0.06)
    pen.polygon(np.array([bridge, left, tip + (0, 0.06), right]), scaled(style.skin, 0.86))
    pen.stroke(np.linspace(bridge, tip, 6), 0.09, scaled(style.skin, 1.1))
    pen.ellipse(tuple(tip), (0.1, 0.075), scaled(style.skin, 1.04))
    for nostril in (left, right):
        shown = nostril * 0.6 + tip * 0.4 + (0, 0.05)
        pen.ellipse(tuple(shown), (0.04, 0.026), scaled(style.skin, 0.45))


def draw_mouth(pen: Painter, turned: TurnedHead, centre: tuple[float, float]) -> None:
    """Lips, closed or open with teeth."""
    style, (x, y) = turned.style, centre
    lip = mixed(scaled(style.skin, 0.62), (176, 44, 52), 0.5)
    across = np.linspace(-0.29, 0.29, 13)
    bend = style.smile * (1 - (across / 0.29) ** 2)
    profile = np.sqrt(1 - (across / 0.3) ** 2)
    line = np.stack([x + across, y + bend - 0.04], axis=1)
    drop = 0.09 + 0.22 * style.mouth_open
    upper = line - np.stack([0 * across, 0.075 * profile], axis=1)
    lower = line + np.stack([0 * across, drop * profile], axis=1)
    pen.polygon(turned(np.concatenate([upper, lower[::-1]]), 0.03), lip)
    if style.mouth_open > 0.12:
        inner = line + np.stack([0 * across, (drop - 0.07) * profile], axis=1)
        pen.polygon(turned(np.concatenate([line, inner[::-1]]), 0.03), (58, 18, 22))
        teeth = line[2:-2] + np.stack([0 * across, 0.35 * (drop - 0.07) * profile], axis=1)[2:-2]
        pen.polygon(turned(np.concatenate([line[2:-2], teeth[::-1]]), 0.03), (240, 236, 228))
    else:
        pen.stroke(turned(line, 0.03), 0.045, scaled(lip, 0.45))


def draw_features(pen: Painter, style: FaceStyle, layout: FeatureLayout) -> None:
    """The parts of a face wherever the layout puts them."""
    turned = TurnedHead(style)
    for x in (-0.42, 0.42):
        if turned.shows(x) and layout.noses:
            cheek = mixed(style.skin, (226, 110, 96), 0.16)
            pen.polygon(turned(ellipse_points((x, 0.28), (0.17, 0.13))), cheek)
    for draw, centres in (
        (draw_eye, layout.eyes),
        (draw_brow, layout.brows),
        (draw_nose, layout.noses),
        (draw_mouth, layout.mouths),
    ):
        for centre in centres:
            draw(pen, turned, centre)


def draw_beard(pen: Painter, style: FaceStyle) -> None:
    """A short beard along the jaw, under the mouth's colours."""
    outline = head_outline(style)
    jaw = outline[outline[:, 1] > 0.1]
    inner = jaw * (0.66, 0.4) + (0.3 * np.sin(style.yaw), 0.2)
    pen.polygon(np.concatenate([jaw, inner[::-1]]), mixed(style.hair, style.skin, 0.2))


def draw_glasses(pen: Painter, style: FaceStyle, layout: FeatureLayout) -> None:
    """Thin round frames on both eyes."""
    turned = TurnedHead(style)
    for centre in layout.eyes:
        if turned.shows(centre[0]):
            rim = turned(ellipse_points(centre, (0.28, 0.24), count=25), 0.05)
            hole = turned(ellipse_points(centre, (0.24, 0.2), count=25), 0.05)
            pen.polygon(np.concatenate([rim, hole[::-1]]), (36, 34, 40))
    pen.stroke(
        turned(np.array([[-0.1, -0.14], [0, -0.17], [0.1, -0.14]]), 0.05), 0.06, (36, 34, 40)
    )


def draw_head(
    sprite: Sprite, style: FaceStyle, layout: FeatureLayout | None = None, hair: bool = True
) -> None:
    """Draws a whole head and marks forehead to chin as the sprite's region.

    Args:
        sprite: the layer to draw on.
        style: the looks of the person.
        layout: where the features go; by default where they belong.
        hair: whether hair and hats are drawn.
    """
    layout = layout or FeatureLayout()
    pen, outline = sprite.pen, head_outline(style)
    if hair:
        draw_hair_back(pen, style)
    ear_shift = -0.2 * np.sin(style.yaw)
    for side in (-1, 1):
        if side * style.yaw < 0.5:
            pen.ellipse(
                (side * style.width + ear_shift * 0.3, 0), (0.13, 0.22), scaled(style.skin, 0.88)
            )
    pen.polygon(outline, style.skin)
    if style.beard:
        draw_beard(pen, style)
    draw_features(pen, style, layout)
    if style.glasses:
        draw_glasses(pen, style, layout)
    if hair:
        draw_hair_front(pen, style)
    sprite.mark(outline)
    sprite.shade(style.light, style.light_strength)
