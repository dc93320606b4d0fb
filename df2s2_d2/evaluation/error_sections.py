"""The part of a report that tells which kinds of errors there are and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from df2s2_d2.formats.annotated_image import event_of
from df2s2_d2.pages.gallery import Card, facet_filters, gallery
from df2s2_d2.pages.html_page import Cell, grouped_table, paragraph, table

from .error_gallery import LEGEND, ErrorGallery
from .wider_face.breakdown import group_by_size, size_names
from .wider_face.error_split import (
    BACKGROUND,
    BADLY_PLACED,
    DUPLICATE,
    KINDS,
    MISSED,
    ErrorAnalysis,
    ErrorSplit,
)
from .wider_face.ground_truth import GroundTruth
from .wider_face.selection import Selection

SECTION = "Errors and what they cost"
GALLERIES = {
    MISSED: "Missed faces",
    BADLY_PLACED: "Badly placed detections",
    DUPLICATE: "Duplicate detections",
    BACKGROUND: "Detections of background",
}
_MEANINGS = {
    MISSED: "no detection finds the face or is badly placed on it",
    BADLY_PLACED: "it overlaps its face by 0.1 ≤ IoU < 0.5",
    DUPLICATE: "a detection of a higher score found its face",
    BACKGROUND: "it overlaps no face by IoU 0.1",
}
_READING = (
    "After Bolya et al., “TIDE: A General Toolbox for Identifying Object Detection Errors” (ECCV "
    "2020). The gain of a kind is by how much the average precision would grow if errors of this "
    "kind alone, of every score, were mended: missed faces need not be found, badly placed boxes "
    "become those of their faces, duplicates and background are gone. Gains do not add up. "
    "Detections on ignored faces are no errors, as in the protocol of the benchmark."
)


def error_sections(
    analysis: ErrorAnalysis,
    ground_truth: GroundTruth,
    setting: str,
    selection: Selection,
    image_dir: Path | None,
    num_examples: int,
) -> dict[str, list[str]]:
    """Tables and galleries of errors.

    Args:
        analysis: of the detections.
        ground_truth: the faces that they were matched with.
        setting: that sizes and galleries are about.
        selection: only errors of these sizes are shown in galleries.
        image_dir: folder of ``<event>/<image>.jpg``, for galleries; None for none.
        num_examples: pictures of each kind.

    Returns:
        Heading -> pieces of HTML.

    Raises:
        FileNotFoundError: if an image is missing.
        ValueError: if an image cannot be read.
    """
    kept = ground_truth.kept
    by_size = {
        name: analysis.split(mask & kept[setting])
        for name, mask in group_by_size(ground_truth).items()
        if (mask & kept[setting]).any()
    }
    pieces = [
        paragraph(_READING),
        _by_setting({name: analysis.split(mask) for name, mask in kept.items()}),
        _by_size(by_size, setting),
    ]
    if image_dir is None:
        pieces.append(paragraph("To see errors, give the folder of the images (--images).", True))
        return {SECTION: pieces}
    shown = ErrorGallery(analysis, ground_truth, setting, selection)
    cards = {kind: list(shown.cards(kind, num_examples, image_dir)) for kind in KINDS}
    totals = analysis.split(kept[setting]).is_kind
    every = [card for kind in KINDS for card in cards[kind]]
    events = list(dict.fromkeys(event_of(image) for image in ground_truth.images))
    pieces.append(facet_filters(every, {"event": events, "size": size_names()}))
    return {
        SECTION: pieces,
        **{GALLERIES[kind]: _gallery(kind, cards[kind], totals[kind]) for kind in KINDS},
    }


def _by_setting(splits: Mapping[str, ErrorSplit]) -> str:
    groups: dict[str, list[list[Cell]]] = {}
    for name, split in splits.items():
        if not split.num_faces:
            continue
        heading = f"{name.capitalize()}: {split.num_faces:,} faces, AP {split.ap:.3f}"
        groups[heading] = [
            [kind.capitalize(), int(split.is_kind[kind].sum()), split.gain[kind], _MEANINGS[kind]]
            for kind in KINDS
        ]
        positives = [split.is_kind[kind] for kind in KINDS if kind != MISSED]
        num_false = int(np.any(positives, axis=0).sum())
        groups[heading] += [
            ["All false positives", num_false, split.gain_false_positives, "they are gone"],
            [
                "All faces not found",
                split.num_not_found,
                split.gain_false_negatives,
                "they need not be found",
            ],
        ]
    header = ["Errors", "Number", "Gain in AP", ""]
    return grouped_table("What AP would gain without them", header, groups)


def _by_size(splits: Mapping[str, ErrorSplit], setting: str) -> str:
    rows: list[list[Cell]] = [
        [name, split.num_faces, split.ap, *(split.gain[kind] for kind in KINDS)]
        for name, split in splits.items()
    ]
    caption = (
        f"The gain by the size of the faces to be found ({setting}): √(width × height), others "
        "ignored"
    )
    return table(caption, ["Size", "Faces", "AP", *(kind.capitalize() for kind in KINDS)], rows)


def _gallery(kind: str, cards: list[Card], is_kind: np.ndarray) -> list[str]:
    total = int(is_kind.sum())
    order = "the largest first" if kind == MISSED else "those that cost most first"
    text = f"{len(cards):,} of {total:,} are shown, {order}. {LEGEND}"
    return [*([paragraph(text)] if cards else []), gallery(cards)]
