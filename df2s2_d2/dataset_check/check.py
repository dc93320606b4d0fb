"""Check data sets: statistics, suspicious labels, and images that occur more than once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from detectron2.config import CfgNode

from df2s2_d2.analysis.anchor_statistics import (
    AnchorStatistics,
    NoFaceLeftError,
    analyze,
    build_anchors,
)
from df2s2_d2.dataset_check.annotated_dataset import AnnotatedDataset
from df2s2_d2.dataset_check.detector_findings import find_contradictions
from df2s2_d2.dataset_check.findings import Finding
from df2s2_d2.dataset_check.image_findings import (
    find_files_not_annotated,
    find_image_faults,
    find_lost_faces,
)
from df2s2_d2.dataset_check.image_scan import ImageScan, scan_images
from df2s2_d2.dataset_check.label_findings import find_suspicious_labels
from df2s2_d2.dataset_check.near_duplicates import group_near_duplicates
from df2s2_d2.dataset_check.statistics import DatasetStatistics, compute_statistics


@dataclass(frozen=True)
class DatasetReport:
    """What was found in one data set.

    Attributes:
        dataset: itself.
        scan: of its images.
        statistics: of its boxes and images.
        findings: what may be wrong.
        anchors: its faces as a training sees them; None without a face that is trained on.
    """

    dataset: AnnotatedDataset
    scan: ImageScan
    statistics: DatasetStatistics
    findings: list[Finding]
    anchors: AnchorStatistics | None

    def finding_summary(self, finding: Finding) -> dict[str, Any]:
        """A finding, ready for JSON."""
        row: dict[str, Any] = {"kind": finding.kind.key, "reason": finding.reason}
        if finding.image is not None:
            row["image"] = self.dataset.image_ids[finding.image]
            row["file"] = self.dataset.file_names[finding.image]
        if finding.file is not None:
            row["file"] = finding.file
        if finding.box is not None:
            row["place"] = self.dataset.place(finding.box)
            row["box"] = self.dataset.labels.boxes[finding.box].tolist()
        if finding.detection is not None:
            row["detection"] = list(finding.detection)
        return row


# One image of a group: number of its data set, and of the image in it.
Member = tuple[int, int]


@dataclass(frozen=True)
class CheckResult:
    """What was found in data sets that were checked together.

    Attributes:
        reports: one a data set.
        config_file: whose training ``anchors`` are of.
        duplicates: groups of images that show the same, those of several data sets first; None if
            images were not decoded.
    """

    reports: list[DatasetReport]
    config_file: str
    duplicates: list[list[Member]] | None

    @property
    def num_errors(self) -> int:
        """Findings that a training stops for."""
        return sum(f.kind.is_error for report in self.reports for f in report.findings)

    @property
    def shared_groups(self) -> list[list[Member]]:
        """Groups of images that occur in several data sets."""
        groups = self.duplicates or []
        return [group for group in groups if len({number for number, _ in group}) > 1]

    def summary(self) -> dict[str, Any]:
        """All findings and figures, ready for JSON."""
        return {
            "config": self.config_file,
            "errors": self.num_errors,
            "data_sets": [
                {
                    "name": report.dataset.name,
                    "annotations": report.dataset.annotation_file,
                    "images": report.dataset.image_dir,
                    "statistics": report.statistics.summary(),
                    "in_training": report.anchors.summary() if report.anchors else None,
                    "findings": [report.finding_summary(one) for one in report.findings],
                }
                for report in self.reports
            ],
            "near_duplicate_images": self.duplicates
            and [
                [
                    {
                        "data_set": self.reports[number].dataset.name,
                        "image": self.reports[number].dataset.image_ids[image],
                    }
                    for number, image in group
                ]
                for group in self.duplicates
            ],
        }


def check_datasets(
    datasets: Sequence[AnnotatedDataset],
    cfg: CfgNode,
    config_file: str,
    headers_only: bool = False,
    seed: int = 0,
    detections: Mapping[str, np.ndarray] | None = None,
) -> CheckResult:
    """Check data sets, by themselves and against each other.

    Args:
        datasets: such as those for training and for validation.
        cfg: of the training for which faces and anchors are looked at.
        config_file: its name.
        headers_only: whether images stay undecoded: then neither broken ones nor those that show
            the same are found.
        seed: of the augmentation that faces are seen through.
        detections: what a detector found, see
            :func:`~df2s2_d2.dataset_check.detector_findings.find_contradictions`.

    Raises:
        ValueError: if the config does not fit together.
    """
    build_anchors(cfg)  # a wrong config is told before images are read
    annotated = [name for dataset in datasets for name in dataset.file_names]
    reports = []
    for dataset in datasets:
        scan = scan_images(dataset.file_names, headers_only)
        found = find_image_faults(dataset, scan)
        found += find_files_not_annotated(dataset, annotated)
        if dataset.is_annotated:
            found += find_lost_faces(dataset, scan, cfg.DATASETS.INVALID_FACES == "face")
            found += find_suspicious_labels(dataset, scan.sizes)
            if detections is not None:
                found += find_contradictions(dataset, detections)
        statistics = compute_statistics(dataset, scan.sizes)
        anchors = _see_as_training(cfg, dataset, scan, seed)
        reports.append(DatasetReport(dataset, scan, statistics, found, anchors))
    duplicates = None if headers_only else _find_duplicates([report.scan for report in reports])
    return CheckResult(reports, config_file, duplicates)


def _see_as_training(
    cfg: CfgNode, dataset: AnnotatedDataset, scan: ImageScan, seed: int
) -> AnchorStatistics | None:
    if not dataset.is_annotated:
        return None
    records = dataset.records()
    usable = [records[number] for number in np.flatnonzero(scan.is_readable).tolist()]
    sizes = scan.sizes[scan.is_readable].astype(int).tolist()
    for record, (height, width) in zip(usable, sizes, strict=True):
        record.update(height=height, width=width)
    try:
        return analyze(cfg, usable, seed) if usable else None
    except NoFaceLeftError:  # which the findings tell
        return None


def _find_duplicates(scans: Sequence[ImageScan]) -> list[list[Member]]:
    thumbnails = np.concatenate([scan.thumbnails for scan in scans])
    is_readable = np.concatenate([scan.is_readable for scan in scans])
    members = [(n, image) for n, scan in enumerate(scans) for image in range(len(scan.sizes))]
    groups = [
        [members[number] for number in group.tolist()]
        for group in group_near_duplicates(thumbnails, is_readable)
    ]
    return sorted(groups, key=lambda group: len({number for number, _ in group}) == 1)
