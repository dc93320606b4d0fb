"""Which way up a photograph was taken, by its EXIF block."""

from __future__ import annotations

from PIL import ExifTags, Image


def exif_orientation(image: Image.Image) -> int:
    """1 to 8, as EXIF counts; 1 = upright, also where the block is broken or says nonsense."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # of many types, on broken EXIF blocks; pixels are read without them
        return 1
    return orientation if orientation in range(1, 9) else 1
