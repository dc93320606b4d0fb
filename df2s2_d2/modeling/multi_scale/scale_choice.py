"""The sizes in which an image of a given size is looked at, so that memory is bounded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from detectron2.config import CfgNode

from df2s2_d2.modeling.multi_scale.image_scales import ImageScale, image_scales
from df2s2_d2.modeling.multi_scale.tiling import padded_size

# Copies are enlarged to at most so many times the memory budget: a strip of a few pixels' height
# would get as large as its short side is enlarged.
_MOST_BUDGETS = 4


@dataclass(frozen=True)
class ScaleChoice:
    """Which sizes an image is looked at in, so that large and small faces are found in any.

    Attributes:
        scales: those of the config.
        tile_above: images with a longer side are looked at in their original size, too; 0 = none.
        max_pixels: most pixels, height x width after padding, that the model gets at once.
        divisor: to multiples of which the model pads images.
    """

    scales: tuple[ImageScale, ...]
    tile_above: int
    max_pixels: int
    divisor: int

    @classmethod
    def from_config(cls, cfg: CfgNode, tile_above: int, divisor: int) -> ScaleChoice:
        """The sizes that ``TEST.AUG`` names if it is enabled, else that of ``INPUT``."""
        if cfg.TEST.AUG.ENABLED:
            scales = image_scales(cfg)
        elif cfg.INPUT.MIN_SIZE_TEST == 0:
            scales = [ImageScale(factor=1.0)]
        else:
            longest = cfg.INPUT.MAX_SIZE_TEST or math.inf
            scales = [ImageScale(cfg.INPUT.MIN_SIZE_TEST, max_size=longest)]
        return cls(tuple(scales), tile_above, cfg.TEST.AUG.MAX_PIXELS, divisor)

    def scales_for(self, size: tuple[int, int]) -> list[ImageScale]:
        """The scales for an image of (height, width).

        Those of the config; for a large image its original size, in which small faces are found;
        and where no copy is small enough to be looked at in one piece, one that is, as tiles cut
        large faces.
        """
        largest = max(math.prod(size), _MOST_BUDGETS * self.max_pixels)
        chosen = [s for s in self.scales if math.prod(s.resized(size)) <= largest]
        is_large = 0 < self.tile_above < max(size)
        if is_large and not any(max(s.resized(size)) >= max(size) for s in chosen):
            chosen.append(ImageScale(factor=1.0))
        if not any(self.fits(scale.resized(size)) for scale in chosen):
            chosen.append(self._overview(size))
        return chosen

    def fits(self, size: tuple[int, int]) -> bool:
        """Whether the model may get an image of (height, width) in one piece."""
        return math.prod(padded_size(size, self.divisor)) <= self.max_pixels

    def _overview(self, size: tuple[int, int]) -> ImageScale:
        """The largest copy that surely fits: (height + divisor) (width + divisor) = max_pixels."""
        height, width = size
        area, half_rim = height * width, self.divisor * (height + width) / 2
        room = self.max_pixels - self.divisor**2
        return ImageScale(factor=(math.sqrt(half_rim**2 + area * room) - half_rim) / area)
