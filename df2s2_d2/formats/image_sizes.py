"""The sizes of annotated images, wherever they are known from."""

from __future__ import annotations

from pathlib import Path

from df2s2_d2.formats.annotated_image import image_name
from df2s2_d2.formats.image_header import read_image_size
from df2s2_d2.formats.image_size_table import read_image_sizes


class ImageSizes:
    """Looks up the size of an image: in a table, else in the head of its file.

    Attributes:
        image_dir: the folder that paths are relative to; None if there are no images.
    """

    def __init__(self, image_dir: Path | None = None, table: Path | None = None):
        """
        Args:
            image_dir: the folder that paths are relative to; None if there are no images.
            table: see :func:`~df2s2_d2.formats.image_size_table.read_image_sizes`.

        Raises:
            OSError, ValueError: if the table cannot be read.
        """
        self.image_dir = image_dir
        self._table_file = table
        self._table = read_image_sizes(table) if table else {}

    def find(self, path: str, stated: tuple[int, int] | None = None) -> tuple[int, int] | None:
        """Height and width in pixels of the upright image.

        Args:
            path: of the image, as its annotations name it.
            stated: what they say of its size. Where the image is there, its own counts: often the
                size before EXIF rotation is stated.

        Returns:
            None if it is known from nowhere.

        Raises:
            OSError: if the image cannot be read.
            ValueError: if it is of another size than stated, so that its boxes cannot fit.
        """
        name = image_name(path, str(self.image_dir or ""))
        file = self.image_dir / path.replace("\\", "/") if self.image_dir else None
        if name in self._table:
            width, height = self._table[name]
            size = (height, width)
        elif file is not None and file.is_file():
            size = read_image_size(file)
        else:
            return stated
        if stated not in (None, size, size[::-1]):
            raise ValueError(
                f"{path} has {size[1]} x {size[0]} pixels by {self._place(name)}, but its "
                f"annotations state {stated[1]} x {stated[0]}: put back the image that was "
                "annotated, or scale boxes and size to this one"
            )
        return size

    def require(self, path: str, stated: tuple[int, int] | None = None) -> tuple[int, int]:
        """As :meth:`find`.

        Raises:
            OSError, ValueError: also if the size is known from nowhere; names the remedy.
        """
        size = self.find(path, stated)
        if size is None:
            raise ValueError(
                f"The size of {path} is not known: it is not in {self._places()}; give --images "
                "FOLDER, or --image-sizes CSV with the columns image, width and height"
            )
        return size

    def _place(self, name: str) -> str:
        return str(self._table_file) if name in self._table else "its file"

    def _places(self) -> str:
        known = [str(place) for place in (self._table_file, self.image_dir) if place]
        return " and not in ".join(known) or "its annotations"
