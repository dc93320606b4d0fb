"""Average precision and recall of groups of faces: by size, by attribute, by event.

A group is scored by the protocol of the benchmark with its faces as the ones to be found and all
other annotated faces ignored. Every group of an image set meets the same false positives, so the
average precision of a small group is lower than that of a large one that is found equally well:
compare a group between detectors by average precision, and groups of one detector by recall.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from df2s2_d2.formats.annotated_image import event_of

from .ground_truth import GroundTruth
from .operating_point import judge_detections, kept_faces
from .scoring import evaluate_wider_face
from .selection import face_sizes, select_images

# Pixels of sqrt(width * height), an octave a bin as in a feature pyramid.
SIZE_EDGES = (8, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class GroupScore:
    """How well one group of faces is found.

    Attributes:
        num_faces: in the group.
        ap: average precision, a fraction of 1; nan if the group is empty.
        recall: fraction of the faces found by detections of any score; nan if the group is empty.
        recall_at_score: the same, by detections of at least the operating score.
    """

    num_faces: int
    ap: float
    recall: float
    recall_at_score: float


def group_by_size(
    ground_truth: GroundTruth, edges: Sequence[float] = SIZE_EDGES
) -> dict[str, np.ndarray]:
    """Sort faces into bins of their size, the square root of the box's area.

    Args:
        ground_truth: with M faces.
        edges: ascending borders in pixels; a size on a border belongs to the bin above it.

    Returns:
        Bin, such as ``"16–32 px"`` -> (M,) bool; one bin more than edges.
    """
    number = np.digitize(face_sizes(ground_truth.boxes), edges)
    return {name: number == k for k, name in enumerate(size_names(edges))}


def size_names(edges: Sequence[float] = SIZE_EDGES) -> list[str]:
    """The bins of :func:`group_by_size`."""
    return [
        f"below {edges[0]:g} px",
        *(f"{low:g}–{high:g} px" for low, high in zip(edges[:-1], edges[1:], strict=True)),
        f"{edges[-1]:g} px and more",
    ]


def break_down(
    detections: Mapping[str, np.ndarray],
    ground_truth: GroundTruth,
    groupings: Mapping[str, Mapping[str, np.ndarray]],
    setting: str = "hard",
    score: float = 0.5,
) -> dict[str, dict[str, GroupScore]]:
    """Score groups of the faces of a setting, all groups at once.

    Args:
        detections: ``"<event>/<image stem>"`` -> (n, 5) ``x, y, width, height, score`` in pixels
            of the original image.
        ground_truth: with M faces.
        groupings: grouping -> group -> (M,) bool; groups may overlap.
        setting: only its faces count as members of a group.
        score: operating score of ``recall_at_score``.

    Returns:
        Grouping -> group -> its score.

    Raises:
        ValueError: if the ground truth has no such setting, or detections are malformed.
    """
    kept = kept_faces(ground_truth, setting)
    masks = {
        f"{grouping}/{group}": mask & kept
        for grouping, groups in groupings.items()
        for group, mask in groups.items()
    }
    found = judge_detections(detections, ground_truth, setting, score).found
    result = evaluate_wider_face(detections, replace(ground_truth, kept=masks))

    def score_of(name: str) -> GroupScore:
        num_faces = result.num_faces[name]
        return GroupScore(
            num_faces=num_faces,
            ap=result.ap[f"AP_{name}"],
            recall=float(result.recall[name][-1]),
            recall_at_score=float(found[masks[name]].mean()) if num_faces else math.nan,
        )

    return {
        grouping: {group: score_of(f"{grouping}/{group}") for group in groups}
        for grouping, groups in groupings.items()
    }


def break_down_by_event(
    detections: Mapping[str, np.ndarray],
    ground_truth: GroundTruth,
    setting: str = "hard",
    score: float = 0.5,
) -> dict[str, GroupScore]:
    """Score the images of each event by themselves, as if there were no others.

    Args:
        detections: as for ``break_down``.
        ground_truth: images are named ``"<event>/<image stem>"``.
        setting: whose faces are to be found.
        score: operating score of ``recall_at_score``.

    Returns:
        Event -> its score, in the order of the ground truth.

    Raises:
        ValueError: if the ground truth has no such setting, or detections are malformed.
    """
    events = [event_of(image) for image in ground_truth.images]
    scores = {}
    for event in dict.fromkeys(events):
        part = select_images(ground_truth, np.array([one == event for one in events]))
        rows = {image: detections[image] for image in part.images if image in detections}
        everyone = {"event": {event: np.ones(len(part.boxes), bool)}}
        scores[event] = break_down(rows, part, everyone, setting, score)["event"][event]
    return scores
