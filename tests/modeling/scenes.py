"""Images, faces and anchors for the tests of the modeling parts."""

from __future__ import annotations

import numpy as np
import torch
from detectron2.structures import Boxes, Instances

from df2s2_d2.modeling.anchors import AnchorGrid, GridAnchorGenerator

STRIDES = [4, 8, 16, 32, 64, 128]
OCTAVES = [1, 2 ** (1 / 3), 2 ** (2 / 3)]
RATIOS = [1.0, 1.5]


def generator(
    strides=STRIDES, scale=4.0, octaves=OCTAVES, aspect_ratios=RATIOS, offset=0.5
) -> GridAnchorGenerator:
    return GridAnchorGenerator(
        strides=strides, scale=scale, octaves=octaves, aspect_ratios=aspect_ratios, offset=offset
    )


def padded_size(image_sizes: list[tuple[int, int]], divisor: int = 128) -> tuple[int, int]:
    """Size of a batch of images of the given (height, width)."""
    height, width = np.max(image_sizes, axis=0)
    return tuple(int(-(-side // divisor) * divisor) for side in (height, width))


def map_sizes(batch_size: tuple[int, int], strides=STRIDES) -> list[tuple[int, int]]:
    return [(-(-batch_size[0] // stride), -(-batch_size[1] // stride)) for stride in strides]


def grids_of(image_sizes: list[tuple[int, int]], **options) -> list[AnchorGrid]:
    return generator(**options).grids(map_sizes(padded_size(image_sizes)))


def random_faces(
    rng: np.random.Generator,
    count: int,
    image_size: tuple[int, int],
    sides: tuple[float, float] = (2, 400),
) -> np.ndarray:
    """(count, 4) boxes of log-uniform side and aspect ratio, clipped to their image."""
    height, width = image_size
    side = np.exp(rng.uniform(*np.log(sides), count))
    stretch = np.exp(rng.uniform(*np.log((0.5, 2)), count)) ** 0.5
    center = rng.uniform(0, 1, (count, 2)) * (width, height)
    half = np.stack((side / stretch, side * stretch), axis=1) / 2
    boxes = np.concatenate((center - half, center + half), axis=1)
    boxes = boxes.clip(0, [width, height, width, height])
    return boxes[((boxes[:, 2:] - boxes[:, :2]) >= 1).all(axis=1)].astype(np.float32)


def flat(faces_per_image: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """The faces of all images, (F, 4), and the image each of them is in, (F,)."""
    counts = torch.tensor([len(faces) for faces in faces_per_image])
    faces = np.concatenate([np.reshape(faces, (-1, 4)) for faces in faces_per_image])
    images = torch.arange(len(counts)).repeat_interleave(counts)
    return torch.as_tensor(faces, dtype=torch.float32), images


def mapped_image(image_size: tuple[int, int], boxes=(), ignore_regions=(), seed: int = 0) -> dict:
    """What a dataset mapper makes of a photograph of noise with the given faces."""
    image = torch.rand(3, *image_size, generator=torch.Generator().manual_seed(seed)) * 255
    instances = Instances(image_size)
    instances.gt_boxes = Boxes(torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    instances.gt_classes = torch.zeros(len(boxes), dtype=torch.int64)
    mapped = {"image": image, "instances": instances}
    if len(ignore_regions):
        regions = torch.as_tensor(ignore_regions, dtype=torch.float32)
        mapped["ignore_regions"] = regions
    return mapped
