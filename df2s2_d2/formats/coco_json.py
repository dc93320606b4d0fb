"""Face boxes in COCO JSON: only ``images`` and the boxes of ``annotations`` are needed.

detectron2's own COCO reader also wants image sizes, categories and unique annotation ids, which
files with boxes alone often lack.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from df2s2_d2.formats.annotated_image import (
    FACE_ATTRIBUTES,
    MAX_COORDINATE,
    AnnotatedImage,
    image_name,
    require_text,
)
from df2s2_d2.formats.categories import FACE, warn_of_categories
from df2s2_d2.formats.json_file import as_id, is_number_below, read_json, shorten

_CATEGORY = 1

# Flags of annotations by their texts: programs write them as numbers, as words, and in quotes,
# where Python would take "0" and "False" for true.
_UNSET, _SET = ("0", "0.0", "false", "none", ""), ("1", "1.0", "true")
_FLAGS = {**dict.fromkeys(_UNSET, False), **dict.fromkeys(_SET, True)}


def read_images(json_file: str, image_dir: str = "") -> list[AnnotatedImage]:
    """Read face boxes from COCO JSON.

    Every annotation is a face, whatever its category; other categories than one of faces are
    warned of. Annotations with ``iscrowd`` or ``ignore`` are regions to be ignored. Of
    ``attributes``, as labelling programs export them, WIDER FACE's are read where they are numbers.

    Args:
        json_file: JSON with ``images`` (``id``, ``file_name``, optionally ``height`` and
            ``width``) and ``annotations`` (``image_id``, ``bbox``: x, y, width, height in pixels).
            A size of null or 0 is as good as none.
        image_dir: folder that ``file_name`` in the JSON is relative to, by which it is known
            whether two of them are the same.

    Returns:
        The images in the file's order with every box. Without a list of ``annotations`` in the
        file they have no boxes.

    Raises:
        ValueError: if the file departs from the format; names the file and the place in it.
    """
    content = _read_object(json_file)
    listed = _require_list(json_file, content, "images")
    if not listed:
        raise ValueError(f'{json_file}, "images": expected images, found none.')
    images: dict[int | str, AnnotatedImage] = {}
    first_places: dict[str, int] = {}  # by name
    for index, image in enumerate(listed):
        place = f"{json_file}, images[{index}]"
        key, path = _require_image(place, image)
        name = image_name(path, image_dir)
        if key in images:
            raise ValueError(f'{place}: expected an "id" of its own; found {shorten(image)}.')
        first = first_places.setdefault(name, index)
        if first != index:
            raise ValueError(
                f'{place}: expected a "file_name" that differs from that of images[{first}] in '
                "more than its ending, as results go by the name without it; found "
                f"{shorten(path)}: rename or remove one."
            )
        height, width = (_require_size(place, image, side) for side in ("height", "width"))
        size = (height, width) if height and width else None
        images[key] = AnnotatedImage(path, boxes=None, size=size)

    if "annotations" in content:
        return _with_boxes(json_file, content, images)
    return list(images.values())


def _with_boxes(
    json_file: str, content: dict[str, Any], images: dict[int | str, AnnotatedImage]
) -> list[AnnotatedImage]:
    """The images (by their ids) with what is annotated in them."""
    boxes = defaultdict(list)
    ignored = defaultdict(list)
    places = defaultdict(list)
    attributes = defaultdict(list)
    categories: Counter[Any] = Counter()
    for index, annotation in enumerate(_require_list(json_file, content, "annotations")):
        place = f"{json_file}, annotations[{index}]"
        key, box = _require_box(place, annotation)
        if key not in images:
            is_other_kind = str(key) in map(str, images)
            remedy = ": write both as numbers, or both as texts" if is_other_kind else ""
            raise ValueError(
                f'{place}: expected the "id" of an image; found "image_id" {shorten(key)}{remedy}.'
            )
        boxes[key].append(box)
        places[key].append(index)
        flags = [_require_flag(place, annotation, flag) for flag in ("iscrowd", "ignore")]
        ignored[key].append(any(flags))
        attributes[key].append(_face_attributes(annotation))
        categories[as_id(annotation.get("category_id"))] += 1
    warn_of_categories(json_file, categories, _category_names(content))
    # What no box of the file has is no attribute of any.
    told = set().union(*(values for rows in attributes.values() for values in rows))
    return [
        image._replace(
            boxes=np.array(boxes[key], dtype=np.float64).reshape(-1, 4),
            ignored=np.array(ignored[key], dtype=bool),
            places=np.array(places[key], dtype=np.int64),
            attributes={
                name: np.array([values.get(name, 0) for values in attributes[key]], np.int64)
                for name in FACE_ATTRIBUTES
                if name in told
            },
        )
        for key, image in images.items()
    ]


def _category_names(content: dict[str, Any]) -> dict[int | str | None, str]:
    listed = content.get("categories")
    return {
        as_id(one.get("id")): shorten(one.get("name")).strip("'")
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, dict)
    }


def _read_object(json_file: str) -> dict[str, Any]:
    content = read_json(json_file)
    if not isinstance(content, dict):
        raise ValueError(
            f'{json_file}: expected an object with "images" and "annotations", '
            f"found a {type(content).__name__}."
        )
    return content


def _require_list(json_file: str, content: dict[str, Any], key: str) -> list[Any]:
    if not isinstance(content.get(key), list):
        found = type(content[key]).__name__ if key in content else "nothing"
        raise ValueError(f'{json_file}, "{key}": expected a list, found {found}.')
    return content[key]


def _require_image(place: str, image: Any) -> tuple[int | str, str]:
    if isinstance(image, dict):
        key, path = as_id(image.get("id")), image.get("file_name")
        if key is not None and isinstance(path, str) and path:
            return key, path
    raise ValueError(
        f'{place}: expected "id", a whole number or a text, and "file_name"; '
        f"found {shorten(image)}."
    )


def _require_size(place: str, image: dict[str, Any], side: str) -> int:
    """Height or width in pixels; 0 if the file does not state it."""
    value = image.get(side)
    try:
        size = float(value or 0)
    except (OverflowError, TypeError, ValueError):
        size = -1.0
    if isinstance(value, bool) or not (0 <= size < MAX_COORDINATE and size.is_integer()):
        raise ValueError(
            f'{place}: expected "{side}" in pixels, or null; found {shorten(value)}: '
            "correct it, or leave it out."
        )
    return int(size)


def _require_box(place: str, annotation: Any) -> tuple[int | str, list[float]]:
    if isinstance(annotation, dict):
        key, box = as_id(annotation.get("image_id")), annotation.get("bbox")
        if (
            key is not None
            and isinstance(box, list)
            and len(box) == 4
            and all(is_number_below(value, MAX_COORDINATE) for value in box)
        ):
            return key, box
    raise ValueError(
        f'{place}: expected "image_id" and "bbox" as numbers [x, y, width, height] in pixels; '
        f"found {shorten(annotation)}."
    )


def _require_flag(place: str, annotation: dict[str, Any], flag: str) -> bool:
    value = annotation.get(flag)
    is_plain = value is None or isinstance(value, str | int | float)
    is_set = _FLAGS.get(str(value).strip().lower()) if is_plain else None
    if is_set is None:
        raise ValueError(
            f'{place}: expected "{flag}" as 0 or 1, false or true; found {shorten(value)}.'
        )
    return is_set


def _face_attributes(annotation: dict[str, Any]) -> dict[str, int]:
    """Those of FACE_ATTRIBUTES that stand there as whole numbers."""
    values = annotation.get("attributes")
    if not isinstance(values, dict):
        return {}
    return {
        name: values[name]
        for name in FACE_ATTRIBUTES
        if type(values.get(name)) is int and abs(values[name]) < MAX_COORDINATE
    }


class CocoWriter:
    """Writes COCO JSON image by image, which detectron2's and COCO's own readers take too.

    Ignored boxes are ``iscrowd``; attributes are ``attributes``, as labelling programs export them.

    Attributes:
        dropped: what of the images the format does not hold -> how often.
    """

    def __init__(self, path: Path):
        self.dropped: Counter[str] = Counter()
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._file.write('{"annotations": [')
        self._separator = "\n"
        self._num_boxes = 0
        self._images: list[str] = []  # which follow at the end, as both lists grow

    def add(self, image: AnnotatedImage) -> None:
        """Append an image.

        Raises:
            ValueError: if its path is no text.
        """
        require_text(image.path)
        image_id = len(self._images) + 1
        record = {"id": image_id, "file_name": image.path}
        if image.size:
            record |= zip(("height", "width"), image.size, strict=True)
        else:
            self.dropped["sizes of images, unknown without --images"] += 1
        self._images.append(json.dumps(record))
        attributes = {name: values.tolist() for name, values in image.attributes.items()}
        for index, (box, is_ignored) in enumerate(
            zip(image.boxes.tolist(), image.ignored.tolist(), strict=True)
        ):
            self._num_boxes += 1
            annotation = {
                "id": self._num_boxes,
                "image_id": image_id,
                "category_id": _CATEGORY,
                "bbox": box,
                "area": max(box[2], 0.0) * max(box[3], 0.0),
                "iscrowd": int(is_ignored),
            }
            if attributes:
                annotation["attributes"] = {k: values[index] for k, values in attributes.items()}
            self._file.write(f"{self._separator}{json.dumps(annotation)}")
            self._separator = ",\n"

    def close(self) -> None:
        categories = json.dumps([{"id": _CATEGORY, "name": FACE}])
        images = ",\n".join(self._images)
        with self._file:
            self._file.write(f'\n],\n"images": [\n{images}\n],\n"categories": {categories}}}\n')
