"""Photometric distortion of S³FD, which it has from SSD."""

from __future__ import annotations

import cv2
import numpy as np
from detectron2.data import transforms as T

from df2s2_d2.data.augmentation.pixel_transform import PixelTransform

_TO_HSV = {"BGR": cv2.COLOR_BGR2HSV, "RGB": cv2.COLOR_RGB2HSV}
_FROM_HSV = {"BGR": cv2.COLOR_HSV2BGR, "RGB": cv2.COLOR_HSV2RGB}
# Pixels that are changed at once: as floats they stay in a processor's cache.
_STRIP_PIXELS = 1 << 14


class PhotometricTransform(PixelTransform):
    """Fixed change of brightness, contrast, saturation and hue; coordinates stay as they are.

    Values are clamped to 0–255 after every step.
    """

    def __init__(
        self,
        image_format: str,
        *,
        brightness: float = 0.0,
        contrast: float = 1.0,
        saturation: float = 1.0,
        hue: float = 0.0,
        contrast_first: bool = True,
    ) -> None:
        """
        Args:
            image_format: order of the channels, "BGR" or "RGB".
            brightness: added to every value, in levels of 0–255.
            contrast: factor of every value.
            saturation: factor of the saturation in HSV.
            hue: added to the hue, in degrees of the colour circle.
            contrast_first: whether contrast comes before saturation and hue.

        Raises:
            ValueError: if the channels are not those of a colour image.
        """
        super().__init__()
        if image_format not in _TO_HSV:
            raise ValueError(
                "INPUT.PHOTOMETRIC_DISTORTION needs INPUT.FORMAT BGR or RGB; "
                f"found {image_format!r}."
            )
        self.image_format = image_format
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.contrast_first = contrast_first

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """Change an image (H, W, 3) of values 0–255; returns a new one of the same dtype."""
        # Brightness and contrast treat every value alike: 8-bit values are looked up in a table.
        is_8_bit = img.dtype == np.uint8
        changes_colour = self.saturation != 1.0 or self.hue != 0.0
        values = np.arange(256, dtype=np.float32) if is_8_bit else img.astype(np.float32, order="C")
        values = _clamp(values + self.brightness)
        if self.contrast_first or not changes_colour:
            values = _clamp(values * self.contrast)
        contrast_left = 1.0 if self.contrast_first else self.contrast

        if is_8_bit:
            pixels = np.ascontiguousarray(img)
            if not changes_colour:
                return cv2.LUT(pixels, np.rint(values).astype(np.uint8))
            result = np.empty_like(pixels)
            rows = max(1, _STRIP_PIXELS // max(1, pixels.shape[1]))
            for start in range(0, len(pixels), rows):
                strip = slice(start, start + rows)
                changed = self._change_colour(cv2.LUT(pixels[strip], values))
                # Rounds, and clamps at 255.
                cv2.convertScaleAbs(changed, dst=result[strip], alpha=contrast_left)
            return result
        if changes_colour:
            values = _clamp(self._change_colour(values) * contrast_left)
        if np.issubdtype(img.dtype, np.integer):
            np.rint(values, out=values)
        return values.astype(img.dtype)

    def _change_colour(self, pixels: np.ndarray) -> np.ndarray:
        """Change float32 pixels; the result is clamped."""
        # For float images OpenCV counts hue in degrees, saturation in 0–1 and value in 0–255.
        hsv = cv2.cvtColor(pixels, _TO_HSV[self.image_format])
        # OpenCV takes hues of more than a full turn, but none below 0.
        change = np.array(
            [[1, 0, 0, self.hue % 360.0], [0, self.saturation, 0, 0], [0, 0, 1, 0]], np.float32
        )
        hsv = cv2.transform(hsv, change)
        if self.saturation > 1.0:
            np.minimum(hsv[..., 1], 1.0, out=hsv[..., 1])
        return _clamp(cv2.cvtColor(hsv, _FROM_HSV[self.image_format]))


class PhotometricDistortion(T.Augmentation):
    """Random brightness, contrast, saturation and hue, each applied with its own coin toss.

    Contrast comes before or after saturation and hue, by another toss. (After S³FD;
    hue in degrees, as in the float implementations of SSD.)
    """

    def __init__(
        self,
        image_format: str,
        *,
        max_brightness: float = 32.0,
        contrast_range: tuple[float, float] = (0.5, 1.5),
        saturation_range: tuple[float, float] = (0.5, 1.5),
        max_hue: float = 18.0,
        prob: float = 0.5,
    ) -> None:
        """
        Args:
            image_format: order of the channels, "BGR" or "RGB".
            max_brightness: largest amount added or taken away, in levels of 0–255.
            contrast_range, saturation_range: ranges of the factors.
            max_hue: largest turn of the hue either way, in degrees.
            prob: probability of each of the four changes.

        Raises:
            ValueError: if the channels are not those of a colour image.
        """
        super().__init__()
        # A wrong format is to be told when a loader is built, not from inside its workers.
        PhotometricTransform(image_format)
        self.image_format = image_format
        self.max_brightness = max_brightness
        self.contrast_range = contrast_range
        self.saturation_range = saturation_range
        self.max_hue = max_hue
        self.prob = prob

    def get_transform(self, image: np.ndarray) -> PhotometricTransform:
        """Draw the amounts."""
        return PhotometricTransform(
            self.image_format,
            brightness=self._draw(-self.max_brightness, self.max_brightness, neutral=0.0),
            contrast=self._draw(*self.contrast_range, neutral=1.0),
            saturation=self._draw(*self.saturation_range, neutral=1.0),
            hue=self._draw(-self.max_hue, self.max_hue, neutral=0.0),
            contrast_first=np.random.uniform() < 0.5,
        )

    def _draw(self, low: float, high: float, neutral: float) -> float:
        return np.random.uniform(low, high) if np.random.uniform() < self.prob else neutral


def _clamp(pixels: np.ndarray) -> np.ndarray:
    return np.clip(pixels, 0.0, 255.0, out=pixels)
