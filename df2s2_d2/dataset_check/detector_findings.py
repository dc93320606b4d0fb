"""What a detector contradicts: labelled faces that it does not see, and faces that only it sees."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from detectron2.structures import pairwise_iou

from df2s2_d2.dataset_check import findings
from df2s2_d2.dataset_check.annotated_dataset import AnnotatedDataset
from df2s2_d2.dataset_check.findings import Finding
from df2s2_d2.dataset_check.label_overlaps import as_boxes, highest, is_elsewhere
from df2s2_d2.formats.detection_files import read_detections
from df2s2_d2.formats.detections_jsonl import name_of_file

# From this IoU on, a detection is of a face.
_SAME_IOU = 0.35
# A detector does not see a face of which no detection has a higher score,
_UNSEEN_SCORE = 0.2
# and is sure of one above this.
_SURE_SCORE = 0.6


def read_detections_of(
    path: str | os.PathLike, datasets: Sequence[AnnotatedDataset]
) -> dict[str, np.ndarray]:
    """Detections in images of these data sets.

    Args:
        path: see :func:`~df2s2_d2.formats.detection_files.read_detections`.
        datasets: an image has its name there, or is named by its folder and its own name.

    Returns:
        Name of an image -> detections, as in the file.

    Raises:
        OSError, ValueError: naming the file and what is wrong, such as an image of no data set.
    """
    detections = read_detections(path)
    known = {name for dataset in datasets for names in _names(dataset) for name in names}
    unknown = sorted(set(detections) - known)
    if unknown:
        more = f" and {len(unknown) - 1:,} more images" if len(unknown) > 1 else ""
        names = ", ".join(dataset.name for dataset in datasets)
        raise ValueError(
            f"{path} has detections of {unknown[0]}{more} that {names} does not have: give those "
            "of the same images"
        )
    return detections


def _names(dataset: AnnotatedDataset) -> Iterator[tuple[str, str]]:
    """The names that each image may have in a file of detections."""
    for image_id, file in zip(dataset.image_ids, dataset.file_names, strict=True):
        yield image_id, name_of_file(Path(os.path.abspath(file)))


def find_contradictions(
    dataset: AnnotatedDataset, detections: Mapping[str, np.ndarray]
) -> list[Finding]:
    """Faces and detections that have no partner.

    Args:
        dataset: whose labels are doubted.
        detections: of :func:`read_detections_of`. Images that are not among them are not judged;
            one with no rows has no face for the detector.

    Returns:
        Image by image, faces that the detector does not see, weighed by their size, since any
        detector misses small ones, and faces that only it sees, weighed by their score.
    """
    found = []
    labels = dataset.labels
    ends = np.searchsorted(labels.image_index, np.arange(len(dataset.images) + 1))
    for image, names in enumerate(_names(dataset)):
        rows = next((detections[name] for name in names if name in detections), None)
        if rows is not None:
            numbers = np.arange(ends[image], ends[image + 1])
            found += _unseen(dataset, image, numbers, rows)
            found += _unlabelled(dataset, image, numbers, rows)
    return found


def _unseen(
    dataset: AnnotatedDataset, image: int, numbers: np.ndarray, detections: np.ndarray
) -> Iterator[Finding]:
    labels = dataset.labels
    faces = numbers[~labels.ignored[numbers] & (labels.boxes[numbers, 2:] > 0).all(axis=1)]
    overlaps = pairwise_iou(as_boxes(labels.boxes[faces]), as_boxes(detections))
    scores = highest((overlaps >= _SAME_IOU) * torch.from_numpy(detections[:, 4]), dim=1)
    for face, score in zip(faces.tolist(), scores.tolist(), strict=True):
        if score < _UNSEEN_SCORE:
            seen = f"seen with a score of {score:.2f}" if score else "not seen by the detector"
            x, y, width, height = labels.boxes[face].tolist()
            reason = f"{seen}: {width:g} × {height:g} px at ({x:g}, {y:g})"
            yield Finding(findings.UNSEEN, reason, image, face, weight=math.sqrt(width * height))


def _unlabelled(
    dataset: AnnotatedDataset, image: int, numbers: np.ndarray, detections: np.ndarray
) -> Iterator[Finding]:
    sure = detections[detections[:, 4] > _SURE_SCORE]
    unlabelled = sure[is_elsewhere(sure, dataset.labels.boxes[numbers])]
    for x, y, width, height, score in unlabelled.tolist():
        reason = f"score {score:.2f}: {width:.0f} × {height:.0f} px at ({x:.0f}, {y:.0f})"
        box = (x, y, width, height)
        yield Finding(findings.UNLABELLED, reason, image, detection=box, weight=score)
