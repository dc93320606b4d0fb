"""Mosaics: four training images in the quarters of one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import transforms as T
from detectron2.structures import Boxes, Instances

from df2s2_d2.data.augmentation import (
    AnchorSampling,
    DeferredAugmentations,
    RandomChoice,
    RandomWindow,
)
from df2s2_d2.data.broken_images import BROKEN_IMAGES
from df2s2_d2.data.dataset_mapper import FaceDatasetMapper

# Of random windows in a quarter: the largest size of a face, as a share of the quarter's side, and
# the largest side, as a share of the image's short side. Both keep a quarter from being filled by
# a single face or by the border, of which whole images show enough.
_MAX_FACE_SHARE = 0.86
_MAX_SCALE = 1.2


class Mosaic:
    """Which training images are mosaics, and what they look like.

    A mosaic shows four photographs at half the size, so that a step sees more faces, other
    surroundings, and edges that mean nothing. (After YOLOv4, with quarters of equal size: each is
    a random window already.)
    """

    def __init__(
        self, mapper: Callable[[dict[str, Any]], dict[str, Any] | None], prob: float
    ) -> None:
        """
        Args:
            mapper: makes a quarter of a dataset dict, as :class:`FaceDatasetMapper` does; all of
                them of one size, see :func:`quarter_mapper`.
            prob: share of the training images that are mosaics.

        Raises:
            ValueError: if ``prob`` is no share.
        """
        if not 0 <= prob <= 1:
            raise ValueError(f"INPUT.MOSAIC.PROBABILITY: expected 0 to 1; found {prob}.")
        self.mapper = mapper
        self.prob = prob

    def is_next(self) -> bool:
        """Draw whether the next training image is a mosaic."""
        return np.random.uniform() < self.prob

    @staticmethod
    def join(quarters: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Put four mapped images beside and below each other.

        Args:
            quarters: top left, top right, bottom left, bottom right: samples of
                :class:`FaceDatasetMapper`, whose images are of one size (3, H, W).

        Returns:
            A sample with the ``image`` (3, 2 H, 2 W), and with ``instances`` and
            ``ignore_regions`` of all quarters. ``file_name`` names all four files; ``height`` and
            ``width`` are those of the mosaic, as there is no single image behind it.
        """
        images = [quarter["image"] for quarter in quarters]
        rows = [torch.cat(images[start : start + 2], dim=2) for start in (0, 2)]
        image = torch.cat(rows, dim=1)
        height, width = image.shape[1:]
        shifts = quarter_shifts((height, width))
        instances = [quarter["instances"] for quarter in quarters]
        regions = [quarter["ignore_regions"] for quarter in quarters]
        sample = {
            "file_name": ", ".join(str(quarter["file_name"]) for quarter in quarters),
            "height": height,
            "width": width,
            "image": image,
            "instances": Instances(
                (height, width),
                gt_boxes=Boxes(_joined([faces.gt_boxes.tensor for faces in instances], shifts)),
                gt_classes=torch.cat([faces.gt_classes for faces in instances]),
            ),
            "ignore_regions": _joined(regions, shifts),
        }
        if broken := [entry for quarter in quarters for entry in quarter.get(BROKEN_IMAGES, ())]:
            sample[BROKEN_IMAGES] = broken
        return sample


def quarter_shifts(size: tuple[int, int]) -> np.ndarray:
    """What boxes in the quarters of a mosaic move by: (4, 4) float32, a row for each quarter.

    Args:
        size: even height and width of the mosaic.
    """
    y, x = size[0] // 2, size[1] // 2
    return np.array([(0, 0, 0, 0), (x, 0, x, 0), (0, y, 0, y), (x, y, x, y)], dtype=np.float32)


def _joined(boxes: list[torch.Tensor], shifts: np.ndarray) -> torch.Tensor:
    shifts = torch.from_numpy(shifts)
    return torch.cat([own + shift for own, shift in zip(boxes, shifts, strict=True)])


def quarter_mapper(mapper: FaceDatasetMapper) -> FaceDatasetMapper:
    """The mapper of quarters: it augments as that of whole training images, at half the size.

    Args:
        mapper: of whole training images, which it resizes to one size by ``T.Resize``.

    Raises:
        ValueError: if there is no such size, or one that cannot be halved.
    """
    augmentations = mapper.augmentations.augs
    size = next((a.shape for a in reversed(augmentations) if isinstance(a, T.Resize)), (0,))
    if wrong := [side for side in size if side < 2 or side % 2]:
        raise ValueError(
            "INPUT.MOSAIC needs an even INPUT.RESIZE_SQUARE_TRAIN, the side of the images whose "
            f"quarters it fills; found {wrong[0]}."
        )
    quarter = copy.copy(mapper)
    quarter.augmentations = DeferredAugmentations([_at_half_size(a) for a in augmentations])
    return quarter


@singledispatch
def _at_half_size(augmentation: T.Augmentation) -> T.Augmentation:
    """An augmentation whose result has half the size; the same one if it is given no size."""
    return augmentation


@_at_half_size.register
def _(resize: T.Resize) -> T.Resize:
    return T.Resize([side // 2 for side in resize.shape], resize.interp)


@_at_half_size.register
def _(sampling: AnchorSampling) -> AnchorSampling:
    half = copy.copy(sampling)
    half.output_size = sampling.output_size // 2
    return half


@_at_half_size.register
def _(window: RandomWindow) -> RandomWindow:
    half = copy.copy(window)
    half.output_size = window.output_size // 2
    largest = _MAX_FACE_SHARE * half.output_size
    half.face_sizes = tuple(min(size, largest) for size in window.face_sizes)
    half.scale_range = tuple(min(scale, _MAX_SCALE) for scale in window.scale_range)
    return half


@_at_half_size.register
def _(choice: RandomChoice) -> RandomChoice:
    first, second = _at_half_size(choice.first), _at_half_size(choice.second)
    return RandomChoice(first, second, choice.prob)


def build_mosaic(cfg: CfgNode) -> Mosaic | None:
    """The mosaics that INPUT.MOSAIC asks for, None for none.

    Raises:
        ValueError: if a key below INPUT holds what it cannot.
    """
    prob = cfg.INPUT.MOSAIC.PROBABILITY
    if prob == 0:
        return None
    return Mosaic(quarter_mapper(FaceDatasetMapper(cfg, is_train=True)), prob)
