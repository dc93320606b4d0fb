"""Pictures of findings: the box in question, and what else is annotated around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from df2s2_d2.data.errors import ImageError
from df2s2_d2.data.image_reading import read_image
from df2s2_d2.dataset_check.check import CheckResult, DatasetReport, Member
from df2s2_d2.dataset_check.findings import Finding
from df2s2_d2.dataset_check.statistics import size_name
from df2s2_d2.pages.close_up import Outline, close_up, side_by_side
from df2s2_d2.pages.gallery import Card, choose_spread

_OTHER_FACE, _IGNORED, _COMPARED, _IN_QUESTION = (
    (0, 224, 138),
    (208, 208, 208),
    (90, 190, 255),
    (255, 90, 31),
)
LEGEND = (
    "Orange: the box in question; blue: the one it is compared with; green: other faces; dashed "
    "grey: regions to be ignored."
)
_MOST_OF_AN_IMAGE = 2
_MOST_OF_A_GROUP = 4


def choose_examples(findings: Iterable[Finding], count: int) -> list[Finding]:
    """Those of the greatest weight; of one image few, as long as there are others."""
    ordered = sorted(findings, key=lambda one: -one.weight)
    groups = (finding.file or finding.image for finding in ordered)
    return [ordered[k] for k in choose_spread(groups, count, _MOST_OF_AN_IMAGE)]


def draw_finding(report: DatasetReport, finding: Finding) -> Card | None:
    """A picture of a finding; None if there is no image to show."""
    dataset = report.dataset
    file = finding.file or (
        dataset.file_names[finding.image] if finding.image is not None else None
    )
    image = _read(file) if file is not None else None
    if image is None:
        return None
    boxes = np.zeros((0, 4))
    box = np.array([0, 0, image.shape[1], image.shape[0]], np.float64)
    is_ignored = np.zeros(0, bool)
    if finding.image is not None:
        labels = dataset.labels
        span = np.searchsorted(labels.image_index, [finding.image, finding.image + 1])
        boxes, is_ignored = labels.boxes[slice(*span)], labels.ignored[slice(*span)]
    outlines = [
        Outline(boxes[is_ignored], _IGNORED, is_dashed=True),
        Outline(boxes[~is_ignored], _OTHER_FACE),
    ]
    for number, color in ((finding.other_box, _COMPARED), (finding.box, _IN_QUESTION)):
        if number is not None:
            box = dataset.labels.boxes[number]
            outlines.append(Outline(box[None], color, thickness=2))
    if finding.detection is not None:
        box = np.array(finding.detection)
        outlines.append(Outline(box[None], _IN_QUESTION, thickness=2))
    name = dataset.image_ids[finding.image] if finding.image is not None else file
    place = [dataset.place(finding.box)] if finding.box is not None else []
    facets = {"data set": dataset.name}
    if finding.image is not None:
        facets["event"] = dataset.events[finding.image]
    if finding.box is not None or finding.detection is not None:
        facets["size"] = size_name(float(np.sqrt(np.maximum(box[2:], 0).prod())))
    return Card(
        close_up(image, box, outlines),
        f"{finding.kind.title}: {name}",
        [name, *place, finding.reason],
        facets,
    )


def draw_group(result: CheckResult, group: Sequence[Member]) -> Card:
    """The first images of a group that show the same."""
    # One of each data set comes first.
    first = {number: (number, image) for number, image in reversed(group)}
    order = sorted(group, key=lambda member: first[member[0]] != member)
    pictures, lines = [], []
    for number, image in order[:_MOST_OF_A_GROUP]:
        dataset = result.reports[number].dataset
        picture = _read(dataset.file_names[image])
        if picture is not None:
            height, width = picture.shape[:2]
            pictures.append(picture)
            lines.append(f"{dataset.name}: {dataset.image_ids[image]} ({width} × {height})")
    if len(group) > _MOST_OF_A_GROUP:
        lines.append(f"and {len(group) - _MOST_OF_A_GROUP} more")
    return Card(side_by_side(pictures), "Images that show the same", lines)


@lru_cache(maxsize=1)  # examples of one image follow each other
def _read(file: str) -> np.ndarray | None:
    try:
        return read_image(file, "RGB")
    except ImageError:
        return None
