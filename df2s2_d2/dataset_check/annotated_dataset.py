"""A data set as its annotation file has it, degenerate boxes included, and where each stands."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode

from df2s2_d2.data.datasets import circumscribed_boxes
from df2s2_d2.data.datasets.dataset_dicts import make_record, make_records
from df2s2_d2.evaluation import load_ground_truth
from df2s2_d2.evaluation.wider_face.attributes import load_attributes
from df2s2_d2.formats import coco_json, wider_face_text
from df2s2_d2.formats.annotated_image import AnnotatedImage, event_of
from df2s2_d2.formats.fddb_folds import load_folds

_LINE, _LIST, _COUNT = "line {place}", "annotations[{place}]", "box {place} of {image}"


@dataclass(frozen=True)
class Labels:
    """The B boxes of all images in one table.

    Attributes:
        boxes: (B, 4) float64 x, y, width, height in pixels, as annotated.
        ignored: (B,) bool, regions that are neither face nor background.
        image_index: (B,) int64, the image of each.
        places: (B,) int64, see :class:`~df2s2_d2.formats.annotated_image.AnnotatedImage`.
    """

    boxes: np.ndarray
    ignored: np.ndarray
    image_index: np.ndarray
    places: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """(B,) square roots of the areas, in pixels; 0 for boxes without an area."""
        return np.sqrt(np.maximum(self.boxes[:, 2:], 0).prod(axis=1))


@dataclass(frozen=True)
class AnnotatedDataset:
    """Images and boxes of one annotation file.

    Attributes:
        name: for people.
        annotation_file: the file, or the folder of them.
        image_dir: folder that the images' paths are relative to.
        images: in the file's order.
        place_form: how a place in the file is told, with the fields ``place`` and ``image``.
    """

    name: str
    annotation_file: str
    image_dir: str
    images: list[AnnotatedImage]
    place_form: str

    @property
    def is_annotated(self) -> bool:
        """Whether the file says which faces the images have."""
        return any(image.boxes is not None for image in self.images)

    @cached_property
    def file_names(self) -> list[str]:
        """Where each image is."""
        return [make_record(self.image_dir, image.path)["file_name"] for image in self.images]

    @cached_property
    def image_ids(self) -> list[str]:
        """The names of the images in every file of results."""
        return [make_record(self.image_dir, image.path)["image_id"] for image in self.images]

    @cached_property
    def events(self) -> list[str]:
        """The event of each image, see :func:`~df2s2_d2.formats.annotated_image.event_of`."""
        return [event_of(image_id) for image_id in self.image_ids]

    @cached_property
    def labels(self) -> Labels:
        """All boxes in one table."""
        images = [image for image in self.images if image.boxes is not None]
        index = [k for k, image in enumerate(self.images) if image.boxes is not None]
        counts = [len(image.boxes) for image in images]
        places = [_places(image) for image in images]
        return Labels(
            np.concatenate([np.zeros((0, 4)), *(image.boxes for image in images)]),
            np.concatenate([np.zeros(0, bool), *(image.ignored for image in images)]),
            np.repeat(np.array(index, np.int64), counts),
            np.concatenate([np.zeros(0, np.int64), *places]),
        )

    def place(self, box: int) -> str:
        """Where a box stands in the annotation file."""
        image = self.image_ids[self.labels.image_index[box]]
        return self.place_form.format(place=self.labels.places[box], image=image)

    def records(self) -> list[dict[str, Any]]:
        """Dataset dicts as a training would read them."""
        return make_records(self.image_dir, self.annotation_file, self.images)


def _places(image: AnnotatedImage) -> np.ndarray:
    return np.arange(1, len(image.boxes) + 1) if image.places is None else image.places


def open_datasets(texts: Sequence[str], image_dir: str | None = None) -> list[AnnotatedDataset]:
    """Read data sets, see :func:`open_dataset`, and tell those of one name apart by their paths."""
    datasets = [open_dataset(text, image_dir) for text in texts]
    names = Counter(dataset.name for dataset in datasets)
    return [
        replace(dataset, name=dataset.annotation_file) if names[dataset.name] > 1 else dataset
        for dataset in datasets
    ]


def open_dataset(text: str, image_dir: str | None = None) -> AnnotatedDataset:
    """Read a data set that is named, or lies in files.

    Args:
        text: a registered name, or ``ANNOTATIONS=IMAGES``: WIDER FACE's text or COCO JSON, a folder
            of FDDB's folds or of WIDER FACE's ``wider_face_val.mat``, and the folder of images.
        image_dir: folder of the images, where ``text`` names none.

    Raises:
        OSError, ValueError: naming the file and what is wrong.
    """
    if text in DatasetCatalog:
        return _open_registered(text)
    annotations = text
    if not os.path.exists(text) and "=" in text:
        annotations, _, image_dir = text.rpartition("=")
    if not os.path.exists(annotations):
        raise FileNotFoundError(
            f"{annotations} is neither a file or folder of annotations nor a registered data set: "
            f"give one of {', '.join(sorted(_own_names()))}, or ANNOTATIONS=IMAGES"
        )
    if image_dir is None:
        raise ValueError(f"{text}: where are its images? Give {text}=FOLDER, or --images FOLDER")
    if not os.path.isdir(image_dir):
        raise FileNotFoundError(f"{text}: the folder of images {image_dir} does not exist")
    return _read(Path(annotations).stem, annotations, image_dir)


def _own_names() -> list[str]:
    known = ("wider_face", "fddb")
    names = [str(name) for name in DatasetCatalog.list()]
    return [n for n in names if MetadataCatalog.get(n).get("evaluator_type") in known]


def _open_registered(name: str) -> AnnotatedDataset:
    records = DatasetCatalog.get(name)  # says what is missing, and what to do
    metadata = MetadataCatalog.get(name)
    for files, folder in (
        ("annotation_file", "image_dir"),
        ("folds_dir", "image_dir"),
        ("json_file", "image_root"),
    ):
        if metadata.get(files) and metadata.get(folder) is not None:
            return _read(name, os.fspath(metadata.get(files)), os.fspath(metadata.get(folder)))
    return AnnotatedDataset(name, name, "", list(map(_from_record, records)), _COUNT)


def _read(name: str, annotations: str, image_dir: str) -> AnnotatedDataset:
    read: Callable[[str, str], list[AnnotatedImage]]
    if os.path.isfile(annotations):
        if annotations.lower().endswith(".json"):
            read, form = coco_json.read_images, _LIST
        else:
            read, form = _read_text, _LINE
    elif os.path.isfile(os.path.join(annotations, "wider_face_val.mat")):
        read, form = _read_lists, _COUNT
    else:
        read, form = _read_folds, _COUNT
    return AnnotatedDataset(name, annotations, image_dir, read(annotations, image_dir), form)


def _read_text(path: str, _: str) -> list[AnnotatedImage]:
    return wider_face_text.read_images(path)


def _read_folds(folder: str, _: str) -> list[AnnotatedImage]:
    return [
        AnnotatedImage(f"{image}.jpg", circumscribed_boxes(ellipses), np.zeros(len(ellipses), bool))
        for images in load_folds(folder).values()
        for image, ellipses in images.items()
    ]


def _read_lists(folder: str, _: str) -> list[AnnotatedImage]:
    truth = load_ground_truth(folder)
    try:
        ignored = load_attributes(folder, truth)["invalid"] != 0
    except ValueError:  # the official file has them, others may not
        ignored = np.zeros(len(truth.boxes), bool)
    ends = np.searchsorted(truth.image_index, np.arange(1, len(truth.images)))
    return [
        AnnotatedImage(f"{image}.jpg", boxes, mask)
        for image, boxes, mask in zip(
            truth.images, np.split(truth.boxes, ends), np.split(ignored, ends), strict=True
        )
    ]


def _from_record(record: dict[str, Any]) -> AnnotatedImage:
    size = (record["height"], record["width"]) if {"height", "width"} <= record.keys() else None
    faces = record.get("annotations")
    if faces is None:
        return AnnotatedImage(record["file_name"], None, size=size)
    boxes = [BoxMode.convert(f["bbox"], BoxMode(f["bbox_mode"]), BoxMode.XYWH_ABS) for f in faces]
    return AnnotatedImage(
        record["file_name"],
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array([bool(face.get("iscrowd")) for face in faces], bool),
        size=size,
    )
