"""One picture of the sample data set: who stands where, drawn back to front, and what shows of it.

Truth is measured, not assumed: every head and distractor owns pixels of a map that later layers
take over, so occlusion is the share of a head's pixels that something else shows in the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from .backgrounds import draw_background
from .distractors import BODILY, pick_distractor
from .faces import HEAD_EXTENT, draw_head
from .figures import OCCLUDERS, draw_body
from .painter import Painter, Region, Sprite
from .style import FaceStyle, pick, sample_face_style

SMALLEST_FACE, LARGEST_FACE = 8.4, 300.0  # pixels; a little over 8, so that rounding keeps 8
SMALL_FACE = 16.0
PICTURE_LIMITS = (70.0, 100.0, 100.0, 140.0, 200.0, LARGEST_FACE)  # tallest face of a picture
LARGEST_DISTRACTOR = 90.0  # taller ones would fill pictures that are meant to show faces
EXTRA_SMALL = 0.05  # share of figures that are small in every picture
PARTIAL, HEAVY, INVALID = 0.01, 0.3, 0.6  # hidden shares at which the occlusion label changes
NORMAL_BLUR, HEAVY_BLUR = 0.025, 0.06  # blur radius by face height at which the label changes
LARGEST_BLUR = 4.0  # pixels
DARK, BRIGHT = 0.6, 1.25  # exposures beyond which illumination is extreme
HARSH_LIGHT = 0.4  # light strength beyond which illumination is extreme
SHOWN_DISTRACTOR = 0.5  # share of a distractor that must show for it to count
CROWD_CELL = 18.0  # side of the square a crowd needs for each of its seats, pixels


@dataclass(frozen=True)
class Figure:
    """A face or distractor to draw: centre and height of its face in pixels."""

    centre: tuple[float, float]
    height: float
    is_face: bool


@dataclass
class Scene:
    """A finished picture with its truth.

    Attributes:
        image: (H, W, 3) uint8, red first.
        boxes: (N, 4) int, x y w h of every face in pixels, clipped to the image.
        labels: (N, 6) int: blur, expression, illumination, invalid, occlusion, pose.
        hidden: (N,) float, share of each head that does not show.
        owner: (H, W) int32, n + 1 where face n shows, 0 or a distractor's number elsewhere.
        distractors: number of distractors of which at least half shows.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    hidden: np.ndarray
    owner: np.ndarray
    distractors: int


@dataclass
class Stage:
    """A picture in the making."""

    image: np.ndarray
    owner: np.ndarray
    exposure: float
    lens_blur: float
    faces: list[tuple[int, Region, FaceStyle, float]] = field(default_factory=list)
    distractors: list[tuple[int, Region]] = field(default_factory=list)


def sample_heights(rng: np.random.Generator, count: int, limit: float) -> np.ndarray:
    """Face heights: log-uniform up to a limit that varies by picture, with extra small ones."""
    largest = min(limit, float(pick(rng, PICTURE_LIMITS)))
    heights = np.exp(rng.uniform(np.log(SMALLEST_FACE), np.log(largest), count))
    small = np.exp(rng.uniform(np.log(SMALLEST_FACE), np.log(SMALL_FACE), count))
    return np.where(rng.random(count) < EXTRA_SMALL, small, heights)


def plan_figures(rng: np.random.Generator, size: tuple[int, int], face_count: int) -> list[Figure]:
    """Places faces and at least as many distractors where they do not bury each other.

    Args:
        rng: the picture's generator.
        size: height and width of the picture, pixels.
        face_count: faces to place; fewer where large ones leave no room.
    """
    image_height, image_width = size
    count = face_count + int(np.ceil(face_count * rng.uniform(1.25, 1.6))) + (face_count == 0) * 8
    is_face = np.arange(count) < face_count
    heights = sample_heights(rng, count, 0.85 * image_height)
    heights = np.where(is_face, heights, np.minimum(heights, LARGEST_DISTRACTOR))
    # Large faces choose first and are drawn last.
    order = np.argsort(-heights, kind="stable")
    taken = np.zeros((0, 4))
    figures: list[Figure] = []
    for height, face in zip(heights[order], is_face[order], strict=True):
        tries = rng.random((64, 2))
        x = tries[:, 0] * image_width
        y = 0.45 * height + tries[:, 1] * np.maximum(image_height - 0.9 * height, 1)
        boxes = np.stack(
            [x - 0.4 * height, y - 0.55 * height, x + 0.4 * height, y + 0.55 * height], 1
        )
        overlap = np.minimum(boxes[:, None, 2:], taken[None, :, 2:]) - np.maximum(
            boxes[:, None, :2], taken[None, :, :2]
        )
        covered = np.prod(np.clip(overlap, 0, None), axis=2).sum(1) / (0.88 * height**2)
        best = int(np.argmin(covered))
        if covered[best] > 0.3:
            continue
        figures.append(Figure((float(x[best]), float(y[best])), float(height), bool(face)))
        body = (
            x[best] - 0.72 * height,
            y[best] + 0.5 * height,
            x[best] + 0.72 * height,
            y[best] + 2.4 * height,
        )
        taken = np.concatenate([taken, boxes[best : best + 1], [body]])
    return figures[::-1]


def crowd_size(size: tuple[int, int], face_count: int) -> tuple[int, int]:
    """The picture size (height, width), enlarged where a crowd would not fit."""
    needed = 2.25 * face_count * CROWD_CELL**2 / 1.4
    grow = max(1.0, float(np.sqrt(needed / (size[0] * size[1]))))
    return int(np.ceil(size[0] * grow)), int(np.ceil(size[1] * grow))


def plan_crowd(rng: np.random.Generator, size: tuple[int, int], face_count: int) -> list[Figure]:
    """Seats faces and distractors in rows, the back row first."""
    seats = int(np.ceil(face_count * 2.25)) + 1
    image_height, image_width = size
    columns = int(np.ceil(np.sqrt(seats * image_width / image_height * 1.15)))
    rows = int(np.ceil(seats / columns))
    index = np.arange(seats)
    faces = rng.permutation(seats) < face_count
    row, column = index // columns, index % columns
    pitch = np.array([image_width / columns, image_height / rows])
    heights = np.clip(pitch.min() * rng.uniform(0.62, 0.95, seats), SMALLEST_FACE, LARGEST_FACE)
    x = (column + 0.5 + 0.25 * (row % 2) - 0.125 + rng.uniform(-0.1, 0.1, seats)) * pitch[0]
    y = (row + 0.5 + rng.uniform(-0.12, 0.12, seats)) * pitch[1]
    return [
        Figure((float(a), float(b)), float(h), bool(f))
        for a, b, h, f in zip(x, y, heights, faces, strict=True)
    ]


def labels_of(
    style: FaceStyle, hidden: float, height: int, blur: float, exposure: float
) -> list[int]:
    """The attribute columns: blur, expression, illumination, invalid, occlusion, pose."""
    relative_blur = blur / max(height, 1)
    harsh = style.light_strength > HARSH_LIGHT or not DARK < exposure < BRIGHT
    return [
        int(relative_blur > NORMAL_BLUR) + int(relative_blur > HEAVY_BLUR),
        int(style.exaggerated),
        int(harsh),
        int(hidden > INVALID),
        int(hidden >= PARTIAL) + int(hidden > HEAVY),
        int(style.atypical),
    ]


def sample_blur(rng: np.random.Generator, height: float) -> float:
    """Blur radius of one figure, pixels: most are sharp."""
    kind = rng.random()
    if kind < 0.8:
        return 0.0
    low, high = (0.03, 0.055) if kind < 0.94 else (0.065, 0.08)
    return min(height * rng.uniform(low, high), LARGEST_BLUR)


def draw_figure(stage: Stage, rng: np.random.Generator, figure: Figure, number: int) -> None:
    """Draws a person or distractor and notes its region."""
    unit = figure.height / 2
    style = sample_face_style(rng)
    draw_distractor = pick_distractor(rng)
    body_pen = Painter(stage.image, figure.centre, unit, owner=stage.owner)
    if figure.is_face or draw_distractor in BODILY:
        draw_body(body_pen, rng, style.skin, style.roll)
    elif rng.random() < 0.5:
        body_pen.box(-0.1, 0.9, 0.1, 5.0, (70, 66, 70))
    sprite = Sprite(figure.centre, figure.height, HEAD_EXTENT, style.roll)
    if figure.is_face:
        draw_head(sprite, style)
    else:
        draw_distractor(sprite, rng, style)
    blur = sample_blur(rng, figure.height)
    region = sprite.paste(stage.image, stage.owner, number, blur)
    if region is None:
        return
    if not figure.is_face:
        stage.distractors.append((number, region))
        return
    stage.faces.append((number, region, style, float(np.hypot(blur, stage.lens_blur))))
    occlusion = rng.random()
    if occlusion < 0.26:
        share = rng.uniform(0.36, 0.5) if occlusion < 0.14 else rng.uniform(0.08, 0.28)
        pick(rng, OCCLUDERS)(body_pen, rng, share, style.width)


def expose(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """What a camera makes of the scene: lens blur, exposure, colour cast, vignette and noise."""
    image = stage.image
    if stage.lens_blur:
        image = cv2.GaussianBlur(image, (0, 0), stage.lens_blur)
    height, width = image.shape[:2]
    y, x = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    vignette = 1.04 - rng.uniform(0, 0.16) * (y[:, None] ** 2 + x**2) / 2
    cast = rng.uniform(0.94, 1.06, 3)
    gain = (vignette[..., None] * (stage.exposure * cast)).astype(np.float32)
    noise = rng.standard_normal((height, width, 1), dtype=np.float32) * np.float32(
        rng.uniform(0.5, 4.5)
    )
    # Thresholding at 255 would burn out bright pictures: compress the highlights instead.
    lit = image * gain
    lit = np.where(lit > 200, 200 + 55 * np.tanh((lit - 200) / 55), lit)
    return np.clip(lit + noise, 0, 255).astype(np.uint8)


def draw_scene(
    rng: np.random.Generator, size: tuple[int, int], place: str, face_count: int
) -> Scene:
    """Draws one picture.

    Args:
        rng: generator that decides everything.
        size: height and width, pixels.
        place: a key of `backgrounds.BACKGROUNDS`; "Crowd" seats the faces in rows.
        face_count: faces to draw; 0 gives a picture with distractors only.
    """
    plan = plan_crowd if place == "Crowd" else plan_figures
    mood = rng.random()
    exposure = (
        rng.uniform(0.38, 0.56) if mood < 0.08
        else rng.uniform(1.3, 1.5) if mood < 0.16
        else rng.uniform(0.8, 1.1)
    )  # fmt: skip
    stage = Stage(
        image=draw_background(rng, size, place),
        owner=np.zeros(size, np.int32),
        exposure=exposure,
        lens_blur=rng.uniform(0.45, 0.75) if rng.random() < 0.1 else 0.0,
    )
    for number, figure in enumerate(plan(rng, size, face_count), start=1):
        draw_figure(stage, rng, figure, number)
    return measure(stage, expose(stage, rng))


def measure(stage: Stage, image: np.ndarray) -> Scene:
    """Reads boxes, occlusion and labels off the finished picture."""
    height, width = stage.owner.shape
    limit = max([number for number, *_ in stage.faces + stage.distractors], default=0) + 1
    shown = np.bincount(stage.owner.ravel(), minlength=limit)
    boxes, labels, hidden, renumber = [], [], [], np.zeros(limit, np.int32)
    for number, region, style, blur in stage.faces:
        if not shown[number]:
            continue  # nothing to label: the face is behind something or outside of the image
        x0, y0 = max(region.box[0], 0), max(region.box[1], 0)
        x1, y1 = min(region.box[2], width), min(region.box[3], height)
        share = 1 - shown[number] / region.area
        boxes.append((x0, y0, x1 - x0, y1 - y0))
        labels.append(labels_of(style, share, y1 - y0, blur, stage.exposure))
        hidden.append(share)
        renumber[number] = len(boxes)
    return Scene(
        image=image,
        boxes=np.array(boxes, int).reshape(-1, 4),
        labels=np.array(labels, int).reshape(-1, 6),
        hidden=np.array(hidden, float),
        owner=renumber[stage.owner],
        distractors=sum(
            shown[number] >= SHOWN_DISTRACTOR * region.area for number, region in stage.distractors
        ),
    )
