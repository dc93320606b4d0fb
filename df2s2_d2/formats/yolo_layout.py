"""Where a data set in YOLO's layout has its images and labels, as Ultralytics looks for them.

``images/<name>.jpg`` is labelled by ``labels/<name>.txt``: in the path of an image the last folder
``images`` becomes ``labels``. Where there is none, labels lie beside the images. ``data.yaml``
names the folders of images of each split, and the classes; ``classes.txt`` has a class a line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from df2s2_d2.formats.folder_search import files_below
from df2s2_d2.formats.json_file import shorten
from df2s2_d2.formats.yaml_file import read_yaml

# Formats of images that Ultralytics takes.
IMAGE_SUFFIXES = frozenset(
    {".bmp", ".dng", ".heic", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"}
)
_SPLITS = ("train", "val", "test")
# What no path has, and bytes of the longest name and characters of the longest path.
_NO_CHARACTERS = re.compile("[\0\ud800-\udfff]")
_LONGEST_NAME, _LONGEST_PATH = 255, 1_000


@dataclass(frozen=True)
class YoloLayout:
    """A data set by its folders.

    Attributes:
        images: folder of images, which need not be there.
        labels: folder of labels.
        class_names: by the numbers of classes; empty if they are not told.
    """

    images: Path
    labels: Path
    class_names: dict[int, str] = field(default_factory=dict)

    def image_paths(self) -> Iterator[str]:
        """Images at any depth but hidden ones, relative and with forward slashes, by name."""
        for path in _sorted_files(self.images):
            if os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES:
                yield path

    def label_paths(self) -> Iterator[str]:
        """Labels at any depth, relative and with forward slashes, by name."""
        for path in _sorted_files(self.labels):
            if path.endswith(".txt") and path != "classes.txt":
                yield path


def _sorted_files(folder: Path) -> list[str]:
    return sorted(path.replace(os.sep, "/") for path in files_below(folder))


def find_layout(path: Path, split: str | None = None, images: Path | None = None) -> YoloLayout:
    """Find the folders of a data set.

    Args:
        path: its ``data.yaml``; its folder, which holds ``labels/`` or ``data.yaml``; or a folder
            of images or labels.
        split: "train", "val" or "test" of ``data.yaml``; None if it has only one.
        images: folder of images, if they lie elsewhere.

    Raises:
        OSError, ValueError: if it is not there or not such a data set; names the file and the
            remedy.
    """
    description = path if path.is_file() else path / "data.yaml"
    if description.is_file():
        layout = _described(description, split)
    elif split is not None:
        raise ValueError(f"{path} has no data.yaml, by which --split could be understood")
    else:
        layout = YoloLayout(*_folders(path), _listed_classes(path))
    if not layout.labels.is_dir():
        raise FileNotFoundError(
            f"{path} holds no labels: the folder {layout.labels} does not exist; give the folder "
            "that holds labels/, or data.yaml"
        )
    return layout if images is None else YoloLayout(images, layout.labels, layout.class_names)


def _folders(path: Path) -> tuple[Path, Path]:
    """Of images and of labels."""
    if (path / "labels").is_dir():
        return path / "images", path / "labels"
    for name, other in (("labels", "images"), ("images", "labels")):
        parts = path.absolute().parts
        if name in parts:
            place = len(parts) - 1 - parts[::-1].index(name)
            counterpart = Path(*parts[:place], other, *parts[place + 1 :])
            return (counterpart, path) if name == "labels" else (path, counterpart)
    return path, path


def _listed_classes(path: Path) -> dict[int, str]:
    for folder in (path, path.parent):
        if (folder / "classes.txt").is_file():
            lines = (folder / "classes.txt").read_text("utf-8-sig", errors="replace").splitlines()
            return {number: name.strip() for number, name in enumerate(lines) if name.strip()}
    return {}


def _described(file: Path, split: str | None) -> YoloLayout:
    """By what data.yaml says."""
    content = read_yaml(file)
    if not isinstance(content, dict):
        raise ValueError(f"{file}: expected keys such as train, val and names, found none")
    chosen = {name: content[name] for name in _SPLITS if content.get(name)}
    if split is not None:
        chosen = {name: value for name, value in chosen.items() if name == split}
    folders = {name: _folder_of(file, content, value) for name, value in chosen.items()}
    if len(set(folders.values())) != 1:
        known = ", ".join(name for name in _SPLITS if content.get(name)) or "no split"
        raise ValueError(f"{file} names {known}: give one of them by --split")
    images, labels = _folders(next(iter(folders.values())))
    return YoloLayout(images, labels, _names(content) or _listed_classes(file.parent))


def _folder_of(file: Path, content: dict[str, Any], value: Any) -> Path:
    """The folder of images of a split; paths are relative to data.yaml, or to its ``path``."""
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    if not _is_path(value) or value.endswith(".txt"):
        raise ValueError(
            f"{file}: expected one folder of images for a split, found {shorten(value)}; give "
            "the folder that holds labels/ instead"
        )
    below = content.get("path") or ""
    if not _is_path(below):
        raise ValueError(f"{file}: expected a folder as path, found {shorten(below)}")
    root = file.parent / below
    folder = root / value
    # Roboflow writes paths relative to a folder below.
    if not folder.is_dir() and value.startswith("../") and (root / value[3:]).is_dir():
        folder = root / value[3:]
    return folder


def _is_path(value: Any) -> bool:
    """Whether it can be the path of a folder, so that looking for it is no error."""
    if not isinstance(value, str) or len(value) > _LONGEST_PATH or _NO_CHARACTERS.search(value):
        return False
    return all(len(name.encode()) <= _LONGEST_NAME for name in value.split("/"))


def _names(content: dict[str, Any]) -> dict[int, str]:
    names = content.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        return {}
    return {
        key: name if isinstance(name, str) else shorten(name)
        for key, name in names.items()
        if isinstance(key, int)
    }
