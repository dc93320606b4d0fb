"""What every predictor takes and gives, whatever computes its detections."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

import numpy as np

from df2s2_d2.inference.faces import Faces
from df2s2_d2.inference.image_input import ImageLike, as_image, is_image
from df2s2_d2.inference.media.search import Search
from df2s2_d2.inference.media.sources import find_sources, holds_several

IMAGE_FORMATS = ("BGR", "RGB")

Detections = TypeVar("Detections")


class FaceFinder(ABC, Generic[Detections]):
    """Finds faces in images, folders and videos.

    An image is a path, encoded bytes or an open binary file, one of Pillow's images, an array or a
    tensor, see :func:`~df2s2_d2.inference.image_input.as_image`.

    Args:
        batch_size: most images that the network gets at once.
        image_format: order of the channels of arrays and tensors, "BGR" (OpenCV's) or "RGB".

    Raises:
        ValueError: if an argument is none of these.
    """

    def __init__(self, *, batch_size: int, image_format: str):
        check_image_format("image_format", image_format)
        if batch_size < 1:
            raise ValueError(f"expected batch_size of at least 1, found {batch_size}")
        self.batch_size = batch_size
        self.image_format = image_format

    @abstractmethod
    def _detect_each(self, images: Iterable[ImageLike]) -> Iterator[Detections]:
        """The detections of each image, lazily, in order."""

    @abstractmethod
    def _as_faces(self, detections: Detections) -> Faces:
        """The detections of an image as faces."""

    def __call__(
        self, images: ImageLike | Iterable[ImageLike]
    ) -> Detections | list[Detections] | Search[Detections]:
        """Find the faces in one image, in each of several, or in folders and videos.

        Args:
            images: one image; a list, tuple or iterator of images of any kinds; or the path of a
                folder or video, or a pattern of files.

        Returns:
            For an image its detections, by descending score. For several images a list, in their
            order. For a folder, video or pattern what :meth:`search` gives: an iterator.

        Raises:
            OSError: if a file cannot be read; names it.
            ValueError: if something else is not an image; says which, and why.
        """
        if isinstance(images, (str, os.PathLike)) and holds_several(images):
            return self.search(images)
        # What is neither is no image, and refused as one: OpenCV gives None for a missing file.
        if is_image(images) or not isinstance(images, Iterable):
            return next(self._detect_each([images]))
        return list(self.stream(images))

    def find(
        self, images: ImageLike | Iterable[ImageLike]
    ) -> Faces | list[Faces] | Search[Detections]:
        """As a call, with :class:`~df2s2_d2.inference.faces.Faces` for detections."""
        found = self(images)
        if isinstance(found, Search):
            return found
        if isinstance(found, list):
            return [self._as_faces(detections) for detections in found]
        return self._as_faces(found)

    def stream(self, images: Iterable[ImageLike]) -> Iterator[Detections]:
        """As a call with several images, but lazily: for any number of them.

        A few batches of images are taken ahead. If an image is at fault, the detections of all
        images before it are given first, and the iteration ends with the error.

        Args:
            images: see :meth:`__call__`.

        Returns:
            An iterator over the detections of each image, in order.

        Raises:
            ValueError: if it is given one image, or a folder or video.
        """
        if is_image(images) or not isinstance(images, Iterable):
            raise ValueError(
                f"stream takes several images one after the other, found {type(images).__name__}: "
                "put one image into a list, and look through folders and videos by search"
            )
        return self._detect_each(images)

    def search(
        self, sources: str | os.PathLike | Iterable[str | os.PathLike], *, strict: bool = False
    ) -> Search[Detections]:
        """Look through image files, folders and videos of any length, lazily.

        Args:
            sources: path of an image, of a folder with all images and videos below it, or of a
                video, a pattern such as "photos/**/*.jpg", the address of a stream, or several of
                these. Files count once, images come before videos; see
                :func:`~df2s2_d2.inference.media.sources.find_sources`.
            strict: whether what cannot be read is an error. By default it is passed over with a
                warning, and noted in the search's ``failures``.

        Returns:
            An iterator over a result for each image and each frame, with ``path``, ``image`` (RGB),
            ``faces``, ``detections`` and, in videos, ``frame`` and ``time``.

        Raises:
            FileNotFoundError: if a source does not exist or holds neither images nor videos.
            ModuleNotFoundError: if a source is a stream, but PyAV is not installed.
            ValueError: if a source is no path.
        """
        if isinstance(sources, (str, os.PathLike)) or not isinstance(sources, Iterable):
            sources = [sources]
        paths = list(sources)
        for path in paths:
            if not isinstance(path, (str, os.PathLike)):
                raise ValueError(
                    f"search takes paths of images, folders and videos, found "
                    f"{type(path).__name__}: give images in memory to the predictor itself"
                )
        return Search(
            find_sources(map(os.fspath, paths)),
            predict=self._detect_rgb,
            as_faces=self._as_faces,
            batch_size=self.batch_size,
            strict=strict,
        )

    def _detect_rgb(self, images: list[np.ndarray]) -> list[Detections]:
        if self.image_format == "BGR":
            images = [image[:, :, ::-1] for image in images]
        return list(self._detect_each(images))

    def _pixels(self, index: int, image: ImageLike, image_format: str) -> np.ndarray:
        """An image of several as (H, W, 3) uint8.

        Raises:
            OSError: if a file cannot be read; names it.
            ValueError: if it is not an image; says which of them it is.
        """
        try:
            if isinstance(image, (str, os.PathLike)) and holds_several(image):
                raise ValueError(
                    f"{os.fspath(image)} is a folder, a video or a pattern: look through it by "
                    "search"
                )
            return as_image(image, self.image_format, image_format)
        except ValueError as error:
            raise ValueError(f"Image {index}: {error}") from error


def check_image_format(name: str, value: str) -> None:
    """Check the order of channels that ``name`` asks for.

    Raises:
        ValueError: if there is none such.
    """
    if value not in IMAGE_FORMATS:
        raise ValueError(f"{name}: expected BGR or RGB, found {value!r}")
