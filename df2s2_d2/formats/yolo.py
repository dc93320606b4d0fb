"""YOLO's labels: a text an image, ``class x y width height`` a line, in shares of the image.

``x`` and ``y`` are the centre of a box; all five are what Ultralytics trains on. A sixth number, as
its programs and :func:`format_labels` write it of detections, is the score. An image without a
file, or with an empty one, has no faces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from df2s2_d2.formats.annotated_image import AnnotatedImage, image_name, path_below
from df2s2_d2.formats.categories import FACE, warn_of_categories
from df2s2_d2.formats.image_sizes import ImageSizes
from df2s2_d2.formats.whole_outputs import write_whole
from df2s2_d2.formats.yolo_layout import YoloLayout

# Decimals of shares, and of pixels as they are read from them: boxes in hundred-thousandths of a
# pixel come back as they were from images of up to 65,000 pixels, which is as large as JPEG goes.
_DECIMALS, _PIXEL_DECIMALS = 10, 5
# Other programs round shares of boxes that touch the border to a little more than 1.
_TOLERANCE = 1e-5
# Numbers of classes; no data set has as many.
_LARGEST_CLASS = 1e9

# What labels do not hold of an image.
WITHOUT_AREA = "boxes without an area"
OUTSIDE = "boxes outside the image"
CUT_OFF = "parts of boxes beyond the border"
IGNORED = "ignored faces"
ATTRIBUTES = "attributes of faces"
SCORES = "scores"


def read_images(
    layout: YoloLayout, sizes: ImageSizes, dropped: Counter[str]
) -> Iterator[AnnotatedImage]:
    """Read the images of a data set, by name.

    Boxes of every class are faces; other classes are warned of at the end.

    Args:
        layout: of :func:`~df2s2_d2.formats.yolo_layout.find_layout`. Without images those are taken
            that have labels, as ``.jpg``.
        sizes: of the images.
        dropped: counts scores and labels without an image, which are passed over.

    Raises:
        OSError: if an image or a file cannot be read.
        ValueError: if a file departs from the format or the size of an image is unknown; names
            file and line.
    """
    labels = {path.removesuffix(".txt"): path for path in layout.label_paths()}
    if layout.images.is_dir():
        images = list(layout.image_paths())
    else:
        images = [f"{name}.jpg" for name in labels]
    if not images or not (labels.keys() & set(map(image_name, images)) or not labels):
        raise ValueError(
            f"{layout.labels} has no labels of the images in {layout.images}: give the folder of "
            "the images by --images"
        )
    counts: Counter[int] = Counter()
    first_paths: dict[str, str] = {}
    for path in images:
        name = image_name(path)
        first = first_paths.setdefault(name, path)
        if first != path:
            raise ValueError(
                f"{layout.images / path} and {layout.images / first} share one file of labels: "
                "rename or remove one"
            )
        size = sizes.require(path)
        if name in labels:
            place = layout.labels / labels.pop(name)
            rows = _parse(place, place.read_bytes())
        else:
            rows = np.zeros((0, 6))
        counts.update(rows[:, 0].astype(int).tolist())
        dropped[SCORES] += int(np.isfinite(rows[:, 5]).sum())
        yield AnnotatedImage(path, _pixels(rows[:, 1:5], size), np.zeros(len(rows), bool), {}, size)
    dropped["files of labels without an image"] += len(labels)
    warn_of_categories(str(layout.labels), counts, layout.class_names)


def _parse(place: Path, data: bytes) -> np.ndarray:
    """(n, 6) class, x, y, width, height, score; nan for no score."""
    rows = []
    for number, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            row = [float(field) for field in fields]
        except ValueError:
            row = []
        shares = row[1:5]
        if (
            len(row) not in (5, 6)
            or not (0 <= row[0] <= _LARGEST_CLASS and row[0].is_integer())
            or not all(-_TOLERANCE <= share <= 1 + _TOLERANCE for share in shares)
        ):
            raise ValueError(
                f"{place}, line {number}: expected 'class x y width height', and maybe a score, in "
                f"shares of the image from 0 to 1; found {line.strip()[:80]!r}"
                + ("; outlines and landmarks are not read" if len(row) > 6 else "")
            )
        rows.append(row + [np.nan] * (6 - len(row)))
    return np.array(rows, np.float64).reshape(-1, 6)


def _pixels(shares: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    centres, sides = np.split(shares * [width, height, width, height], 2, axis=1)
    return np.hstack([centres - sides / 2, sides]).round(_PIXEL_DECIMALS)


def format_labels(
    boxes: np.ndarray,
    size: tuple[int, int],
    dropped: Counter[str],
    scores: np.ndarray | None = None,
) -> str:
    """The content of the file of labels of one image.

    A box over the border is written as it is, unless its centre lies outside the image or it is
    larger: Ultralytics then passes the whole image over, so that it is cut off at the border.

    Args:
        boxes: (n, 4) x, y, width, height in pixels.
        size: height and width of the image in pixels.
        dropped: counts what is not written.
        scores: (n,) written as sixth column; None for none.
    """
    height, width = size
    has_area = (boxes[:, 2:] > 0).all(axis=1)
    dropped[WITHOUT_AREA] += int((~has_area).sum())
    corners = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
    limits = np.array([width, height, width, height])
    cut = corners.clip(0, limits)
    is_inside = (cut[:, 2:] > cut[:, :2]).all(axis=1)
    dropped[OUTSIDE] += int((has_area & ~is_inside).sum())
    centres, sides = corners[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]
    fits = ((centres >= 0) & (centres <= limits[:2]) & (sides <= limits[:2])).all(axis=1)
    kept = has_area & is_inside
    dropped[CUT_OFF] += int((kept & ~fits).sum())
    corners = np.where(fits[:, None], corners, cut)[kept]
    shares = np.hstack([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]])
    lines = [
        "0 " + " ".join(f"{share:.{_DECIMALS}f}" for share in row)
        for row in (shares / limits).tolist()
    ]
    if scores is not None:
        lines = [
            f"{line} {score}" for line, score in zip(lines, scores[kept].tolist(), strict=True)
        ]
    return "".join(f"{line}\n" for line in lines)


# What describes a data set, beside its labels.
DESCRIPTION = ("classes.txt", "data.yaml")


def write_classes(folder: Path) -> None:
    """Write ``classes.txt``, which has a class a line, whole: all shards of a run write it."""
    write_whole(folder / "classes.txt", f"{FACE}\n".encode(), durable=False)


def write_description(folder: Path) -> None:
    """Write ``classes.txt``, and the ``data.yaml`` of a data set without splits."""
    write_classes(folder)
    (folder / "data.yaml").write_text(
        f"train: images\nval: images\nnames:\n  0: {FACE}\n", encoding="utf-8"
    )


class YoloWriter:
    """Writes ``<image>.txt`` below a folder of labels, also for images without faces.

    Attributes:
        dropped: what of the images the format does not hold -> how often.
    """

    def __init__(self, labels: Path, sizes: ImageSizes):
        """
        Args:
            labels: the folder; it is made.
            sizes: of the images.
        """
        self.dropped: Counter[str] = Counter()
        self._labels = labels
        self._sizes = sizes
        labels.mkdir()

    def add(self, image: AnnotatedImage) -> None:
        """Write the labels of an image.

        Raises:
            OSError: if its size cannot be read.
            ValueError: if its size is unknown, or its path does not fit below a folder.
        """
        name = image_name(path_below(image.path, str(self._sizes.image_dir or "")))
        size = image.size or self._sizes.require(image.path)
        faces = image.boxes[~image.ignored]
        self.dropped[IGNORED] += len(image.boxes) - len(faces)
        if any(values.any() for values in image.attributes.values()):
            self.dropped[ATTRIBUTES] += len(faces)
        path = self._labels / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(format_labels(faces, size, self.dropped), encoding="utf-8")

    def close(self) -> None:
        pass  # every image has a file of its own
