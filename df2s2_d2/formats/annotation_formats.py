"""Names of the formats of annotations, for programs that are to start at once."""

from __future__ import annotations

from pathlib import Path

# Name -> what it is.
FORMATS = {
    "wider": "WIDER FACE's text",
    "coco": "COCO JSON",
    "yolo": "YOLO's labels",
    "voc": "Pascal VOC's XML",
}
# Format in a folder -> the parts of it that hold annotations and images.
FOLDERS = {"yolo": ("labels", "images"), "voc": ("Annotations", "JPEGImages")}

_SUFFIXES = {".txt": "wider", ".json": "coco", ".yaml": "yolo", ".yml": "yolo", ".xml": "voc"}


def recognise(path: Path) -> str:
    """The format of annotations, by the suffix of a file or by what is in a folder.

    Raises:
        FileNotFoundError: if there is nothing at ``path``.
        ValueError: if it may be none of them, or several.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: give annotations of faces")
    if path.is_file():
        found = {_SUFFIXES[path.suffix.lower()]} if path.suffix.lower() in _SUFFIXES else set()
    else:
        found = {name for name in FOLDERS if _looks_like(path, name)}
    if len(found) != 1:
        known = ", ".join(f"{name} ({what})" for name, what in FORMATS.items())
        what = "looks like several formats" if found else "is of no format known by its name"
        raise ValueError(f"{path} {what}: say which by --from, one of {known}")
    return found.pop()


def _looks_like(folder: Path, name: str) -> bool:
    if name == "voc":
        return (folder / "Annotations").is_dir() or any(folder.rglob("*.xml"))
    if any((folder / part).exists() for part in ("labels", "data.yaml", "classes.txt")):
        return True
    return "labels" in folder.absolute().parts and any(folder.rglob("*.txt"))


def format_of_output(path: Path) -> str | None:
    """The format that the name of a file to be written tells; None if it tells none."""
    name = _SUFFIXES.get(path.suffix.lower())
    return name if name not in FOLDERS else None
