"""Cluttered places for the figures to stand in: a street, a park, a room, a stage, a grandstand."""

from __future__ import annotations

import cv2
import numpy as np
from .painter import Colour, Painter, mixed, scaled
from .style import CLOTH_COLOURS, pick


def fade(image: np.ndarray, top: int, bottom: int, first: Colour, last: Colour) -> None:
    """Fills the rows top…bottom with a vertical gradient."""
    share = np.linspace(0, 1, max(bottom - top, 1))[:, None, None]
    rows = np.asarray(first) * (1 - share) + np.asarray(last) * share
    image[top:bottom] = rows[: bottom - top].astype(np.uint8)


def draw_clutter(pen: Painter, rng: np.random.Generator, horizon: int, count: int) -> None:
    """Crates, planters and bags on the ground, with their shadows."""
    height, width = pen.canvas.shape[:2]
    for y in np.sort(rng.uniform(horizon, height, count)):
        x, size = rng.uniform(0, width), rng.uniform(0.04, 0.13) * height
        colour = scaled(pick(rng, CLOTH_COLOURS), rng.uniform(0.5, 1.0))
        tall = size * rng.uniform(0.5, 1.4)
        pen.ellipse((x + 0.2 * size, y), (size * 0.75, size * 0.16), (70, 66, 66))
        if rng.random() < 0.6:
            pen.box(x - size / 2, y - tall, x + size / 2, y, colour)
            pen.box(x - size / 2, y - tall, x + size / 2, y - 0.8 * tall, scaled(colour, 1.25))
            pen.box(x + size * 0.25, y - 0.8 * tall, x + size / 2, y, scaled(colour, 0.75))
        else:
            pen.box(x - size / 3, y - tall / 2, x + size / 3, y, scaled(colour, 0.8))
            for turn in np.linspace(0, 2 * np.pi, 9):
                leaf = (x + 0.35 * size * np.cos(turn), y - 0.75 * tall + 0.3 * tall * np.sin(turn))
                green = scaled((70, 128, 66), rng.uniform(0.6, 1.3))
                pen.ellipse(leaf, (0.28 * size, 0.14 * size), green, turn)


def draw_street(pen: Painter, rng: np.random.Generator) -> int:
    """Houses with windows above a paved ground. Returns the row where the ground begins."""
    height, width = pen.canvas.shape[:2]
    horizon = int(height * rng.uniform(0.28, 0.4))
    fade(pen.canvas, 0, horizon, (150, 190, 226), (232, 226, 214))
    x = -rng.uniform(0, 30)
    while x < width:
        wide = rng.uniform(0.12, 0.26) * width
        top = horizon * rng.uniform(0.0, 0.55)
        wall = mixed(pick(rng, CLOTH_COLOURS), (216, 196, 172), 0.6)
        pen.box(x, top, x + wide, horizon, wall)
        pen.box(x + wide * 0.9, top, x + wide, horizon, scaled(wall, 0.8))
        pen.box(x - 2, top - 4, x + wide + 2, top, scaled(wall, 0.6))
        step = rng.uniform(0.06, 0.09) * height
        for row in np.arange(top + 0.4 * step, horizon - step, step):
            for column in np.arange(x + 0.1 * wide, x + 0.8 * wide, 0.24 * wide):
                glass = pick(rng, ((86, 104, 124), (250, 220, 150), (60, 72, 88)))
                pen.box(column, row, column + 0.14 * wide, row + 0.62 * step, glass)
        x += wide
    fade(pen.canvas, horizon, height, (158, 152, 146), (112, 108, 110))
    for _ in range(9):
        y = horizon + (height - horizon) * rng.random() ** 1.5
        pen.box(0, y, width, y + 1, (136, 130, 128))
    for x in np.linspace(-width, 2 * width, 22):
        line = np.array(
            [(width / 2 + (x - width / 2) * 0.4, horizon), (x, height), (x + 1.5, height)]
        )
        pen.polygon(line, (134, 128, 126))
    return horizon


def draw_park(pen: Painter, rng: np.random.Generator) -> int:
    """Trees and hills above grass. Returns the row where the ground begins."""
    height, width = pen.canvas.shape[:2]
    horizon = int(height * rng.uniform(0.22, 0.36))
    fade(pen.canvas, 0, horizon, (126, 182, 224), (226, 236, 228))
    for _ in range(3):
        centre = (rng.uniform(0, width), horizon)
        pen.ellipse(centre, (width * rng.uniform(0.2, 0.5), horizon * 0.4), (146, 178, 142))
    for x in rng.uniform(0, width, 7):
        size = horizon * rng.uniform(0.35, 0.6)
        pen.box(x - 0.1 * size, horizon - size, x + 0.1 * size, horizon + 4, (92, 68, 50))
        green = mixed((58, 112, 60), (150, 150, 60), rng.random())
        for _ in range(7):
            dx, dy = rng.uniform(-0.5, 0.5, 2) * size
            pen.ellipse(
                (x + dx, horizon - size + dy * 0.8),
                (0.4 * size,) * 2,
                scaled(green, rng.uniform(0.75, 1.2)),
            )
    fade(pen.canvas, horizon, height, (140, 172, 96), (82, 126, 62))
    for x, y in rng.uniform((0, horizon), (width, height), (90, 2)):
        pen.ellipse((x, y), (5, 1.2), scaled((104, 150, 74), rng.uniform(0.75, 1.3)))
    path = np.array(
        [
            (width * 0.45, horizon),
            (width * 0.52, horizon),
            (width * 0.9, height),
            (width * 0.3, height),
        ]
    )
    pen.polygon(path, (204, 188, 152))
    return horizon


def draw_room(pen: Painter, rng: np.random.Generator) -> int:
    """A wall with shelves, pictures and a window above a plank floor."""
    height, width = pen.canvas.shape[:2]
    horizon = int(height * rng.uniform(0.34, 0.5))
    wall = mixed(pick(rng, CLOTH_COLOURS), (226, 214, 196), 0.65)
    fade(pen.canvas, 0, horizon, scaled(wall, 1.05), scaled(wall, 0.85))
    x = width * rng.uniform(0.05, 0.6)
    pen.box(x, horizon * 0.08, x + width * 0.26, horizon * 0.66, (246, 244, 238))
    pen.box(x + 4, horizon * 0.08 + 4, x + width * 0.26 - 4, horizon * 0.66 - 4, (164, 204, 228))
    pen.box(
        x + width * 0.13 - 2, horizon * 0.08, x + width * 0.13 + 2, horizon * 0.66, (246, 244, 238)
    )
    for _ in range(4):
        x, y = rng.uniform(0, width * 0.9), rng.uniform(0, horizon * 0.5)
        wide, tall = rng.uniform(0.06, 0.15, 2) * width
        pen.box(x, y, x + wide, y + tall, (92, 70, 52))
        pen.box(x + 3, y + 3, x + wide - 3, y + tall - 3, pick(rng, CLOTH_COLOURS))
        pen.box(x + 3, y + 0.6 * tall, x + wide - 3, y + tall - 3, pick(rng, CLOTH_COLOURS))
    shelf = horizon * rng.uniform(0.7, 0.82)
    pen.box(0, shelf, width, shelf + 4, (118, 86, 58))
    x = 0.0
    while x < width:
        wide = rng.uniform(4, 11)
        tall = rng.uniform(0.1, 0.22) * horizon
        pen.box(x, shelf - tall, x + wide - 1, shelf, scaled(pick(rng, CLOTH_COLOURS), 0.85))
        x += wide if rng.random() < 0.8 else wide * 3
    fade(pen.canvas, horizon, height, (186, 142, 100), (140, 98, 66))
    for x in np.linspace(-width, 2 * width, 26):
        line = np.array(
            [(width / 2 + (x - width / 2) * 0.5, horizon), (x, height), (x + 1.8, height)]
        )
        pen.polygon(line, (134, 94, 62))
    pen.box(0, horizon - 4, width, horizon + 2, (238, 232, 220))
    return horizon


def draw_stage(pen: Painter, rng: np.random.Generator) -> int:
    """A curtain with spotlights above a stage floor."""
    height, width = pen.canvas.shape[:2]
    horizon = int(height * rng.uniform(0.3, 0.45))
    curtain = scaled(pick(rng, ((150, 30, 44), (60, 44, 110), (24, 78, 92))), 1.0)
    fade(pen.canvas, 0, horizon, scaled(curtain, 0.5), curtain)
    for x in np.arange(0, width, width / 18):
        pen.box(x, 0, x + width / 50, horizon, scaled(curtain, 0.65))
        pen.box(x + width / 36, 0, x + width / 28, horizon, scaled(curtain, 1.25))
    fade(pen.canvas, horizon, height, (92, 70, 60), (56, 44, 46))
    for _ in range(4):
        x, foot, y = rng.uniform(0, width), rng.uniform(0, width), rng.uniform(horizon, height)
        beam = np.zeros_like(pen.canvas)
        glow = pick(rng, ((90, 80, 50), (40, 70, 96), (96, 50, 80)))
        reach = rng.uniform(0.1, 0.2) * width
        Painter(beam).polygon(np.array([(x, -5), (foot - reach, y), (foot + reach, y)]), glow)
        Painter(beam).ellipse((foot, y), (reach, reach * 0.3), glow)
        cv2.add(pen.canvas, beam, dst=pen.canvas)
    return horizon


def draw_grandstand(pen: Painter, rng: np.random.Generator) -> int:
    """Rows of seats from top to bottom."""
    height, width = pen.canvas.shape[:2]
    seat = mixed(pick(rng, CLOTH_COLOURS), (90, 96, 110), 0.6)
    for y in np.arange(0, height, 16):
        fade(pen.canvas, y, min(y + 16, height), scaled(seat, 1.15), scaled(seat, 0.6))
        for x in np.arange(0, width, 14):
            pen.box(x + 1, y + 5, x + 12, y + 15, scaled(seat, rng.uniform(0.7, 1.1)))
    return 0


BACKGROUNDS = {
    "Street": draw_street,
    "Park": draw_park,
    "Room": draw_room,
    "Stage": draw_stage,
    "Crowd": draw_grandstand,
}


def draw_background(rng: np.random.Generator, size: tuple[int, int], place: str) -> np.ndarray:
    """An empty place of this (height, width): (H, W, 3) uint8, red first."""
    image = np.zeros((*size, 3), np.uint8)
    pen = Painter(image)
    horizon = BACKGROUNDS[place](pen, rng)
    if place != "Crowd":
        draw_clutter(pen, rng, horizon, rng.integers(5, 12))
    # Slow stains of light and shade make flat colours look less drawn.
    stains = rng.normal(0, 8, (size[0] // 24 + 2, size[1] // 24 + 2)).astype(np.float32)
    stains = cv2.resize(stains, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(image + stains[..., None], 0, 255).astype(np.uint8)
