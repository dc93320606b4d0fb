"""Hair, hats and scarves of the drawn heads."""

from __future__ import annotations

import numpy as np
from .painter import Painter, ellipse_points, scaled
from .style import FaceStyle

LOCK_REACH = {"long": 1.9, "bob": 0.95}  # how far the hair hangs, in figure units


def draw_hair_back(pen: Painter, style: FaceStyle) -> None:
    """What lies behind the face: long hair, buns, the folds of a scarf."""
    width, dark = style.width, scaled(style.hair, 0.72)
    if style.hair_style in LOCK_REACH:
        reach = LOCK_REACH[style.hair_style]
        top = ellipse_points((0, -0.3), (width + 0.2, 0.95), arc=(np.pi, 2 * np.pi))
        tips = [(width + 0.32, reach), (0.0, reach + 0.1), (-width - 0.32, reach)]
        pen.polygon(np.concatenate([top, tips]), dark)
    elif style.hair_style == "bun":
        pen.ellipse((0.1, -1.42), (0.38, 0.34), style.hair)
    elif style.hair_style == "scarf":
        pen.ellipse((0, 0.02), (width + 0.26, 1.3), style.accent)
        pen.ellipse((0, 1.25), (width + 0.1, 0.5), scaled(style.accent, 0.85))
    if style.hair_style not in ("bald", "scarf"):
        pen.ellipse((0, -0.32), (width + 0.1, 0.94), dark)


def hairline(style: FaceStyle, height: float, depth: float) -> np.ndarray:
    """The closed band between the crown of the head and the forehead, (N, 2).

    Args:
        style: whose head.
        height: y of the middle of the forehead edge.
        depth: y where the band ends at the temples.
    """
    width = style.width
    crown = ellipse_points((0, -0.28), (width + 0.1, 0.96), arc=(np.pi, 2 * np.pi))
    turn = np.linspace(0, np.pi, 15)
    # A turned head shows more hair at the side it turns away from.
    side = 0.5 * np.sin(style.yaw)
    x = np.clip(side + (width - 0.02) * np.cos(turn), -width - 0.05, width + 0.05)
    y = depth + (height - depth) * np.sin(turn) ** 0.6
    return np.concatenate(
        [crown, [(width + 0.1, depth)], np.stack([x, y], axis=1), [(-width - 0.1, depth)]]
    )


def draw_hair_front(pen: Painter, style: FaceStyle) -> None:
    """What lies on the head: fringe, curls, the rim of a hat."""
    kind, width, light = style.hair_style, style.width, scaled(style.hair, 1.3)
    if kind == "bald":
        return
    if kind == "scarf":
        ring = ellipse_points((0, 0.02), (width + 0.26, 1.3))
        opening = ellipse_points((0.1 * np.sin(style.yaw), 0.1), (width - 0.03, 0.94))
        pen.polygon(np.concatenate([ring, opening[::-1]]), style.accent)
        pen.stroke(
            ellipse_points((0, 0.05), (width + 0.1, 1.12), arc=(3.4, 6.0)),
            0.07,
            scaled(style.accent, 1.2),
        )
        return
    if kind in ("cap", "beanie"):
        draw_hat(pen, style)
        return
    height, depth = {
        "short": (-0.68, -0.3),
        "parted": (-0.6, -0.1),
        "long": (-0.66, 0.35),
        "bob": (-0.5, 0.3),
        "bun": (-0.72, -0.2),
        "curly": (-0.66, -0.1),
    }[kind]
    pen.polygon(hairline(style, height, depth), style.hair)
    if kind == "curly":
        for turn in np.linspace(np.pi * 0.92, np.pi * 2.08, 11):
            x, y = (width + 0.08) * np.cos(turn), -0.3 + 0.95 * np.sin(turn)
            pen.ellipse((x, y), (0.24, 0.22), scaled(style.hair, 0.95 + 0.12 * np.sin(5 * turn)))
    elif kind == "parted":
        sweep = np.array(
            [(-0.2, -1.18), (width, -0.75), (width + 0.04, -0.25), (0.2, -0.66), (-0.35, -0.72)]
        )
        pen.polygon(sweep, scaled(style.hair, 1.12))
    # A soft gleam that follows the crown.
    for inset, shine in ((0.16, 1.14), (0.22, 1.0)):
        arc = ellipse_points((0, -0.3), (width - inset, 0.92 - inset), arc=(3.75, 5.1), count=14)
        pen.stroke(arc, 0.1, scaled(light, shine / 1.14))


def draw_hat(pen: Painter, style: FaceStyle) -> None:
    """A cap with its peak or a knitted hat."""
    width, cloth = style.width, style.accent
    dome = ellipse_points((0, -0.52), (width + 0.12, 0.84), arc=(np.pi, 2 * np.pi))
    pen.polygon(hairline(style, -0.5, -0.05), style.hair)
    pen.polygon(np.concatenate([dome, [(0.0, -0.5)]]), cloth)
    if style.hair_style == "cap":
        shift = 0.35 * np.sin(style.yaw)
        pen.ellipse((shift, -0.58), (width + 0.12, 0.15), scaled(cloth, 0.7))
        pen.stroke(np.array([(0.0, -1.34), (0.02, -1.0), (0.04, -0.68)]), 0.05, scaled(cloth, 0.75))
    else:
        band = np.array(
            [
                (-width - 0.14, -0.74),
                (width + 0.14, -0.74),
                (width + 0.14, -0.46),
                (-width - 0.14, -0.46),
            ]
        )
        pen.polygon(band, scaled(cloth, 0.8))
        pen.ellipse((0, -1.42), (0.2, 0.18), scaled(cloth, 1.2))
