"""Things that look like faces at first sight and are none: what a detector must learn to reject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from .faces import FeatureLayout, draw_features, draw_head, head_outline
from .hair import LOCK_REACH, draw_hair_back
from .painter import Sprite, box_points, ellipse_points, scaled
from .style import CLOTH_COLOURS, SKIN_TONES, FaceStyle, pick

# Faces whose parts are missing or in the wrong places.
SCRAMBLED_LAYOUTS = (
    FeatureLayout(eyes=((-0.34, 0.55), (0.34, -0.5)), brows=(), noses=(), mouths=((0.0, 0.05),)),
    FeatureLayout(eyes=((0.0, -0.45), (0.0, 0.45)), brows=(), noses=(), mouths=()),
    FeatureLayout(eyes=(), brows=(), noses=(), mouths=((0.0, -0.4), (0.0, 0.1), (0.0, 0.6))),
    FeatureLayout(eyes=((0.0, 0.0),), brows=(), noses=(), mouths=((-0.3, -0.6), (0.3, 0.6))),
    FeatureLayout(eyes=(), brows=(), noses=((0.0, 0.0),), mouths=((0.0, -0.5),)),
    FeatureLayout(
        eyes=((-0.4, -0.5), (0.4, 0.1), (-0.35, 0.6)), brows=(), noses=(), mouths=((0.2, -0.45),)
    ),
)


def disc(sprite: Sprite, colour, radii: tuple[float, float] = (0.95, 1.0)) -> None:
    """A round body with a darker rim, marked as the sprite's region."""
    sprite.pen.ellipse((0, 0), radii, scaled(colour, 0.7))
    sprite.pen.ellipse((0, 0), (radii[0] - 0.08, radii[1] - 0.08), colour)
    sprite.mark(ellipse_points((0, 0), radii))


def draw_ball(sprite: Sprite, rng: np.random.Generator, style: FaceStyle) -> None:
    """A striped beach ball or a spotted one."""
    first, second = pick(rng, CLOTH_COLOURS), pick(rng, CLOTH_COLOURS)
    disc(sprite, first, (1.0, 1.0))
    if rng.random() < 0.5:
        for x in (-0.6, 0.0, 0.6):
            half = 0.92 * np.sqrt(1 - x**2)
            sprite.pen.ellipse((x, 0), (0.16, half), scaled(second, 0.9))
    else:
        for _ in range(6):
            radius, turn = 0.68 * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
            centre = (radius * np.cos(turn), radius * np.sin(turn))
            sprite.pen.ellipse(centre, (0.2, 0.2), second)
    sprite.pen.ellipse((-0.35, -0.45), (0.16, 0.1), (255, 255, 255), -0.6)
    sprite.shade(style.light, style.light_strength)


def draw_clock(sprite: Sprite, rng: np.random.Generator, style: FaceStyle) -> None:
    """A dial with ticks and two hands."""
    disc(sprite, pick(rng, ((244, 240, 228), (226, 210, 176), (60, 64, 74))), (1.0, 1.0))
    ink = (36, 34, 38) if sprite.pen.canvas.max() > 200 else (236, 232, 220)
    for turn in np.arange(12) * np.pi / 6:
        ray = np.array([np.cos(turn), np.sin(turn)])
        sprite.pen.stroke(np.linspace(0.72 * ray, 0.88 * ray, 3), 0.1, ink)
    for reach, width in ((0.46, 0.16), (0.7, 0.1)):
        turn = rng.uniform(0, 2 * np.pi)
        hand = np.array([np.cos(turn), np.sin(turn)]) * reach
        sprite.pen.stroke(np.linspace(-0.15 * hand, hand, 5), width, ink)
    sprite.shade(style.light, style.light_strength)


def draw_marked_disc(sprite: Sprite, rng: np.random.Generator, style: FaceStyle) -> None:
    """A skin-coloured disc with marks at random."""
    disc(sprite, pick(rng, SKIN_TONES), (rng.uniform(0.75, 1.0), 1.0))
    for _ in range(rng.integers(3, 8)):
        radius, turn = 0.7 * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        centre = np.array([radius * np.cos(turn), radius * np.sin(turn)])
        reach = rng.uniform(0.08, 0.3) * np.array([np.cos(3 * turn), np.sin(3 * turn)])
        mark = np.linspace(centre - reach, centre + reach, 5)
        sprite.pen.stroke(mark, rng.uniform(0.08, 0.2), scaled(style.hair, rng.uniform(0.6, 1.2)))
    sprite.shade(style.light, style.light_strength)


def draw_blank_head(sprite: Sprite, rng: np.random.Generator, style: FaceStyle) -> None:
    """The head of a shop-window dummy: skin and shading, no features."""
    bare = replace(style, beard=False, glasses=False)
    draw_head(sprite, bare, FeatureLayout((), (), (), ()), hair=rng.random() < 0.25)


def draw_scrambled_head(sprite: Sprite, rng: np.random.Generator, style: FaceStyle) -> None:
    """A head whose features are missing or misplaced."""
    bare = replace(style, beard=False, glasses=False)
    draw_head(sprite, bare, pick(rng, SCRAMBLED_LAYOUTS), hair=rng.random() < 0.35)


def draw_back_of_head(sprite: Sprite, rng: np.random.Generator, style: FaceStyle) -> None:
    """Somebody seen from behind."""
    outline = head_outline(style, grow=0.06)
    draw_hair_back(sprite.pen, style)
    covered = style.hair_style not in ("bald", "scarf", "cap", "beanie")
    colour = style.hair if covered else (style.skin if style.hair_style == "bald" else style.accent)
    hides_neck = style.hair_style in (*LOCK_REACH, "scarf")
    if not hides_neck:
        sprite.pen.polygon(outline, scaled(style.skin, 0.9))
    nape = 0.98 if hides_neck else 0.72 if covered else 0.5
    hair = np.minimum(head_outline(style, grow=0.14), (np.inf, nape))
    sprite.pen.polygon(hair, colour)
    for x in np.linspace(-0.52, 0.52, 7):
        fall = np.linspace(0, 1, 7)
        strand = np.stack([x * (0.3 + 0.7 * fall**0.5), -0.95 + (nape + 0.7) * fall], axis=1)
        sprite.pen.stroke(strand, 0.09, scaled(colour, 1.12 if x < 0 else 0.88))
    sprite.mark(outline)
    sprite.shade(style.light, style.light_strength)


def draw_eyes_in_the_dark(sprite: Sprite, rng: np.random.Generator, style: FaceStyle) -> None:
    """A pair of eyes looking out of a letter box, a burrow or a window: eyes without a face."""
    colour = scaled(pick(rng, CLOTH_COLOURS), 0.5)
    frame = box_points(-0.95, -1, 0.95, 1)
    sprite.pen.polygon(frame, scaled(colour, 1.6))
    sprite.pen.polygon(frame * 0.86, colour)
    layout = FeatureLayout(brows=(), noses=(), mouths=())
    draw_features(sprite.pen, style, layout)
    sprite.mark(frame)


def draw_socket(sprite: Sprite, rng: np.random.Generator, style: FaceStyle) -> None:
    """A button or a socket: a disc with round holes in a regular pattern."""
    disc(sprite, pick(rng, CLOTH_COLOURS), (0.98, 1.0))
    count = rng.integers(2, 6)
    start = rng.uniform(0, np.pi)
    for turn in start + np.arange(count) * 2 * np.pi / count:
        sprite.pen.ellipse((0.45 * np.cos(turn), 0.45 * np.sin(turn)), (0.15, 0.15), (30, 26, 30))
    sprite.shade(style.light, style.light_strength)


Distractor = Callable[[Sprite, np.random.Generator, FaceStyle], None]

# With a body below, so that bodies do not give faces away.
BODILY: frozenset[Distractor] = frozenset((draw_blank_head, draw_scrambled_head, draw_back_of_head))

# How often each is drawn. The last ones are hard to tell from a face that is half hidden.
SHARES: dict[Distractor, float] = {
    draw_ball: 0.26,
    draw_clock: 0.22,
    draw_socket: 0.2,
    draw_marked_disc: 0.14,
    draw_back_of_head: 0.08,
    draw_blank_head: 0.04,
    draw_scrambled_head: 0.03,
    draw_eyes_in_the_dark: 0.03,
}


def pick_distractor(rng: np.random.Generator) -> Distractor:
    """One kind of distractor, drawn by its share."""
    kinds = tuple(SHARES)
    return kinds[rng.choice(len(kinds), p=tuple(SHARES.values()))]
