"""The sizes in which an image is looked at in a multi-scale test."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any

from detectron2.config import CfgNode
from detectron2.data.transforms import ResizeShortestEdge
from detectron2.structures import Instances


@dataclass(frozen=True)
class ImageScale:
    """One size, and which faces are to be found in it.

    Attributes:
        short_side: of the resized image, in pixels; None where `factor` gives the size.
        factor: length in the resized image / length in the original one.
        max_size: the longest side becomes at most so many pixels.
        flip: whether the mirror image is looked at too.
        min_face, max_face: faces are larger, and smaller, than this square root of their area, in
            pixels of the original image.
    """

    short_side: int | None = None
    factor: float | None = None
    max_size: float = math.inf
    flip: bool = False
    min_face: float = 0.0
    max_face: float = math.inf

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width that an image of `size` gets."""
        short_side = min(size) * self.factor if self.short_side is None else self.short_side
        longest = min(self.max_size, sys.maxsize)
        height, width = ResizeShortestEdge.get_output_shape(*size, short_side, longest)
        return max(height, 1), max(width, 1)

    def limit(self, instances: Instances) -> Instances:
        """Those detections, in pixels of the original image, whose size is to be found here."""
        sizes = instances.pred_boxes.area().sqrt()
        return instances[(sizes > self.min_face) & (sizes < self.max_face)]

    def __str__(self) -> str:
        size = f"x{self.factor:g}" if self.short_side is None else str(self.short_side)
        limits = [f"> {self.min_face:g}"] * (self.min_face > 0)
        limits += [f"< {self.max_face:g}"] * (self.max_face < math.inf)
        size += f" (faces {' and '.join(limits)} px)" if limits else ""
        return size + (f" (long side <= {self.max_size})" if self.max_size < math.inf else "")


def make_scales(sizes: Iterable[Mapping[str, Any]]) -> list[ImageScale]:
    """Scales of plain values, as a LazyConfig gives them.

    Args:
        sizes: attributes of each :class:`ImageScale`, such as ``{"short_side": 800}``.
    """
    return [ImageScale(**size) for size in sizes]


# Keys of an entry of TEST.AUG.SCALES.
_KEYS = {f.name.upper(): f.name for f in fields(ImageScale) if f.name != "max_size"}


def image_scales(cfg: CfgNode) -> list[ImageScale]:
    """The scales of ``TEST.AUG.SCALES``, or if it is empty, the short sides of ``MIN_SIZES``.

    Raises:
        ValueError: naming the key and what is wrong with it.
    """
    aug = cfg.TEST.AUG
    key, entries = "TEST.AUG.SCALES", aug.SCALES
    if not entries:
        key = "TEST.AUG.MIN_SIZES"
        entries = [{"SHORT_SIDE": side, "FLIP": aug.FLIP} for side in aug.MIN_SIZES]
    if not entries:
        raise ValueError("TEST.AUG.SCALES and TEST.AUG.MIN_SIZES are empty: give one of them")
    max_size = aug.MAX_SIZE or math.inf
    return [_parse(f"{key}[{i}]", entry, max_size) for i, entry in enumerate(entries)]


def _parse(place: str, entry: Any, max_size: float) -> ImageScale:
    sizes = {"SHORT_SIDE", "FACTOR"}
    if (
        not isinstance(entry, dict)
        or not entry.keys() <= _KEYS.keys()
        or len(entry.keys() & sizes) != 1
    ):
        raise ValueError(
            f"{place}: expected SHORT_SIDE or FACTOR and, optionally, FLIP, MIN_FACE and MAX_FACE, "
            f"such as {{FACTOR: 0.5, MIN_FACE: 30}}; found {entry!r}"
        )
    for name, value in entry.items():
        is_bool = isinstance(value, bool)
        if name == "FLIP":
            fits, expected = is_bool, "True or False"
        elif name == "SHORT_SIDE":
            fits = isinstance(value, int) and not is_bool and value > 0
            expected = "a positive whole number of pixels"
        else:
            fits = isinstance(value, Real) and not is_bool and value > 0
            expected = "a positive number"
        if not fits:
            raise ValueError(f"{place}: {name} is {expected}; found {value!r}")
    scale = ImageScale(**{_KEYS[name]: v for name, v in entry.items()}, max_size=max_size)
    if scale.min_face >= scale.max_face:
        raise ValueError(f"{place}: no face is larger than MIN_FACE and smaller than MAX_FACE")
    return scale
