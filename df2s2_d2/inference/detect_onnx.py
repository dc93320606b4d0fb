#!/usr/bin/env python3
"""Find faces by an ONNX file of `df2s2 export`.

  pip install onnxruntime pillow
  df2s2 detect-onnx faces.onnx photo.jpg ... --output found/
  python detect_onnx.py faces.onnx photo.jpg ... --output found/

The last line runs a copy of this file, anywhere: it needs neither PyTorch nor the package that the
detector was trained with. A line is printed for every face: image, box (x1 y1 x2 y2 in pixels of
the upright image) and score. Images are expected to have no transparency; of 16 bits a channel the
upper 8 are seen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

# Loaded when they are used, so that the help is there at once.
if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


def open_onnx(
    file: str | bytes, threads: int | None = None, is_optimized: bool = True
) -> tuple[Callable[[np.ndarray], Sequence[np.ndarray]], dict[str, str]]:
    """Open an ONNX file.

    Args:
        file: its path, or its content.
        threads: that a call may take; None leaves that to ONNX Runtime.
        is_optimized: False opens it sooner, to run slower.

    Returns:
        What maps images (N, 3, H, W) uint8 to boxes (D, 4), scores (D,) and image_index (D,), which
        says in which of the images each box is; and the file's metadata.

    Raises:
        ValueError: if it is something else, or absent.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    if not is_optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3  # it would tell what its optimization leaves over
    # Else its threads wait busily after a call, on the cores of whatever comes next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map
    except Exception as error:  # ONNX Runtime's errors have no base class of their own
        place = file if isinstance(file, str) else "The exported detector"
        raise ValueError(
            f"{place} is no file of `df2s2 export` that ONNX Runtime runs: {error}"
        ) from error

    def run(images: np.ndarray) -> Sequence[np.ndarray]:
        try:
            return session.run(["boxes", "scores", "image_index"], {"images": images})
        except Exception as error:  # as above
            height, width = images.shape[2:]
            raise ValueError(
                f"ONNX Runtime cannot look at an image of {width} x {height} pixels: {error}"
            ) from error

    return run, metadata


class FaceDetector:
    """An exported file with all that it says of itself.

    Args:
        path: of the file.
        open_file: gives for the path what :func:`open_onnx` does.

    Raises:
        ValueError: if it is something else, or absent.
    """

    def __init__(self, path: str, open_file: Callable = open_onnx):
        self._run, metadata = open_file(path)
        self.channel_order = metadata.get("channel_order")
        sides = [metadata.get(key, "") for key in ("min_size_test", "max_size_test")]
        # Files of before this was written into them have the value that it has by default.
        max_pixels = metadata.get("max_pixels", "4000000")
        is_whole = all(_is_length(side, 5) for side in sides) and _is_length(max_pixels, 12)
        if self.channel_order not in ("RGB", "BGR") or not is_whole:
            raise ValueError(
                f"{path} is no file of `df2s2 export`: expected the metadata channel_order, RGB or "
                "BGR, min_size_test and max_size_test, in pixels or 0, and max_pixels"
            )
        self.min_size, self.max_size = map(int, sides)
        self.max_pixels = int(max_pixels)

    def __call__(self, image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
        """Find the faces in an RGB image.

        Returns:
            Boxes (D, 4), XYXY in pixels of the image, and scores (D,), descending.

        Raises:
            ValueError: if the network computes what is not finite.
        """
        import numpy as np
        from PIL import Image

        resized = image.resize(self.resized(image.size), Image.Resampling.BILINEAR)
        pixels = np.asarray(resized)
        if self.channel_order == "BGR":
            pixels = pixels[:, :, ::-1]
        images = np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]
        boxes, scores, _ = self._run(images)  # of a batch of one
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise ValueError("a box or a score is not finite: the model is broken")
        scale = np.divide(image.size, resized.size, dtype=np.float32)
        return boxes * np.tile(scale, 2), scores

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height that the detector wants to see an image of ``size`` in.

        One that would get too large, as a strip of a few pixels' height, keeps its size.
        """
        if self.min_size == 0:
            return size
        scale = self.min_size / min(size)
        if self.max_size:
            scale = min(scale, self.max_size / max(size))
        width, height = (max(1, int(side * scale + 0.5)) for side in size)
        return size if width * height > self.max_pixels else (width, height)


def _is_length(text: str, digits: int) -> bool:
    """Whether a text is a whole number of at most so many digits."""
    return text.isascii() and text.isdecimal() and len(text) <= digits


def read_upright(path: Path) -> Image.Image:
    """Read an image file as RGB, turned as its EXIF orientation says."""
    import numpy as np
    from PIL import Image, ImageOps

    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I"):  # Pillow would take all that is not black for white
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    return image.convert("RGB")


def draw(image: Image.Image, boxes: np.ndarray) -> None:
    """Draw boxes (D, 4) into an image."""
    from PIL import ImageDraw

    painter = ImageDraw.Draw(image)
    for box in boxes:
        painter.rectangle(box.tolist(), outline=(0, 255, 0), width=max(1, min(image.size) // 300))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to a parser."""
    parser.add_argument("model", metavar="FILE.onnx")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="for images with boxes drawn")
    parser.add_argument("--threshold", type=float, default=0.5, help="lowest score (default 0.5)")


def run(args: argparse.Namespace) -> int:
    """Find faces, and print them.

    Returns:
        The exit code, 1 if an image could not be read.

    Raises:
        ValueError: if the file is no model.
    """
    detector = FaceDetector(args.model)
    failed = False
    for number, path in enumerate(args.images, start=1):
        try:
            image = read_upright(path)
            boxes, scores = detector(image)
        except Exception as error:  # whatever a file makes its decoder stumble over
            print(f"{path}: {error}", file=sys.stderr)
            failed = True
            continue
        shown = scores > args.threshold
        for box, score in zip(boxes[shown], scores[shown], strict=True):
            print(path, *(f"{value:.1f}" for value in box), f"{score:.3f}")
        if args.output:
            args.output.mkdir(parents=True, exist_ok=True)
            draw(image, boxes[shown])
            image.save(args.output / f"{number}_{path.stem}.png")
    return int(failed)


def main() -> None:
    """Run the command line of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    try:
        sys.exit(run(parser.parse_args()))
    except ValueError as error:
        parser.exit(1, f"{parser.prog}: {' '.join(str(error).split())}\n")


if __name__ == "__main__":
    main()
