"""Bodies under the heads, and the objects and hands that hide parts of faces."""

from __future__ import annotations

import numpy as np
from .painter import Colour, Painter, ellipse_points, mixed, scaled
from .style import CLOTH_COLOURS, pick


def draw_body(pen: Painter, rng: np.random.Generator, skin: Colour, roll: float) -> None:
    """Neck, shoulders, arms and legs of a person whose head centre is the pen's origin."""
    cloth, trousers = pick(rng, CLOTH_COLOURS), scaled(pick(rng, CLOTH_COLOURS), 0.55)
    lean = -0.35 * np.sin(roll)  # the neck goes where the chin is
    for side in (-1, 1):
        leg = [(side * 0.08, 4.3), (side * 1.0, 4.2), (side * 0.86, 7.6), (side * 0.3, 7.6)]
        pen.polygon(np.array(leg), scaled(trousers, 1.0 if side > 0 else 0.85))
        shoe = ellipse_points((side * 0.66, 7.65), (0.48, 0.22))
        pen.polygon(shoe, (44, 40, 44))
    sway = rng.uniform(-0.15, 0.15)
    for side in (-1, 1):
        arm = [
            (side * 1.2, 1.62),
            (side * 1.68, 2.1),
            (side * (1.74 + sway), 4.3),
            (side * 1.3, 4.35),
        ]
        pen.polygon(np.array(arm), scaled(cloth, 0.8 if side < 0 else 0.9))
        pen.ellipse((side * (1.52 + sway / 2), 4.5), (0.24, 0.28), scaled(skin, 0.92))
    torso = np.array(
        [
            (-0.34, 1.26), (0.34, 1.26), (1.05, 1.46), (1.42, 1.85), (1.3, 2.9), (1.14, 4.6),
            (-1.14, 4.6), (-1.3, 2.9), (-1.42, 1.85), (-1.05, 1.46),
        ]
    )  # fmt: skip
    pen.polygon(torso, cloth)
    pen.polygon(torso * (0.5, 1) - (0.66, 0), scaled(cloth, 0.88))
    if rng.random() < 0.35:
        stripe = scaled(pick(rng, CLOTH_COLOURS), 1.05)
        for y in np.arange(2.1, 4.4, rng.uniform(0.5, 0.9)):
            pen.box(-1.24, y, 1.24, y + 0.2, stripe)
    elif rng.random() < 0.4:
        pen.polygon(np.array([(-0.36, 1.3), (0.36, 1.3), (0, 2.7)]), (240, 238, 232))
        pen.polygon(
            np.array([(-0.1, 1.5), (0.1, 1.5), (0.14, 2.5), (0, 2.75), (-0.14, 2.5)]), trousers
        )
    neck = np.array(
        [(-0.36 + lean, 0.6), (0.36 + lean, 0.6), (0.42, 1.36), (0, 1.62), (-0.42, 1.36)]
    )
    pen.polygon(neck, scaled(skin, 0.8))


def occlude_with_pole(pen: Painter, rng: np.random.Generator, share: float, width: float) -> None:
    """A post in front of the head that leaves some of both cheeks."""
    colour = scaled(pick(rng, CLOTH_COLOURS), rng.uniform(0.4, 0.9))
    middle = rng.uniform(-0.7, 0.7) * width * (1 - share)
    left, right = middle - share * width, middle + share * width
    slant = rng.uniform(-0.12, 0.12)
    for start, end, shade in ((0, 1, 1.0), (0.1, 0.35, 1.35), (0.7, 1, 0.7)):
        a, b = left + (right - left) * start, left + (right - left) * end
        corners = [(a - 3 * slant, -3), (b - 3 * slant, -3), (b + 8 * slant, 8), (a + 8 * slant, 8)]
        pen.polygon(np.array(corners), scaled(colour, shade))


def occlude_with_sign(pen: Painter, rng: np.random.Generator, share: float, width: float) -> None:
    """A sheet or box held in front of the lower face by two hands."""
    top, reach = 1 - 2 * share, rng.uniform(1.05, 1.7)
    bottom = top + rng.uniform(1.5, 2.6)
    colour = pick(rng, CLOTH_COLOURS)
    pen.box(-reach, top, reach, bottom, scaled(colour, 0.6))
    pen.box(-reach + 0.07, top + 0.07, reach - 0.07, bottom - 0.07, colour)
    ink = scaled(colour, 0.45 if sum(colour) > 380 else 1.9)
    for line in np.arange(top + 0.35, bottom - 0.3, 0.42):
        pen.box(-reach * 0.75, line, reach * rng.uniform(0.1, 0.75), line + 0.16, ink)
    hand = mixed((230, 184, 144), (120, 80, 54), rng.random())
    for side in (-1, 1):
        pen.ellipse((side * reach, top + 1.0), (0.2, 0.3), hand)


def occlude_with_hand(pen: Painter, rng: np.random.Generator, share: float, width: float) -> None:
    """A raised hand with spread fingers, from below or from a side."""
    side = pick(rng, (-1, 1))
    skin = mixed((244, 202, 168), (120, 80, 54), rng.random())
    x, y = side * width * (1.15 - 1.25 * share), 1.25 - 1.1 * share
    tilt = -side * rng.uniform(0.0, 0.5)
    forearm = np.array(
        [(x - 0.32, y), (x + 0.32, y), (x + side * 0.9 + 0.3, 4.6), (x + side * 0.9 - 0.4, 4.6)]
    )
    pen.polygon(forearm, scaled(skin, 0.84))
    pen.ellipse((x, y), (0.52 + 0.25 * share, 0.56 + 0.25 * share), scaled(skin, 0.94))
    for finger in np.linspace(-0.42, 0.42, 4):
        angle = tilt + finger * 0.8
        tip = (x + finger + 0.5 * np.sin(angle), y - 0.62 * np.cos(angle))
        pen.ellipse(tip, (0.13, 0.5), scaled(skin, 0.8), angle)
        pen.ellipse(tip, (0.1, 0.47), skin, angle)


def occlude_with_leaves(pen: Painter, rng: np.random.Generator, share: float, width: float) -> None:
    """A branch across the head."""
    green = mixed((52, 112, 62), (120, 146, 60), rng.random())
    direction = rng.uniform(-0.5, 0.5) + pick(rng, (0.0, np.pi / 2))
    along = np.array([np.cos(direction), np.sin(direction)])
    across = np.array([-along[1], along[0]])
    # Leaves reach about a quarter of their length beyond the line of their centres.
    half = max(share * (1.0 if abs(along[0]) > 0.5 else width) - 0.1, 0.0)
    middle = rng.uniform(-0.5, 0.5) * (1 - share)
    for offset in middle + np.linspace(-half, half, 2 + int(half / 0.17)):
        for place in np.arange(-1.7, 1.71, 0.34):
            centre = along * (place + rng.uniform(-0.1, 0.1)) + across * (
                offset + rng.uniform(-0.05, 0.05)
            )
            colour = scaled(green, rng.uniform(0.65, 1.3))
            pen.ellipse(tuple(centre), (0.4, 0.22), colour, rng.uniform(0, np.pi))


OCCLUDERS = (occlude_with_pole, occlude_with_sign, occlude_with_hand, occlude_with_leaves)
