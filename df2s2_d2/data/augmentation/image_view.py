"""What crops, a resize and mirrorings together do to an image."""

from __future__ import annotations

from dataclasses import dataclass, replace

from detectron2.data import transforms as T
from PIL import Image

from df2s2_d2.data.augmentation.square_window import SquareWindowTransform


@dataclass(frozen=True)
class ImageView:
    """A part of an image, resized in one step, on a ground of its own, and mirrored.

    Attributes:
        source: corners x1, y1, x2, y2 of the part, inside the image, in its pixels.
        place: corners of the resized part in the view, before it is mirrored.
        size: height and width of the view.
        fill: colour of what is not ``place``, a value for each channel; () where that is nothing.
        mirrored: whether left and right are swapped.
        upside_down: whether top and bottom are.
    """

    source: tuple[float, float, float, float]
    place: tuple[int, int, int, int]
    size: tuple[int, int]
    fill: tuple[float, ...] = ()
    mirrored: bool = False
    upside_down: bool = False

    @classmethod
    def whole(cls, size: tuple[int, int]) -> ImageView:
        """All of an image of (height, width), as it is."""
        corners = (0, 0, size[1], size[0])
        return cls(source=corners, place=corners, size=size)

    def then(self, transform: T.Transform) -> ImageView | None:
        """The view after one more transform; None if it needs pixels, or a second resampling."""
        if isinstance(transform, T.TransformList):
            view = self
            for part in transform.transforms:
                view = view and view.then(part)
            return view
        # A subclass may do to pixels whatever it likes.
        follow = _FOLLOWED.get(type(transform))
        return follow(self, transform) if follow else None

    @property
    def _is_untouched(self) -> bool:
        """Whether pixels of the view are still pixels of the image, mirrored or not."""
        left, top, right, bottom = self.source
        return not self.fill and (bottom - top, right - left) == self.size

    def _crop(self, crop: T.CropTransform) -> ImageView | None:
        height, width = self.size
        if not self._is_untouched or not (0 <= crop.x0 < width and 0 <= crop.y0 < height):
            return None
        # Like a slice, a crop ends with the image.
        crop_width, crop_height = min(crop.w, width - crop.x0), min(crop.h, height - crop.y0)
        if crop_width <= 0 or crop_height <= 0:
            return None
        x0 = width - crop.x0 - crop_width if self.mirrored else crop.x0
        y0 = height - crop.y0 - crop_height if self.upside_down else crop.y0
        left, top = self.source[0] + x0, self.source[1] + y0
        return replace(
            self,
            source=(left, top, left + crop_width, top + crop_height),
            place=(0, 0, crop_width, crop_height),
            size=(crop_height, crop_width),
        )

    def _resize(self, resize: T.ResizeTransform) -> ImageView | None:
        size = (resize.new_h, resize.new_w)
        if size == self.size:
            return self
        if not self._is_untouched or resize.interp != Image.Resampling.BILINEAR:
            return None
        return replace(self, place=(0, 0, size[1], size[0]), size=size)

    def _look_through(self, window: SquareWindowTransform) -> ImageView | None:
        if self != ImageView.whole(self.size):
            return None
        source, place = window.shown(self.size)
        return ImageView(source, place, (window.size, window.size), tuple(window.pad_value))

    def _mirror(self, _: T.HFlipTransform) -> ImageView:
        return replace(self, mirrored=not self.mirrored)

    def _turn_upside_down(self, _: T.VFlipTransform) -> ImageView:
        return replace(self, upside_down=not self.upside_down)

    def _keep(self, _: T.NoOpTransform) -> ImageView:
        return self


_FOLLOWED = {
    T.CropTransform: ImageView._crop,
    T.HFlipTransform: ImageView._mirror,
    T.NoOpTransform: ImageView._keep,
    T.ResizeTransform: ImageView._resize,
    T.VFlipTransform: ImageView._turn_upside_down,
    SquareWindowTransform: ImageView._look_through,
}
