"""Annotations of faces in any of the formats: read and written image by image."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from df2s2_d2.formats import coco_json, voc_xml, wider_face_text, yolo
from df2s2_d2.formats.annotated_image import AnnotatedImage
from df2s2_d2.formats.annotation_formats import FOLDERS, FORMATS
from df2s2_d2.formats.image_sizes import ImageSizes
from df2s2_d2.formats.whole_outputs import replacing, require_free
from df2s2_d2.formats.yolo_layout import find_layout


class AnnotationWriter(Protocol):
    """Takes one image after the other.

    Attributes:
        dropped: what of the images the format does not hold -> how often.
    """

    dropped: Counter[str]

    def add(self, image: AnnotatedImage) -> None:
        """Write an image."""

    def close(self) -> None:
        """Finish the file."""


@dataclass(frozen=True)
class AnnotationSource:
    """Annotations to be read.

    Attributes:
        path: a file or a folder.
        format: of ``FORMATS``.
        split: of YOLO's ``data.yaml``; None if it has only one.
        voc_origin: see :mod:`~df2s2_d2.formats.voc_xml`.
    """

    path: Path
    format: str
    split: str | None = None
    voc_origin: int = 1

    def image_dir(self) -> Path | None:
        """The folder of the images, where the format tells it and it is there."""
        folder = None
        if self.format == "yolo":
            folder = find_layout(self.path, self.split).images
        elif self.format == "voc":
            folder = (self.path if self.path.is_dir() else self.path.parent) / "JPEGImages"
            if self.path.name == "Annotations":
                folder = self.path.parent / "JPEGImages"
        return folder if folder is not None and folder.is_dir() else None

    def read(self, sizes: ImageSizes, dropped: Counter[str]) -> Iterator[AnnotatedImage]:
        """Read the images.

        Args:
            sizes: of the images.
            dropped: counts what is passed over.

        Raises:
            OSError: if a file cannot be read.
            ValueError: if a file departs from the format; names the file and the place in it.
        """
        image_dir = sizes.image_dir
        if self.format == "yolo":
            layout = find_layout(self.path, self.split, image_dir)
            yield from yolo.read_images(layout, sizes, dropped)
        elif self.format == "voc":
            yield from voc_xml.read_images(self.path, dropped, self.voc_origin)
        elif self.format == "coco":
            yield from _annotated(
                self.path, coco_json.read_images(str(self.path), str(image_dir or ""))
            )
        else:
            yield from _annotated(self.path, wider_face_text.read_images(str(self.path)))


def _annotated(path: Path, images: list[AnnotatedImage]) -> list[AnnotatedImage]:
    if any(image.boxes is None for image in images):
        raise ValueError(f"{path} lists images without faces: give annotated ones")
    return images


@contextlib.contextmanager
def open_writer(
    path: Path,
    format: str,
    sizes: ImageSizes,
    *,
    voc_origin: int = 1,
    overwrite: bool = False,
    link_images: bool = False,
) -> Iterator[AnnotationWriter]:
    """A writer whose file or folder appears once all is written; after a failure there is none.

    Args:
        path: file of "wider" and "coco"; folder of "yolo", which gets ``labels/``, ``classes.txt``
            and ``data.yaml``, and of "voc", which gets ``Annotations/``.
        format: of ``FORMATS``.
        sizes: of the images.
        voc_origin: see :mod:`~df2s2_d2.formats.voc_xml`.
        overwrite: whether what is there may be replaced.
        link_images: whether the folder of images is linked to where the format has it.

    Raises:
        FileExistsError: if something is there that may not be replaced.
        OSError, ValueError: if it cannot be written.
    """
    part, images = FOLDERS.get(format, ("", ""))
    if part and path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file, but {FORMATS[format]} lie in a folder: name another")
    for taken in [part, *yolo.DESCRIPTION] if format == "yolo" else [part]:
        require_free(path / taken, overwrite)
    if link_images:
        _check_link(path, images, sizes.image_dir)
    with replacing(path / part) as place:
        if format == "wider":
            writer = wider_face_text.WiderFaceWriter(place)
        elif format == "coco":
            writer = coco_json.CocoWriter(place)
        elif format == "yolo":
            writer = yolo.YoloWriter(place, sizes)
        else:
            writer = voc_xml.VocWriter(place, sizes, voc_origin)
        with contextlib.closing(writer):
            yield writer
    if format == "yolo":
        yolo.write_description(path)
    if link_images:
        link = path / images
        if not link.exists():
            link.symlink_to(sizes.image_dir.absolute(), target_is_directory=True)


def _check_link(path: Path, images: str, image_dir: Path | None) -> None:
    if not images:
        raise ValueError("--link-images is for YOLO and VOC, whose folders have a place for images")
    if image_dir is None:
        raise ValueError("--link-images needs the folder of the images: add --images FOLDER")
    link = path / images
    if link.exists() and not (image_dir.exists() and link.samefile(image_dir)):
        raise FileExistsError(f"{link} exists and is not {image_dir}: move one of them")
