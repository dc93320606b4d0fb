"""The looks of drawn people, sampled from a seeded generator: skin, hair, pose, light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from .painter import Colour, scaled

SKIN_TONES: tuple[Colour, ...] = (
    (255, 224, 196),
    (244, 202, 168),
    (230, 184, 144),
    (208, 155, 112),
    (176, 122, 82),
    (140, 92, 60),
    (104, 68, 46),
)
HAIR_COLOURS: tuple[Colour, ...] = (
    (32, 26, 24),
    (58, 38, 26),
    (96, 60, 34),
    (146, 92, 44),
    (206, 164, 96),
    (160, 70, 36),
    (176, 176, 178),
    (70, 62, 86),
)
CLOTH_COLOURS: tuple[Colour, ...] = (
    (196, 62, 58),
    (44, 96, 156),
    (58, 134, 96),
    (232, 178, 70),
    (110, 78, 140),
    (236, 232, 222),
    (52, 58, 72),
    (214, 120, 142),
    (90, 168, 184),
    (150, 116, 86),
)
HAIR_STYLES = ("short", "parted", "long", "bob", "bun", "curly", "bald", "cap", "beanie", "scarf")

ATYPICAL_ROLL = np.deg2rad(25)
ATYPICAL_YAW = np.deg2rad(38)


@dataclass(frozen=True)
class FaceStyle:
    """Everything that makes one drawn head differ from another (angles in radians)."""

    skin: Colour
    hair: Colour
    eye: Colour
    accent: Colour
    hair_style: str
    width: float
    yaw: float
    pitch: float
    roll: float
    smile: float
    mouth_open: float
    brow_raise: float
    beard: bool
    glasses: bool
    light: tuple[float, float]
    light_strength: float

    @property
    def exaggerated(self) -> bool:
        """Whether the expression is a wide open mouth (attribute column `expression`)."""
        return self.mouth_open > 0.5

    @property
    def atypical(self) -> bool:
        """Whether the head is strongly turned or tilted (attribute column `pose`)."""
        return abs(self.roll) > ATYPICAL_ROLL or abs(self.yaw) > ATYPICAL_YAW


def pick(rng: np.random.Generator, options):
    """One element of a sequence, each equally likely."""
    return options[rng.integers(len(options))]


def sample_face_style(rng: np.random.Generator) -> FaceStyle:
    """Draws the looks of one person."""
    hard_pose = rng.random() < 0.2
    yaw_limit, roll_limit = (np.deg2rad(62), np.deg2rad(42)) if hard_pose else (0.5, 0.24)
    skin = scaled(pick(rng, SKIN_TONES), rng.uniform(0.94, 1.04))
    shout = rng.random() < 0.15
    angle = rng.uniform(-np.pi, 0)
    bearded = rng.random() < 0.18
    return FaceStyle(
        skin=skin,
        hair=scaled(pick(rng, HAIR_COLOURS), rng.uniform(0.85, 1.15)),
        eye=pick(rng, ((60, 40, 26), (44, 74, 110), (60, 96, 62), (30, 24, 22))),
        accent=pick(rng, CLOTH_COLOURS),
        hair_style="short" if bearded and rng.random() < 0.5 else pick(rng, HAIR_STYLES),
        width=rng.uniform(0.7, 0.82),
        yaw=rng.uniform(-yaw_limit, yaw_limit),
        pitch=rng.uniform(-0.22, 0.22),
        roll=rng.uniform(-roll_limit, roll_limit),
        smile=rng.uniform(-0.05, 0.14),
        mouth_open=rng.uniform(0.7, 1.1) if shout else max(0.0, rng.uniform(-0.35, 0.35)),
        brow_raise=rng.uniform(0.08, 0.16) if shout else rng.uniform(-0.03, 0.05),
        beard=bearded,
        glasses=rng.random() < 0.2,
        light=(np.cos(angle), np.sin(angle)),
        light_strength=rng.uniform(0.42, 0.55) if rng.random() < 0.1 else rng.uniform(0.06, 0.24),
    )
