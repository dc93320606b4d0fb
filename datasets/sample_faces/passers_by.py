"""A drawn street in which people pass by: frames of a video with the truth about every face.

People walk at speeds and distances of their own, sway, halt, look aside and get out of focus, and
the nearer ones walk in front of the others. All of it follows from the generator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from .backgrounds import draw_background
from .faces import HEAD_EXTENT, draw_head
from .figures import draw_body
from .painter import Painter, Region, Sprite
from .style import FaceStyle, sample_face_style

SMALLEST_FACE, LARGEST_FACE = 14.0, 110.0  # pixels
FASTEST = 4.0  # heights of a face a second
LARGEST_TURN = np.deg2rad(75)
STRONGEST_BLUR = 0.07  # of a face's height


@dataclass(frozen=True)
class Frame:
    """A frame with the truth about its faces.

    Attributes:
        image: (H, W, 3) uint8, red first.
        people: (N,) int, numbers of the people whose faces are in it.
        boxes: (N, 4) float, x1 y1 x2 y2 of their faces in pixels, also beyond the image.
        shown: (N,) float, share of each face that is in the image and that nobody covers.
    """

    image: np.ndarray
    people: np.ndarray
    boxes: np.ndarray
    shown: np.ndarray


@dataclass(frozen=True)
class Walker:
    """Somebody who passes by.

    Attributes:
        number: from 0; also the seed of the clothes.
        style: the looks, but where the head is turned.
        height: of the face in pixels.
        start, velocity: of the centre of the face, pixels and pixels a second.
        sway: of the head, pixels to either side, and rounds a second.
        turn, blur: rounds a second of looking aside and of getting out of focus, and their phases.
        halt: seconds of standing still after so many seconds, and after as many again.
    """

    number: int
    style: FaceStyle
    height: float
    start: np.ndarray
    velocity: np.ndarray
    sway: tuple[float, float]
    turn: tuple[float, float]
    blur: tuple[float, float]
    halt: tuple[float, float]

    def centre_at(self, time: float) -> np.ndarray:
        """Where the centre of the face is, (2,) pixels."""
        walk, stand = self.halt
        rounds, rest = divmod(time, walk + stand)
        walked = rounds * walk + min(rest, walk)
        across, pace = self.sway
        bob = np.array([np.sin(2 * np.pi * pace * time), 0.5 * np.sin(4 * np.pi * pace * time)])
        return self.start + self.velocity * walked + across * bob

    def style_at(self, time: float) -> FaceStyle:
        pace, phase = self.turn
        return replace(self.style, yaw=LARGEST_TURN * np.sin(2 * np.pi * (pace * time + phase)) ** 3)

    def blur_at(self, time: float) -> float:
        """Standard deviation in pixels: now and then, for a while."""
        pace, phase = self.blur
        return self.height * STRONGEST_BLUR * max(0.0, np.sin(2 * np.pi * (pace * time + phase))) ** 2


def draw_walker(rng: np.random.Generator, number: int, size: tuple[int, int], seconds: float) -> Walker:
    """Somebody who is in the middle of the image (height, width) at some time of the video."""
    image_height, image_width = size
    height = float(np.exp(rng.uniform(np.log(SMALLEST_FACE), np.log(LARGEST_FACE))))
    speed = height * rng.uniform(0.0, FASTEST) * rng.choice([-1, 1])
    velocity = np.array([speed, 0.1 * speed * rng.uniform(-1, 1)])
    halt = (rng.uniform(1, 4), rng.uniform(0, 1.5))
    middle = np.array([rng.uniform(0.1, 0.9) * image_width, rng.uniform(0.2, 0.6) * image_height])
    return Walker(
        number=number,
        style=sample_face_style(rng),
        height=height,
        start=middle - velocity * rng.uniform(0, seconds),
        velocity=velocity,
        sway=(0.1 * height * rng.uniform(), rng.uniform(0.5, 1.5)),
        turn=(rng.uniform(0.1, 0.4), rng.uniform()),
        blur=(rng.uniform(0.1, 0.5), rng.uniform()),
        halt=halt,
    )


def draw_video(
    rng: np.random.Generator, size: tuple[int, int], num_people: int, times: np.ndarray
) -> Iterator[Frame]:
    """Draw a video, frame by frame.

    Args:
        rng: decides everything.
        size: height and width in pixels.
        num_people: who pass by.
        times: (F,) of the frames in seconds, from 0.
    """
    street = draw_background(rng, size, "Street")
    walkers = [draw_walker(rng, number, size, float(times[-1])) for number in range(num_people)]
    walkers.sort(key=lambda walker: walker.height)  # the nearest last
    for time in times.tolist():
        image, owner = street.copy(), np.zeros(size, np.int32)
        regions = [_draw(walker, image, owner, time) for walker in walkers]
        pixels = np.bincount(owner.ravel(), minlength=num_people + 1)
        seen = [
            (walker.number, region.box, pixels[walker.number + 1] / region.area)
            for walker, region in zip(walkers, regions, strict=True)
            if region is not None and pixels[walker.number + 1]
        ]
        people, boxes, shown = zip(*seen, strict=True) if seen else ((), (), ())
        yield Frame(
            image,
            np.array(people, int),
            np.array(boxes, float).reshape(-1, 4),
            np.array(shown, float),
        )


def _draw(walker: Walker, image: np.ndarray, owner: np.ndarray, time: float) -> Region | None:
    centre, style = tuple(walker.centre_at(time).tolist()), walker.style_at(time)
    clothes = np.random.default_rng(walker.number)
    pen = Painter(image, centre, walker.height / 2, owner=owner)
    draw_body(pen, clothes, style.skin, style.roll)
    sprite = Sprite(centre, walker.height, HEAD_EXTENT, style.roll)
    draw_head(sprite, style)
    return sprite.paste(image, owner, walker.number + 1, walker.blur_at(time))
