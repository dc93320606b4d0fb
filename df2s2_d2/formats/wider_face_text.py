"""WIDER FACE's annotation text, and data sets of one's own in the same format.

An annotation file repeats, for every image: its path, the number of faces, and one line a face:
``x y w h blur expression illumination invalid occlusion pose``. Lines of ``x y w h`` alone will do.
A number of 0 may be followed by one line of zeros. A file list has one image path a line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from df2s2_d2.formats.annotated_image import (
    MAX_COORDINATE,
    AnnotatedImage,
    image_name,
    plain_number,
    require_text,
)
from df2s2_d2.formats.whole_numbers import parse_whole_number

# The columns behind the box; "invalid" says of a box that it is to be ignored.
ATTRIBUTES = ("blur", "expression", "illumination", "invalid", "occlusion", "pose")

_BOX_COLUMNS = 4
_ALL_COLUMNS = _BOX_COLUMNS + len(ATTRIBUTES)
_NUMBERS_BEHIND_PATH = re.compile(r"\.(jpe?g|png|bmp|webp|tiff?)[\s,;][-+.,;\d\s]+$", re.IGNORECASE)
_NUMBERS_ONLY = re.compile(r"[-+.\d\s]+")

# A line's number, counted from 1, and its text. (A plain tuple: it costs the garbage collector
# less than a class, which shows with the 185,000 lines of the training set.)
_Line = tuple[int, str]


def read_images(path: str) -> list[AnnotatedImage]:
    """Read an annotation file or a file list, whichever it is.

    Args:
        path: of the text. Without any line of numbers it is a file list.

    Returns:
        See :func:`read_annotations`; the images of a file list have no boxes.

    Raises:
        ValueError: if the file departs from the format; names file, line, what was expected and
            what was found.
    """
    lines = _read_lines(path)
    if any(_is_numeric(text) for _, text in lines):
        return _parse_annotations(path, lines)
    return _parse_file_list(path, lines)


def read_annotations(annotation_file: str) -> list[AnnotatedImage]:
    """Read an annotation file of WIDER FACE.

    Args:
        annotation_file: e.g. ``wider_face_train_bbx_gt.txt``.

    Returns:
        The images in the file's order with every box. Boxes marked invalid are ``ignored``; the
        other ``ATTRIBUTES`` are attributes.

    Raises:
        ValueError: if the file departs from the format; names file, line, what was expected and
            what was found.
    """
    return _parse_annotations(annotation_file, _read_lines(annotation_file))


def _read_lines(path: str) -> list[_Line]:
    """Lines that are not blank."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [
                (number, text)
                for number, line in enumerate(file, start=1)
                if (text := line.strip())
            ]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected a text in UTF-8, found other data ({error}).") from None
    if not lines:
        raise ValueError(f"{path}: expected paths of images, found an empty file.")
    return lines


def _is_numeric(text: str) -> bool:
    return _NUMBERS_ONLY.fullmatch(text) is not None


def _parse_annotations(path: str, lines: list[_Line]) -> list[AnnotatedImage]:
    images = []
    check_new = _duplicate_check(path)
    position = 0
    while position < len(lines):
        image = lines[position]
        if _is_numeric(image[1]):
            expected = "the path of an image (has the image before more faces than its number?)"
            raise _format_error(path, image, expected)
        _check_path_stands_alone(path, image)
        check_new(image)

        count = _parse_count(path, image, lines[position + 1 : position + 2])
        first = position + 2
        position = first + count
        rows = [_parse_row(path, line, image) for line in lines[first:position]]
        if len(rows) < count:
            raise _end_of_file_error(path, image, f"{count} faces, not {len(rows)}")
        if count == 0 and position < len(lines) and _is_numeric(lines[position][1]):
            if any(_parse_row(path, lines[position], image)):
                raise _format_error(path, lines[position], "zeros, for an image with 0 faces")
            position += 1

        values = np.array(rows, dtype=np.float64).reshape(count, _ALL_COLUMNS)
        boxes, labels = np.split(values, [_BOX_COLUMNS], axis=1)
        attributes = dict(zip(ATTRIBUTES, labels.astype(np.int64).T, strict=True))
        ignored = attributes.pop("invalid") != 0
        places = np.array([number for number, _ in lines[first : first + count]], np.int64)
        images.append(AnnotatedImage(image[1], boxes, ignored, attributes, places=places))
    return images


def _parse_file_list(path: str, lines: list[_Line]) -> list[AnnotatedImage]:
    check_new = _duplicate_check(path)
    for line in lines:
        _check_path_stands_alone(path, line)
        check_new(line)
    return [AnnotatedImage(text, None) for _, text in lines]


def _check_path_stands_alone(path: str, line: _Line) -> None:
    """Other formats have the faces behind the path, and would pass for lists of strange paths."""
    if _NUMBERS_BEHIND_PATH.search(line[1]):
        expected = "the path of an image alone, its faces in lines of their own below their number"
        raise _format_error(path, line, expected)


def _parse_count(path: str, image: _Line, following: list[_Line]) -> int:
    if not following:
        raise _end_of_file_error(path, image, "the number of faces")
    _, text = following[0]
    count = parse_whole_number(text)
    if count is None:
        raise _format_error(path, following[0], f"the number of faces of {image[1][:80]}")
    return count


def _parse_row(path: str, line: _Line, image: _Line) -> list[float]:
    try:
        values = [float(field) for field in line[1].split()]
    except ValueError:
        values = []
    # The sum of numbers is a number only if each of them is.
    if (
        len(values) not in (_BOX_COLUMNS, _ALL_COLUMNS)
        or not abs(sum(values)) < np.inf
        or max(map(abs, values)) >= MAX_COORDINATE
    ):
        columns = " ".join(("x y w h", *ATTRIBUTES))
        expected = f"a face of {image[1][:80]} (line {image[0]}) as {columns}"
        raise _format_error(path, line, expected)
    return values + [0.0] * (_ALL_COLUMNS - len(values))


def _duplicate_check(path: str) -> Callable[[_Line], None]:
    """Two images of one name would share one entry in every file of results."""
    first_seen: dict[str, int] = {}

    def check(image: _Line) -> None:
        number, text = image
        first = first_seen.setdefault(image_name(text), number)
        if first != number:
            expected = (
                f"a name that differs from that of line {first} in more than its ending, as "
                "results go by the name without it"
            )
            raise _format_error(path, image, expected)

    return check


def _format_error(path: str, line: _Line, expected: str) -> ValueError:
    number, text = line
    return ValueError(f"{path}, line {number}: expected {expected}; found {text[:80]!r}.")


def _end_of_file_error(path: str, image: _Line, expected: str) -> ValueError:
    number, text = image
    return ValueError(
        f"{path}, line {number}: expected {expected} below {text[:80]}; found the end of the file."
    )


class WiderFaceWriter:
    """Writes an annotation file image by image; it holds all that an image can have but its size.

    Attributes:
        dropped: what of the images the format does not hold -> how often.
    """

    def __init__(self, path: Path):
        self.dropped: Counter[str] = Counter()
        self._file = path.open("w", encoding="utf-8", newline="\n")

    def add(self, image: AnnotatedImage) -> None:
        """Append an image.

        Raises:
            ValueError: if its path would be read as something else.
        """
        require_text(image.path)
        if image.path != image.path.strip() or _is_numeric(image.path):
            raise ValueError(
                f"WIDER FACE's text cannot name the image {image.path!r}, which is a number or "
                "begins or ends with a space: rename it"
            )
        columns = {**image.attributes, "invalid": image.ignored.astype(np.int64)}
        zeros = np.zeros(len(image.boxes), np.int64)
        labels = np.column_stack([columns.get(name, zeros) for name in ATTRIBUTES])
        lines = [image.path, str(len(image.boxes))]
        for box, row in zip(image.boxes.tolist(), labels.tolist(), strict=True):
            lines.append(" ".join([*map(plain_number, box), *map(str, row)]))
        if not len(image.boxes):
            lines.append(" ".join("0" * _ALL_COLUMNS))
        self._file.write("".join(f"{line}\n" for line in lines))

    def close(self) -> None:
        self._file.close()
