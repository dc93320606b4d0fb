"""A page that explains a WIDER FACE result: figures, curves, breakdowns, worst images."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from df2s2_d2.pages.html_page import Cell, grouped_table, page, paragraph, picture, table

from .contact_sheet import KINDS, draw_contact_sheet, rank_images
from .error_sections import error_sections
from .protocol import Protocol
from .score_histogram import plot_score_histogram
from .wider_face import GroundTruth, WiderFaceResult, evaluate_wider_face
from .wider_face.attributes import group_by_attributes
from .wider_face.breakdown import GroupScore, break_down, break_down_by_event, group_by_size
from .wider_face.error_split import ErrorAnalysis
from .wider_face.operating_point import OperatingPoint, judge_detections
from .wider_face.precision_recall_plot import plot_precision_recall
from .wider_face.selection import Selection

ALL_FACES = "all"
NUM_WORST_IMAGES = 12


@dataclass(frozen=True)
class _Case:
    """What the sections of a report are about.

    Attributes:
        detections: image -> (n, 5) ``x, y, width, height, score``.
        ground_truth: annotated faces, with the setting ``ALL_FACES`` besides its own.
        point: verdicts at the operating score, in the setting that the report explains.
    """

    detections: Mapping[str, np.ndarray]
    ground_truth: GroundTruth
    point: OperatingPoint

    @property
    def faces(self) -> str:
        """Which faces are to be found."""
        setting = self.point.setting
        return "All annotated faces" if setting == ALL_FACES else f"Faces of {setting.capitalize()}"

    @property
    def caption(self) -> str:
        """Which faces and which detections a table at the operating point is about."""
        return f"{self.faces}, detections of score ≥ {self.point.score:g}"


def build_report(
    name: str,
    protocol: Protocol | None,
    detections: Mapping[str, np.ndarray],
    ground_truth: GroundTruth,
    attributes: Mapping[str, np.ndarray] | None = None,
    image_dir: Path | None = None,
    sheet_dir: Path | None = None,
    setting: str = "hard",
    score: float = 0.5,
    selection: Selection | None = None,
    num_examples: int = 24,
) -> str:
    """Explain detections on WIDER FACE, or on images with ground truth of its kind.

    Args:
        name: of the detector.
        protocol: how the detections came about; None if unknown.
        detections: ``"<event>/<image stem>"`` -> (n, 5) ``x, y, width, height, score`` in pixels
            of the original image.
        ground_truth: with M faces.
        attributes: attribute -> (M,) values, as ``load_attributes`` returns them.
        image_dir: folder of ``<event>/<image>.jpg``, for contact sheets.
        sheet_dir: existing folder in which contact sheets are also stored as PNG.
        setting: of the ground truth, or ``ALL_FACES``: the faces that breakdowns and contact
            sheets are about.
        score: operating score for recall, misses and false positives.
        selection: the part of the benchmark to look at; None for all of it.
        num_examples: pictures of each kind of error.

    Returns:
        An HTML document that refers to no other file.

    Raises:
        FileNotFoundError: if an image for a contact sheet is missing.
        ValueError: if the detections are malformed, an image is not readable, or nothing is
            selected.
    """
    selection = selection or Selection()
    everyone = np.ones(len(ground_truth.boxes), bool)
    whole = replace(ground_truth, kept=ground_truth.kept | {ALL_FACES: everyone})
    ground_truth, is_selected = selection.apply(whole)
    attributes = attributes and {name: v[is_selected] for name, v in attributes.items()}
    left_out = set(whole.images) - set(ground_truth.images)
    detections = {image: rows for image, rows in detections.items() if image not in left_out}
    official = {name: mask for name, mask in ground_truth.kept.items() if name != ALL_FACES}
    result = evaluate_wider_face(detections, replace(ground_truth, kept=official))
    point = judge_detections(detections, ground_truth, setting, score)
    case = _Case(detections, ground_truth, point)
    sections = {
        "Average precision": _figures(result),
        "Precision and recall": _curves(name, result),
        **error_sections(
            ErrorAnalysis(detections, ground_truth),
            ground_truth,
            setting,
            selection,
            image_dir,
            num_examples,
        ),
        **_breakdowns(case, attributes),
        "Scores": _scores(case),
    }
    for kind in KINDS:
        sections[f"Images with most {kind}s"] = _worst_images(case, kind, image_dir, sheet_dir)
    return page(f"{name} on WIDER FACE", _introduction(protocol, selection), sections)


def _introduction(protocol: Protocol | None, selection: Selection) -> str:
    part = ""
    if not selection.is_all:
        part = paragraph(
            f"Only a part of the benchmark ({selection.describe()}): figures compare with those of "
            "the same part alone. Other faces are ignored, false positives of all sizes count.",
            note=True,
        )
    if protocol is not None:
        return part + paragraph(f"Protocol: {protocol.describe()}.")
    return part + paragraph(
        "How these detections came about is not recorded, and figures compare only under one "
        "protocol. A file protocol.json beside the detections tells it.",
        note=True,
    )


def _figures(result: WiderFaceResult) -> list[str]:
    rows = [
        [setting.capitalize(), faces, result.ap[f"AP_{setting}"], float(result.recall[setting][-1])]
        for setting, faces in result.num_faces.items()
    ]
    counts = {
        "Images": result.num_images,
        "Detections in them": result.num_detections,
        "Images without a file": result.num_missing_images,
        "Files of other images": result.num_unknown_images,
        "Detections in those (left out)": result.num_unknown_detections,
    }
    return [
        table(
            "By the protocol of the benchmark",
            ["Setting", "Faces", "AP", "Recall, any score"],
            rows,
            digits=5,
        ),
        table("What was scored", ["Count", "Number"], list(counts.items())),
    ]


def _curves(name: str, result: WiderFaceResult) -> list[str]:
    buffer = io.BytesIO()
    plot_precision_recall({name: result}, buffer)
    figures = ", ".join(f"{setting} {result.ap[f'AP_{setting}']:.3f}" for setting in result.recall)
    alt = f"Precision over recall in each setting; average precision {figures}"
    return [picture(buffer.getvalue(), alt, (720, 1100))]


def _breakdowns(case: _Case, attributes: Mapping[str, np.ndarray] | None) -> dict[str, list[str]]:
    point = case.point
    groupings = group_by_attributes(attributes or {})
    sizes = {"size": group_by_size(case.ground_truth)}
    judged_by = (point.setting, point.score)
    groups = break_down(case.detections, case.ground_truth, sizes | groupings, *judged_by)
    events = break_down_by_event(case.detections, case.ground_truth, *judged_by)
    header = ["Group", "Faces", "AP", f"Recall, score ≥ {point.score:g}", "Recall, any score"]

    by_size = table(f"{case.faces}, by √(width × height)", header, _group_rows(groups.pop("size")))
    by_event = table(
        f"{case.faces}, in the images of each event alone, lowest AP first",
        header,
        sorted(_group_rows(events), key=lambda row: row[2]),
    )
    if attributes is None:
        by_attribute = paragraph(
            "The ground truth came without attributes. The official wider_face_val.mat lists blur, "
            "occlusion, pose and more for each face: give a folder that holds it.",
            note=True,
        )
    else:
        rows = {name.capitalize(): _group_rows(scores) for name, scores in groups.items()}
        informative = {name: lines for name, lines in rows.items() if len(lines) > 1}
        by_attribute = grouped_table(f"{case.faces}, by annotation", header, informative)
    reading = paragraph(
        "In the AP of a group its faces are to be found, and all other annotated faces are "
        "ignored. Every group meets the same false positives, so AP is lower for a small group "
        "than for a large one that is found equally well: compare groups by recall, and one group "
        "between detectors by AP."
    )
    return {
        "By face size": [reading, by_size],
        "By attribute": [by_attribute],
        "By event": [by_event],
    }


def _group_rows(scores: Mapping[str, GroupScore]) -> list[list[Cell]]:
    return [
        [name, score.num_faces, score.ap, score.recall_at_score, score.recall]
        for name, score in scores.items()
        if score.num_faces
    ]


def _scores(case: _Case) -> list[str]:
    point = case.point
    hits, false, missed = (int(mask.sum()) for mask in (point.is_hit, point.is_false, point.missed))
    pieces = [
        table(
            case.caption,
            ["Count", "Number"],
            [
                ["Faces found", hits],
                ["Faces missed", missed],
                ["False positives", false],
                ["Recall", _quotient(hits, hits + missed)],
                ["Precision", _quotient(hits, hits + false)],
            ],
        )
    ]
    everything = judge_detections(case.detections, case.ground_truth, point.setting, -math.inf)
    if len(everything.detections):
        buffer = io.BytesIO()
        plot_score_histogram(everything, buffer, point.score)
        alt = "Histogram of scores: detections that find a face, false positives, others"
        caption = (
            "The number of detections is on a logarithmic scale; the dotted line is the operating "
            "score. Not counted: detections on faces that the setting ignores."
        )
        pieces.append(picture(buffer.getvalue(), alt, (560, 800), caption))
    return pieces


def _quotient(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "–"


def _worst_images(
    case: _Case, kind: str, image_dir: Path | None, sheet_dir: Path | None
) -> list[str]:
    point, images = case.point, case.ground_truth.images
    numbers = rank_images(
        point.num_missed if kind == "missed face" else point.num_false, NUM_WORST_IMAGES
    ).tolist()
    if not numbers:
        return [paragraph("There are none.")]
    counts = np.stack((point.num_found, point.num_missed, point.num_false), axis=1).tolist()
    rows = [[images[number], *counts[number]] for number in numbers]
    pieces = [table(case.caption, ["Image", "Found", "Missed", "False positives"], rows)]
    if image_dir is None:
        pieces.append(
            paragraph("To see them, give the folder of the images (--images).", note=True)
        )
        return pieces
    buffer = io.BytesIO()
    draw_contact_sheet(buffer, image_dir, case.ground_truth, point, numbers, kind)
    if sheet_dir is not None:
        (sheet_dir / f"{kind.replace(' ', '_')}s.png").write_bytes(buffer.getvalue())
    names = ", ".join(images[number] for number in numbers)
    alt = f"Annotated faces and detections drawn in {names}"
    caption = "The part of each image where most of them lie. Solid: annotated; dashed: detected."
    pieces.append(picture(buffer.getvalue(), alt, (720, 1250), caption))
    return pieces
