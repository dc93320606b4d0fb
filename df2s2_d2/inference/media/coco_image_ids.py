"""Ids of images in the ground truth that COCO's results are to be compared with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from df2s2_d2.formats.json_file import read_json


@dataclass(frozen=True)
class CocoImageIds:
    """What results take from a ground truth.

    Attributes:
        path: of the ground truth.
        ids: of images, by ``file_name``.
        category: the id of faces.
    """

    path: str | os.PathLike
    ids: Mapping[str, int | str]
    category: int

    @classmethod
    def read(cls, path: str | os.PathLike) -> CocoImageIds:
        """Read COCO JSON; faces are its category "face", or its only one.

        Raises:
            ValueError: if it cannot be read, or has no such category; names it.
        """
        try:
            content = read_json(path)
            images = {image["file_name"]: image["id"] for image in content["images"]}
            categories = {category["name"]: category["id"] for category in content["categories"]}
            only = next(iter(categories.values())) if len(categories) == 1 else None
            category = categories.get("face", only)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} gives no ids of images: it must be COCO JSON, whose 'images' have 'id' "
                "and 'file_name' and whose 'categories' have 'id' and 'name' "
                f"({error!r})"
            ) from error
        if category is None:
            raise ValueError(
                f"{path} has {len(categories)} categories, none of which is named 'face'"
            )
        return cls(path, images, category)
