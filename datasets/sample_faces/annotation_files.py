"""Writes the official WIDER FACE files: annotation text, test list and evaluation ground truth."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import savemat

LABELS = ("blur", "expression", "illumination", "invalid", "occlusion", "pose")
SETTINGS = {"easy": 50, "medium": 30, "hard": 8}  # lowest face height that counts, pixels
SMALL_FACE = 16  # height up to which the summary calls a face small, pixels
MAT_TEXT_BYTES = 116  # free text at the start of a MAT-file, where scipy writes the time of day


@dataclass(frozen=True)
class Annotation:
    """Truth of one picture: boxes (N, 4) x y w h in pixels, labels (N, 6) in order of LABELS."""

    event: str
    name: str
    boxes: np.ndarray
    labels: np.ndarray
    distractors: int


def rows_of(annotation: Annotation) -> np.ndarray:
    """Boxes and labels side by side, (N, 10); one row of zeros for a picture without faces."""
    rows = np.concatenate([annotation.boxes, annotation.labels], axis=1)
    return rows if len(rows) else np.zeros((1, 10), int)


def write_annotation_text(path: Path, annotations: list[Annotation]) -> None:
    """Writes wider_face_{train,val}_bbx_gt.txt."""
    with path.open("w", encoding="ascii", newline="\n") as file:
        for annotation in annotations:
            file.write(f"{annotation.event}/{annotation.name}.jpg\n{len(annotation.boxes)}\n")
            file.writelines(" ".join(map(str, row)) + " \n" for row in rows_of(annotation))


def write_test_list(path: Path, annotations: list[Annotation]) -> None:
    """Writes wider_face_test_filelist.txt: image paths alone, as the test truth is not public."""
    names = [f"{annotation.event}/{annotation.name}.jpg\n" for annotation in annotations]
    path.write_text("".join(names), encoding="ascii", newline="\n")


def cell_column(values: list) -> np.ndarray:
    """A MATLAB cell array of shape (N, 1)."""
    cells = np.empty((len(values), 1), object)
    for index, value in enumerate(values):
        cells[index, 0] = value
    return cells


def kept_faces(annotation: Annotation, lowest: int) -> np.ndarray:
    """1-based numbers of the valid faces at least `lowest` pixels high, (K, 1)."""
    invalid = annotation.labels[:, LABELS.index("invalid")]
    keep = (annotation.boxes[:, 3] >= lowest) & (invalid == 0)
    return (np.flatnonzero(keep) + 1)[:, None].astype(np.uint16)


def write_mat(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes a MAT-file whose bytes depend on its content alone."""
    buffer = io.BytesIO()
    savemat(buffer, arrays, do_compression=True)
    content = bytearray(buffer.getvalue())
    content[:MAT_TEXT_BYTES] = b"MATLAB 5.0 MAT-file".ljust(MAT_TEXT_BYTES)
    path.write_bytes(content)


def write_ground_truth(folder: Path, annotations: list[Annotation]) -> None:
    """Writes eval_tools/ground_truth/wider_{face,easy,medium,hard}_val.mat."""
    events = sorted({annotation.event for annotation in annotations})
    groups = [[a for a in annotations if a.event == event] for event in events]

    def nested(value_of) -> np.ndarray:
        return cell_column([cell_column([value_of(a) for a in group]) for group in groups])

    arrays = {
        "event_list": cell_column(events),
        "file_list": nested(lambda a: a.name),
        "face_bbx_list": nested(lambda a: rows_of(a)[:, :4].astype(np.int32)),
    }
    for column, label in enumerate(LABELS, start=4):
        arrays[f"{label}_label_list"] = nested(
            lambda a, column=column: rows_of(a)[:, column, None].astype(np.uint8)
        )
    write_mat(folder / "wider_face_val.mat", arrays)
    for setting, lowest in SETTINGS.items():
        kept = nested(lambda a, lowest=lowest: kept_faces(a, lowest))
        write_mat(folder / f"wider_{setting}_val.mat", {**arrays, "gt_list": kept})


def summarise(annotations: dict[str, list[Annotation]]) -> dict[str, dict[str, float]]:
    """Counts and shares of every split; shares are over the faces counted in Hard.

    Returns:
        By split: images, faces, hard_faces, small_share (8 to 16 px high), occluded_share (more
        than 30 % hidden), distractors_per_face.
    """
    summary = {}
    for split, pictures in annotations.items():
        boxes = np.concatenate([np.zeros((0, 4), int), *(a.boxes for a in pictures)])
        labels = np.concatenate([np.zeros((0, 6), int), *(a.labels for a in pictures)])
        hard = (boxes[:, 3] >= SETTINGS["hard"]) & (labels[:, LABELS.index("invalid")] == 0)
        counted = max(int(hard.sum()), 1)
        summary[split] = {
            "images": len(pictures),
            "faces": len(boxes),
            "hard_faces": int(hard.sum()),
            "small_share": float((boxes[hard, 3] <= SMALL_FACE).sum() / counted),
            "occluded_share": float((labels[hard, LABELS.index("occlusion")] == 2).sum() / counted),
            "distractors_per_face": sum(int(a.distractors) for a in pictures) / max(len(boxes), 1),
        }
    return summary
