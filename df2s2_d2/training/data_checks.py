"""Whether data sets can be trained on and scored, told before a run starts.

Folders are listed; of the images only a sample of bounded size is opened, for the heads of files.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

from df2s2_d2.data.datasets.image_files import missing_files
from df2s2_d2.data.datasets.lost_faces import FaceCount, count_faces, read_sizes, stated_sizes
from df2s2_d2.data.image_size import describe_mismatch
from df2s2_d2.evaluation.evaluators import build_evaluator

logger = logging.getLogger(__name__)

# Images of a data set whose sizes are read.
_SAMPLE = 64

# Share of the annotated boxes from which on it is said what is wrong with them.
_MANY = 0.2

# Entries of a data set's metadata that name the file with its annotations.
_ANNOTATION_FILES = ("annotation_file", "json_file", "folds_dir")


def check_data_sets(cfg: CfgNode, for_training: bool) -> None:
    """Check the data sets of a run; seconds for all of WIDER FACE.

    Args:
        cfg: a training reads DATASETS.TRAIN and is tested on DATASETS.TEST.
        for_training: False reads the latter only.

    Raises:
        OSError, ValueError: naming data set, file and what is wrong.
    """
    train, test = cfg.DATASETS.TRAIN if for_training else (), cfg.DATASETS.TEST
    key = "DATASETS.TRAIN" if for_training else "DATASETS.TEST"
    if not (train or test) or (for_training and not train):
        raise ValueError(f"{key} names no data set: give one, such as {key} \"('my_faces',)\"")
    records = {name: _load(name) for name in dict.fromkeys((*train, *test))}
    for name in train:
        check_annotations(name, records[name])
    for name in records:
        _check_image_ids(name, records[name])
        _check_files(name, records[name])
    for name in test:
        build_evaluator(name)
    if for_training:
        keep_crowd = cfg.DATASETS.INVALID_FACES == "face"
        counts = [check_faces(name, records[name], keep_crowd) for name in train]
        if not sum(count.kept for count in counts):
            raise ValueError(
                f"DATASETS.TRAIN: {_name_list(train)} has no face to train on: annotate faces as "
                "boxes in pixels that have an area"
            )


def _load(name: str) -> list[dict[str, Any]]:
    if name not in DatasetCatalog:
        raise ValueError(
            f"Data set {name!r} of DATASETS.TRAIN or DATASETS.TEST is not registered: use "
            "wider_face_train, wider_face_val, wider_face_test or fddb, or call "
            "register_wider_face or register_fddb"
        )
    records = DatasetCatalog.get(name)
    if not records:
        raise ValueError(f"{_place(name)} has no images")
    return records


def _place(name: str) -> str:
    """A data set and the file that describes it, for messages."""
    metadata = MetadataCatalog.get(name)
    files = [metadata.get(key) for key in _ANNOTATION_FILES if metadata.get(key)]
    return f"Data set {name!r}" + (f" ({os.fspath(files[0])})" if files else "")


def _name_list(names: Sequence[str]) -> str:
    return " and ".join(_place(name) for name in names)


def _check_image_ids(name: str, records: list[dict[str, Any]]) -> None:
    """Results go by ``image_id``."""
    first: dict[str | int, dict[str, Any]] = {}
    for record in records:
        if "image_id" not in record:
            raise ValueError(f"{_place(name)}: {record['file_name']} has no 'image_id': add one")
        other = first.setdefault(record["image_id"], record)
        if other is not record:
            raise ValueError(
                f"{_place(name)}: {other['file_name']} and {record['file_name']} are both named "
                f"{record['image_id']!r}: rename or remove one"
            )


def _check_files(name: str, records: list[dict[str, Any]]) -> None:
    missing = missing_files(record["file_name"] for record in records)
    if missing:
        raise FileNotFoundError(
            f"{_place(name)}: {len(missing):,} of its {len(records):,} images do not exist, such "
            f"as {missing[0]}: put them there, or take them out of the annotations"
        )


def check_annotations(name: str, records: list[dict[str, Any]]) -> None:
    """Check that a data set can be trained on at all.

    Args:
        name: of the data set, for messages.
        records: its dataset dicts.

    Raises:
        ValueError: naming the first image that cannot.
    """
    for record in records:
        if "annotations" not in record:
            raise ValueError(
                f"{_place(name)}: {record['file_name']} has no annotations, so it is for testing: "
                "take the data set out of DATASETS.TRAIN, or annotate its images"
            )
        for face in record["annotations"]:
            # What reads a set may leave "0" as it is, and Python takes it for true.
            if face.get("iscrowd", 0) not in (0, 1):
                raise ValueError(
                    f"{_place(name)}: {record['file_name']} has a box whose 'iscrowd' is "
                    f"{face['iscrowd']!r}: give 0 or 1, as numbers"
                )
            if face.get("category_id", 0) != 0:
                raise ValueError(
                    f"{_place(name)}: {record['file_name']} has boxes of other classes than the "
                    "first, but only faces can be trained on: leave out what is no face"
                )


def check_faces(name: str, records: list[dict[str, Any]], keep_crowd: bool) -> FaceCount:
    """Check that a training sees the annotated faces of a data set; warn if it loses many.

    Sizes of images are as stated in the annotations; a sample of the images is looked at, to tell
    whether that holds, and what lies outside where no sizes are stated.

    Args:
        name: of the data set, for messages.
        records: its dataset dicts, with annotations.
        keep_crowd: whether boxes marked ``iscrowd`` are faces.

    Returns:
        Its faces by what is stated.

    Raises:
        ValueError: if all of its faces are lost, or an image is not as large as it is stated.
    """
    sample = _sample([record for record in records if record["annotations"]])
    sizes = read_sizes(sample)
    _check_stated_sizes(name, sample, sizes)
    in_all = count_faces(records, stated_sizes(records), keep_crowd)
    in_sample = count_faces(sample, sizes, keep_crowd)
    sample_place = f"{_place(name)}, in a sample of {len(sample)} images"
    for place, count in ((_place(name), in_all), (sample_place, in_sample)):
        if count.total and not count.kept:
            raise ValueError(
                f"{place}: none of the {count.total:,} annotated boxes is a face to train on "
                f"({count.describe_lost()}): boxes are x, y, width, height in pixels of the "
                "upright image, and crowds are faces only with DATASETS.INVALID_FACES face"
            )
    # Of the images that are not in the sample only the sizes are unknown.
    place, count = max(
        (_place(name), in_all), (sample_place, in_sample), key=lambda pair: pair[1].share_lost
    )
    if count.share_lost >= _MANY:
        logger.warning(
            f"{place}: {count.total - count.kept:,} of {count.total:,} annotated boxes are no "
            f"faces to train on ({count.describe_lost()})"
        )
    if in_sample.off_centre >= _MANY * in_sample.total > 0:
        logger.warning(
            f"{sample_place}: {in_sample.off_centre:,} of {in_sample.total:,} annotated boxes have "
            "their centre outside the image: are they x, y, width, height, and not corners?"
        )
    if in_all.repeated >= _MANY * in_all.total > 0:
        logger.warning(
            f"{_place(name)}: {in_all.repeated:,} of {in_all.total:,} annotated boxes stand in "
            "their image once more: were annotations joined twice?"
        )
    return in_all


def _check_stated_sizes(name: str, records: list[dict[str, Any]], sizes: np.ndarray) -> None:
    """Compare sizes that annotations state, either way round, with those of the images."""
    for record, size in zip(records, sizes.tolist(), strict=True):
        stated = record.get("height"), record.get("width")
        if all(stated) and not np.isnan(size).any() and sorted(stated) != sorted(size):
            mismatch = describe_mismatch(record, stated, tuple(map(int, size)))
            raise ValueError(f"{_place(name)}: {mismatch}")


def _sample(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most :data:`_SAMPLE` of them, evenly spread."""
    if len(records) <= _SAMPLE:
        return records
    return [records[index] for index in np.linspace(0, len(records) - 1, _SAMPLE, dtype=int)]
