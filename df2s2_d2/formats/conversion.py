"""Annotations from one format into another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from df2s2_d2.formats.annotated_image import AnnotatedImage
from df2s2_d2.formats.annotation_files import AnnotationSource, open_writer
from df2s2_d2.formats.dropped import describe_dropped
from df2s2_d2.formats.image_sizes import ImageSizes


@dataclass
class Conversion:
    """What was converted.

    Attributes:
        num_images, num_empty: images, and those of them without a box.
        num_boxes, num_ignored: boxes that were read, and those of them that are to be ignored.
        dropped: what the format that was written, or its reader, does not hold -> how often.
    """

    num_images: int = 0
    num_empty: int = 0
    num_boxes: int = 0
    num_ignored: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def counted(self, images: Iterable[AnnotatedImage]) -> Iterator[AnnotatedImage]:
        """The images, counted as they pass."""
        for image in images:
            self.num_images += 1
            self.num_empty += not len(image.boxes)
            self.num_boxes += len(image.boxes)
            self.num_ignored += int(image.ignored.sum())
            yield image

    def describe_dropped(self) -> str:
        """What was dropped, in one line."""
        return describe_dropped(self.dropped) or "nothing"


def convert(
    source: AnnotationSource,
    target: Path,
    target_format: str,
    *,
    voc_origin: int = 1,
    image_dir: Path | None = None,
    sizes_file: Path | None = None,
    overwrite: bool = False,
    link_images: bool = False,
) -> Conversion:
    """Convert annotations; no more than one image of folders is in memory at a time.

    Args:
        source: what is read.
        target, target_format, voc_origin, overwrite, link_images: see
            :func:`~df2s2_d2.formats.annotation_files.open_writer`.
        image_dir: folder of the images, to read their sizes; None for where the format has them.
        sizes_file: see :class:`~df2s2_d2.formats.image_sizes.ImageSizes`.

    Raises:
        OSError, ValueError: if it cannot be read or written; names the file, the place in it and
            what to do. Nothing is written then.
    """
    is_same = target.exists() and target.samefile(source.path)
    if is_same and (target.is_file() or target_format == source.format):
        raise ValueError(f"{target} is what is to be read: choose another output")
    if image_dir is not None and not image_dir.is_dir():
        raise FileNotFoundError(f"The folder of images {image_dir} does not exist")
    sizes = ImageSizes(image_dir or source.image_dir(), sizes_file)
    conversion = Conversion()
    with open_writer(
        target,
        target_format,
        sizes,
        voc_origin=voc_origin,
        overwrite=overwrite,
        link_images=link_images,
    ) as writer:
        for image in conversion.counted(source.read(sizes, conversion.dropped)):
            image = image._replace(size=sizes.find(image.path, image.size))
            writer.add(image)
    conversion.dropped.update(writer.dropped)
    return conversion
