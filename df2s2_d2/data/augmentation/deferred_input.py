"""Augmentation of images whose pixels are read last, and only those that are still needed."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from detectron2.data import transforms as T

from df2s2_d2.data.augmentation.image_view import ImageView
from df2s2_d2.data.image_file import ImageFile

# detectron2's augmentations that ask an image for nothing but its size.
_SIZE_IS_ENOUGH = (
    T.FixedSizeCrop,
    T.MinIoURandomCrop,
    T.RandomCrop,
    T.RandomFlip,
    T.RandomResize,
    T.Resize,
    T.ResizeScale,
    T.ResizeShortestEdge,
)


class DeferredInput:
    """An image file and boxes, with the interface of ``T.AugInput``.

    Boxes are transformed at once. Crops, a resize and mirrorings are only noted; at the first
    transform that is none of these, or when :meth:`read_pixels` is called, they are done together,
    on the pixels that they leave.

    Attributes:
        boxes: (N, 4) corners in pixels of ``image``, or None.
    """

    def __init__(self, file: ImageFile, boxes: np.ndarray | None = None) -> None:
        self.boxes = boxes
        self._file = file
        self._view = ImageView.whole(file.size)
        self._pixels: np.ndarray | None = None

    @property
    def image(self) -> np.ndarray | UnreadImage:
        """(H, W, 3) uint8; before its pixels are read, what is known of it."""
        return UnreadImage(self._view.size) if self._pixels is None else self._pixels

    def transform(self, transform: T.Transform) -> None:
        """Transform image and boxes in place."""
        view = self._view.then(transform) if self._pixels is None else None
        if view is not None:
            self._view = view
        else:
            self._pixels = transform.apply_image(self.read_pixels())
        if self.boxes is not None:
            self.boxes = transform.apply_box(self.boxes)

    def read_pixels(self) -> np.ndarray:
        """Read the image, if it is not yet, as transformed so far.

        Returns:
            (H, W, 3) uint8; it may be changed.

        Raises:
            OSError: if the image cannot be read; names it.
        """
        if self._pixels is None:
            self._pixels = self._read(self._view)
        return self._pixels

    def _read(self, view: ImageView) -> np.ndarray:
        left, top, right, bottom = view.place
        size = (bottom - top, right - left)
        if size == view.size:
            pixels = self._file.read_window(view.source, size)
        else:
            pixels = np.empty((*view.size, 3), dtype=np.uint8)
            pixels[:] = np.rint(view.fill).astype(np.uint8)
            if min(size) > 0:
                pixels[top:bottom, left:right] = self._file.read_window(view.source, size)
        if view.mirrored or view.upside_down:
            # 1 = left and right, 0 = top and bottom, -1 = both
            code = int(view.mirrored) if view.mirrored != view.upside_down else -1
            pixels = cv2.flip(pixels, code)
        return pixels


class UnreadImage:
    """What augmentations that decide by size see of an image."""

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, size: tuple[int, int]) -> None:
        self.shape = (*size, 3)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"an augmentation that says decides_by_size = True asked for the {name!r} of an image, "
            "but only its size is known yet: leave decides_by_size out"
        )


class DeferredAugmentations(T.AugmentationList):
    """Augmentations in their order; a :class:`DeferredInput` is read before one needs its pixels.

    An augmentation that only asks for the size of the image says so by the attribute
    ``decides_by_size = True``; those of detectron2 are known.
    """

    def __call__(self, aug_input: T.AugInput | DeferredInput) -> T.TransformList:
        """Augment ``aug_input`` in place; returns the transforms that were applied."""
        transforms = []
        for augmentation in self.augs:
            if isinstance(aug_input, DeferredInput) and not decides_by_size(augmentation):
                aug_input.read_pixels()
            transforms.append(augmentation(aug_input))
        return T.TransformList(transforms)


def decides_by_size(augmentation: T.Augmentation) -> bool:
    """Whether an augmentation needs of an image its size only, to choose a transform."""
    if isinstance(augmentation, T.AugmentationList):
        return all(map(decides_by_size, augmentation.augs))
    if type(augmentation) is T.RandomApply:
        return decides_by_size(augmentation.aug)
    if isinstance(getattr(augmentation, "tfm", None), T.Transform):
        return True  # detectron2's wrap of a transform that is given as an augmentation
    return type(augmentation) in _SIZE_IS_ENOUGH or getattr(augmentation, "decides_by_size", False)
