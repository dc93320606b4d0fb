"""Images that strangers send."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from df2s2_d2.images.decoding import as_pixels, naming_image, reason
from df2s2_d2.serving.problems import RequestProblem

# Formats of photographs. Others that Pillow reads are of no use here, and some, such as EPS, start
# programs.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000")


@dataclass(frozen=True)
class ImageUpload:
    """An encoded image, of which nothing but the head has been read.

    Attributes:
        data: of the file.
        num_pixels: that it has once it is decoded.
    """

    data: bytes
    num_pixels: int

    @classmethod
    def check(cls, data: bytes, most_pixels: int) -> ImageUpload:
        """Look at the head of what was sent.

        Args:
            data: of the file, whatever it is.
            most_pixels: that the image may have.

        Raises:
            RequestProblem: if it is no image of :data:`FORMATS`, a larger one, or broken.
        """
        try:
            with _open(data) as image:
                width, height = image.size
        except UnidentifiedImageError:
            raise RequestProblem(
                415, f"The file is no image: send one of {', '.join(FORMATS)}."
            ) from None
        except Image.DecompressionBombError:
            raise _too_large(most_pixels) from None
        except Exception as error:  # Readers of heads raise anything.
            raise RequestProblem(
                422, f"The head of the image is broken ({reason(error)}): send another."
            ) from error
        if width * height > most_pixels:
            raise _too_large(most_pixels)
        return cls(data, width * height)

    def pixels(self) -> np.ndarray:
        """Decode the image.

        Returns:
            (H, W, 3) uint8 RGB, upright, read-only.

        Raises:
            ImageError: if that is not possible; a BrokenImageError if it is the image's fault.
        """
        with naming_image("that was sent"), _open(self.data) as image:
            return as_pixels(image, "RGB")


def _open(data: bytes) -> Image.Image:
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]  # Pillow may be built without some
    return Image.open(io.BytesIO(data), formats=known)


def _too_large(most_pixels: int) -> RequestProblem:
    return RequestProblem(
        413, f"The image has more than {most_pixels / 1e6:g} million pixels: send a smaller one."
    )
