"""Images -> files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from df2s2_d2.formats.whole_outputs import write_whole

_QUALITY = {
    ".jpg": (cv2.IMWRITE_JPEG_QUALITY, 95),
    ".jpeg": (cv2.IMWRITE_JPEG_QUALITY, 95),
    ".webp": (cv2.IMWRITE_WEBP_QUALITY, 95),
}


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image in the format of its suffix; folders are made if need be.

    A link is replaced, not the file that it leads to.

    Args:
        path: of the file.
        image: (H, W, 3) uint8 RGB.

    Raises:
        OSError: if it cannot be written; names it.
    """
    suffix = path.suffix.lower()
    try:
        done, data = cv2.imencode(
            suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _QUALITY.get(suffix, ())
        )
    except cv2.error as error:
        done, reason = False, f" ({error.err})"
    else:
        reason = ""
    if not done:
        height, width = image.shape[:2]
        raise OSError(f"{path} cannot hold an image of {width} x {height} pixels{reason}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data, durable=False)
