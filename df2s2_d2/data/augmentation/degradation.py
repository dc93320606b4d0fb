"""Images as worse cameras and smaller files show them."""

from __future__ import annotations

import cv2
import numpy as np
from detectron2.data import transforms as T

from df2s2_d2.data.augmentation.pixel_transform import PixelTransform


class DegradationTransform(PixelTransform):
    """Fixed loss of detail and colour; the image keeps its size, and coordinates stay as they are.

    In this order: fewer pixels, no colour, blur, noise, compression, and back to the image's size.
    """

    def __init__(
        self,
        *,
        shrink: float = 1.0,
        grey: bool = False,
        blur: float = 0.0,
        noise: float = 0.0,
        noise_seed: int = 0,
        jpeg_quality: int = 0,
    ) -> None:
        """
        Args:
            shrink: the image is shrunk by this factor, at least 1, and enlarged at the end.
            grey: whether colours become their mean.
            blur: deviation of a Gaussian in pixels of the shrunk image, 0 = none.
            noise: deviation of Gaussian noise in levels of 0-255, 0 = none.
            noise_seed: of the noise.
            jpeg_quality: 1-100, 0 = no compression.
        """
        super().__init__()
        self.shrink = shrink
        self.grey = grey
        self.blur = blur
        self.noise = noise
        self.noise_seed = noise_seed
        self.jpeg_quality = jpeg_quality

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """Degrade an image (H, W, 3) uint8; returns a new one."""
        height, width = img.shape[:2]
        small = max(1, round(width / self.shrink)), max(1, round(height / self.shrink))
        pixels = np.array(img, order="C")
        if self.shrink > 1:
            pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
        if self.grey:
            mean = pixels.mean(axis=2, keepdims=True, dtype=np.float32)
            pixels = np.rint(mean).astype(np.uint8).repeat(3, axis=2)
        if self.blur > 0:
            pixels = cv2.GaussianBlur(pixels, (0, 0), self.blur)
        if self.noise > 0:
            generator = np.random.default_rng(self.noise_seed)
            noise = self.noise * generator.standard_normal(pixels.shape, dtype=np.float32)
            pixels = np.rint((pixels + noise).clip(0, 255)).astype(np.uint8)
        if self.jpeg_quality > 0:
            quality = [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality]
            # Which colour channel comes first matters little to what compression takes away.
            pixels = cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], cv2.IMREAD_COLOR)
        if self.shrink > 1:
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
        return pixels


class RandomDegradation(T.Augmentation):
    """Random loss of detail and colour, each kind with its own coin toss.

    Photographs that are enlarged to find their small faces are blurred, most photographs were
    compressed, and many are grey; training images that were shrunk to the training size are not.
    """

    def __init__(
        self,
        *,
        max_shrink: float = 2.6,
        shrink_prob: float = 0.5,
        grey_prob: float = 0.12,
        blur_prob: float = 0.12,
        noise_prob: float = 0.1,
        jpeg_prob: float = 0.3,
    ) -> None:
        """
        Args:
            max_shrink: largest factor by which detail is lost.
            shrink_prob, grey_prob, blur_prob, noise_prob, jpeg_prob: of each kind.
        """
        super().__init__()
        self.max_shrink = max_shrink
        self.shrink_prob = shrink_prob
        self.grey_prob = grey_prob
        self.blur_prob = blur_prob
        self.noise_prob = noise_prob
        self.jpeg_prob = jpeg_prob

    def get_transform(self, image: np.ndarray) -> DegradationTransform:
        """Draw the amounts."""
        uniform = np.random.uniform

        def tossed(prob: float) -> bool:
            return uniform() < prob

        return DegradationTransform(
            shrink=uniform(1.2, self.max_shrink) if tossed(self.shrink_prob) else 1.0,
            grey=tossed(self.grey_prob),
            blur=uniform(0.4, 1.2) if tossed(self.blur_prob) else 0.0,
            noise=uniform(2.0, 10.0) if tossed(self.noise_prob) else 0.0,
            noise_seed=np.random.randint(2**31),
            jpeg_quality=np.random.randint(30, 93) if tossed(self.jpeg_prob) else 0,
        )
