"""Images that are missing, broken, not as annotated, or not annotated at all."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterator

import numpy as np

from df2s2_d2.data.datasets.lost_faces import NO_AREA, count_faces
from df2s2_d2.dataset_check import findings
from df2s2_d2.dataset_check.annotated_dataset import AnnotatedDataset
from df2s2_d2.dataset_check.findings import Finding
from df2s2_d2.dataset_check.image_scan import ImageScan

# What is looked for where images lie that no annotation names.
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")


def find_image_faults(dataset: AnnotatedDataset, scan: ImageScan) -> list[Finding]:
    """What is wrong with the annotated images themselves.

    Args:
        dataset: whose images they are.
        scan: of its images.
    """
    missing = [
        Finding(findings.MISSING, f"{dataset.file_names[k]} does not exist", k)
        for k in np.flatnonzero(scan.is_missing).tolist()
    ]
    unreadable = [Finding(findings.UNREADABLE, fault, k) for k, fault in scan.faults.items()]
    return missing + unreadable + list(_other_sizes(dataset, scan))


def _other_sizes(dataset: AnnotatedDataset, scan: ImageScan) -> Iterator[Finding]:
    for number in np.flatnonzero(scan.is_readable).tolist():
        stated = dataset.images[number].size
        height, width = map(int, scan.sizes[number])
        # Sizes are often stated as an image is stored, before EXIF rotation.
        if stated and sorted(stated) != sorted((height, width)):
            reason = f"it has {width} × {height} px, annotated are {stated[1]} × {stated[0]} px"
            yield Finding(findings.OTHER_SIZE, reason, number)


def find_lost_faces(
    dataset: AnnotatedDataset, scan: ImageScan, keep_crowd: bool = False
) -> list[Finding]:
    """Whether there is any face to train on.

    Args:
        dataset: with annotations.
        scan: of its images.
        keep_crowd: whether regions to be ignored are faces.
    """
    count = count_faces(dataset.records(), scan.sizes, keep_crowd)
    if count.kept:
        return []
    num_boxes = len(dataset.labels.boxes)
    if not num_boxes:
        return [Finding(findings.NO_FACE, "there is no box at all")]
    lost = [count.describe_lost()] if count.total else []
    # Boxes without an area are dropped as records are made.
    if num_boxes > count.total:
        lost.append(f"{num_boxes - count.total:,} {NO_AREA}")
    reason = f"none of its {num_boxes:,} boxes is left: {', '.join(lost)}"
    return [Finding(findings.NO_FACE, reason)]


def find_files_not_annotated(
    dataset: AnnotatedDataset, annotated: Collection[str]
) -> list[Finding]:
    """Image files below the folder of images that no annotation names.

    Args:
        dataset: whose folder is listed.
        annotated: files that are annotated, in this data set or another one.
    """
    real_folder = functools.cache(os.path.realpath)
    known = {(real_folder(folder), name) for folder, name in map(os.path.split, annotated)}
    found = []
    for folder, _, names in os.walk(dataset.image_dir) if dataset.image_dir else ():
        found += [
            os.path.join(folder, name)
            for name in names
            if name.lower().endswith(_IMAGE_SUFFIXES) and (real_folder(folder), name) not in known
        ]
    reason = "no annotation names it"
    return [Finding(findings.NOT_ANNOTATED, reason, file=file) for file in sorted(found)]
