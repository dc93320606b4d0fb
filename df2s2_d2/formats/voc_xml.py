"""Pascal VOC's annotations: an XML file an image, below ``Annotations/``.

VOC counts pixels from 1, and both ends belong to a box: ``xmin`` 1 is the left border of the image,
``xmax`` its width the right one, so that a box is ``x = xmin - 1``, ``width = xmax - x``. Many
programs write ``xmin`` as the edge itself, from 0; origin 0 says so. Faces to be ignored are
``difficult``. Fractions of pixels are written as such.
"""

from __future__ import annotations

import logging
import posixpath
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat
from xml.sax.saxutils import escape

import numpy as np

from df2s2_d2.formats.annotated_image import (
    MAX_COORDINATE,
    AnnotatedImage,
    path_below,
    plain_number,
)
from df2s2_d2.formats.categories import FACE, warn_of_categories
from df2s2_d2.formats.image_sizes import ImageSizes
from df2s2_d2.formats.whole_numbers import parse_whole_number

logger = logging.getLogger(__name__)

# What a file does not hold of an image.
WITHOUT_AREA = "boxes without an area"
ATTRIBUTES = "attributes of faces"
SCORES = "scores"

# Decimals of pixels: sums and differences of corners are rounded, or 6.6 would become 6.600...01.
_DECIMALS = 9

_SIDES = ("xmin", "ymin", "xmax", "ymax")


class _Tree(NamedTuple):
    """An XML file.

    Attributes:
        place: the file, for messages.
        root: its outermost element.
        lines: of all elements.
    """

    place: Path
    root: Element
    lines: dict[Element, int]

    def error(self, element: Element, expected: str, found: str | None) -> ValueError:
        found = "nothing" if found is None else repr(found.strip()[:80])
        return ValueError(
            f"{self.place}, line {self.lines[element]}: expected {expected}; found {found}"
        )


class _DocumentType(ValueError):
    """A file has a document type."""


def read_images(path: Path, dropped: Counter[str], origin: int = 1) -> Iterator[AnnotatedImage]:
    """Read the annotations of a folder, by name.

    An image is named as its file below ``Annotations/``, with the ending in ``filename``. Boxes of
    every name are faces; others than faces are warned of at the end.

    Args:
        path: a folder that holds XML files at any depth, or one with ``Annotations/``; or one file.
        dropped: counts scores, which are passed over.
        origin: what ``xmin`` and ``ymin`` are at the border of the image, 1 or 0.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if there is none, or one departs from the format; names file and line.
    """
    folder = path / "Annotations" if (path / "Annotations").is_dir() else path
    files = [path] if path.is_file() else sorted(folder.rglob("*.xml"))
    if not files:
        raise ValueError(f"{path} holds no .xml: give the folder of annotations")
    root = path.parent if path.is_file() else folder
    names: Counter[str] = Counter()
    lowest = np.inf
    for file in files:
        tree = _parse(file)
        name = file.relative_to(root).with_suffix("").as_posix()
        corners = []
        ignored = []
        for face in tree.root.iterfind("object"):
            corners.append(_corners(tree, face))
            ignored.append(_flag(tree, face, "difficult"))
            names[(face.findtext("name") or "").strip()] += 1
            dropped[SCORES] += face.find("confidence") is not None
        boxes = np.array(corners, np.float64).reshape(-1, 4)
        lowest = min(lowest, boxes[:, :2].min(initial=np.inf))
        boxes[:, :2] -= origin
        boxes[:, 2:] -= boxes[:, :2]
        boxes = boxes.round(_DECIMALS)
        image = name + _suffix(tree)
        yield AnnotatedImage(image, boxes, np.array(ignored, bool), {}, _size(tree))
    warn_of_categories(str(path), names, {key: key for key in names})
    if origin == 1 and lowest == 0:
        logger.warning(
            "%s has boxes that begin at 0, which VOC's own, counted from 1, do not: if a program "
            "wrote edges from 0, add --voc-origin 0.",
            path,
        )


def _parse(file: Path) -> _Tree:
    """Parse a file; one that defines entities, which may grow without bound, is refused."""
    builder = TreeBuilder()
    lines: dict[Element, int] = {}
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def start(tag: str, attributes: dict[str, str]) -> None:
        lines[builder.start(tag, attributes)] = parser.CurrentLineNumber

    def refuse(*_) -> None:
        raise _DocumentType(
            f"{file}, line {parser.CurrentLineNumber}: it has a document type, by which a file can "
            "be made to grow without bound or to read others; annotations need none: remove it"
        )

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    content = file.read_bytes()
    try:
        parser.Parse(content, True)
    except _DocumentType:
        raise
    except (LookupError, ValueError) as error:  # of the encoding that it names
        raise ValueError(
            f"{file}: expected XML in UTF-8, found an encoding that cannot be "
            f"read ({str(error)[:80]})"
        ) from None
    except expat.ExpatError as error:
        place = f"{file}, line {error.lineno}, column {error.offset + 1}"
        raise ValueError(
            f"{place}: expected XML, found a fault in it ({expat.ErrorString(error.code)})"
        ) from None
    root = builder.close()
    tree = _Tree(file, root, lines)
    if root.tag != "annotation":
        raise tree.error(root, "<annotation>", f"<{root.tag}>")
    return tree


def _corners(tree: _Tree, face: Element) -> list[float]:
    box = face.find("bndbox")
    values = []
    for side in _SIDES:
        text = box.findtext(side) if box is not None else None
        try:
            value = float(text or "")
        except ValueError:
            value = np.inf
        if not abs(value) < MAX_COORDINATE:
            raise tree.error(face if box is None else box, f"<{side}> in pixels", text)
        values.append(value)
    return values


def _flag(tree: _Tree, face: Element, name: str) -> bool:
    text = face.findtext(name)
    if text is not None and text.strip() not in ("", "0", "1"):
        raise tree.error(face.find(name), f"<{name}> of 0 or 1", text)
    return text is not None and text.strip() == "1"


def _size(tree: _Tree) -> tuple[int, int] | None:
    """Height and width; None if the file does not state them, or as 0."""
    sides = []
    for name in ("height", "width"):
        element = tree.root.find(f"size/{name}")
        text = (element.text or "").strip() if element is not None else ""
        side = parse_whole_number(text or "0")
        if side is None:
            raise tree.error(element, f"<{name}> in pixels", text)
        sides.append(side)
    return tuple(sides) if all(sides) else None


def _suffix(tree: _Tree) -> str:
    name = (tree.root.findtext("filename") or "").strip().replace("\\", "/")
    return posixpath.splitext(name)[1] or ".jpg"


def format_annotation(
    path: str,
    size: tuple[int, int],
    boxes: np.ndarray,
    ignored: np.ndarray,
    dropped: Counter[str],
    *,
    origin: int = 1,
    scores: np.ndarray | None = None,
) -> str:
    """The content of the file of one image.

    Args:
        path: of the image below the folder of images, with forward slashes.
        size: height and width of the image in pixels.
        boxes: (n, 4) x, y, width, height in pixels.
        ignored: (n,) bool.
        dropped: counts what is not written.
        origin: what ``xmin`` and ``ymin`` are at the border of the image, 1 or 0.
        scores: (n,) written as ``confidence``, which VOC's own programs pass over; None for none.
    """
    folder, name = posixpath.split(path)
    has_area = (boxes[:, 2:] > 0).all(axis=1)
    dropped[WITHOUT_AREA] += int((~has_area).sum())
    corners = np.hstack([boxes[:, :2] + origin, boxes[:, :2] + boxes[:, 2:]])[has_area]
    corners = corners.round(_DECIMALS)
    height, width = size
    lines = [
        "<annotation>",
        f"  <folder>{escape(folder)}</folder>",
        f"  <filename>{escape(name)}</filename>",
        f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
        "  <segmented>0</segmented>",
    ]
    confidence = [""] * len(corners)
    if scores is not None:
        confidence = [f"<confidence>{score}</confidence>" for score in scores[has_area].tolist()]
    rows = zip(corners.tolist(), ignored[has_area].tolist(), confidence, strict=True)
    for face, is_ignored, told in rows:
        sides = "".join(
            f"<{side}>{plain_number(value)}</{side}>"
            for side, value in zip(_SIDES, face, strict=True)
        )
        lines += [
            f"  <object><name>{FACE}</name><pose>Unspecified</pose><truncated>0</truncated>"
            f"<difficult>{int(is_ignored)}</difficult>{told}",
            f"    <bndbox>{sides}</bndbox></object>",
        ]
    return "".join(f"{line}\n" for line in [*lines, "</annotation>"])


class VocWriter:
    """Writes ``<image>.xml`` below a folder of annotations, also for images without faces.

    Attributes:
        dropped: what of the images the format does not hold -> how often.
    """

    def __init__(self, annotations: Path, sizes: ImageSizes, origin: int = 1):
        """
        Args:
            annotations: the folder; it is made.
            sizes: of the images.
            origin: see :func:`format_annotation`.
        """
        self.dropped: Counter[str] = Counter()
        self._annotations = annotations
        self._sizes = sizes
        self._origin = origin
        annotations.mkdir()

    def add(self, image: AnnotatedImage) -> None:
        """Write the file of an image.

        Raises:
            OSError: if its size cannot be read.
            ValueError: if its size is unknown, or its path does not fit below a folder.
        """
        below = path_below(image.path, str(self._sizes.image_dir or ""))
        size = image.size or self._sizes.require(image.path)
        if any(values.any() for values in image.attributes.values()):
            self.dropped[ATTRIBUTES] += len(image.boxes)
        text = format_annotation(
            below, size, image.boxes, image.ignored, self.dropped, origin=self._origin
        )
        path = self._annotations / f"{posixpath.splitext(below)[0]}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def close(self) -> None:
        pass  # every image has a file of its own
