"""From files to figures: what must not change a result, and what must stop with one clear error."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from df2s2_d2.evaluation import GroundTruth, WiderFaceResult, evaluate_wider_face, read_detections

NUM_IMAGES = 6
Files = dict[str, str]


@pytest.fixture(scope="module")
def truth() -> GroundTruth:
    """Faces of all three settings in six images of two events; the last image has none."""
    rng = np.random.default_rng(0)
    boxes = {}
    for k in range(NUM_IMAGES):
        height = rng.choice([12, 35, 70], size=(8 if k < NUM_IMAGES - 1 else 0, 1))
        corner = rng.integers(0, 400, size=(len(height), 2))
        boxes[f"{k % 2}--Event/i{k}"] = np.hstack([corner, height, height])
    return GroundTruth.from_heights(boxes)


@pytest.fixture(scope="module")
def files(truth) -> Files:
    """Files about all images, by descending score; all scores differ; two have no rows."""
    rng = np.random.default_rng(1)
    files = {}
    for k, image in enumerate(truth.images):
        faces = truth.boxes[truth.image_index == k]
        near = np.concatenate([faces, faces, faces[:3] + [200, 200, 0, 0]])
        near = near + rng.normal(0, 0.1, near.shape) * near[:, 2:3]
        if k == 2:
            near = near[:0]
        scores = np.sort(rng.random(len(near)))[::-1]
        rows = [
            f"{x:.3f} {y:.3f} {w:.3f} {h:.3f} {s:.6f}"
            for (x, y, w, h), s in zip(near, scores, strict=True)
        ]
        files[f"{image}.txt"] = "\n".join([image.partition("/")[2], str(len(rows)), *rows]) + "\n"
    return files


def evaluate(path: Path, files: Files, truth: GroundTruth) -> WiderFaceResult:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return evaluate_wider_face(read_detections(path), truth)


def with_rows(files: Files, change) -> Files:
    """Files whose rows of numbers went through a function."""
    changed = {}
    for name, text in files.items():
        head, rows = text.splitlines()[:2], text.splitlines()[2:]
        changed[name] = "\n".join([*head, *change(rows)]) + "\n"
    return changed


def shuffled(rows: list[str]) -> list[str]:
    return [rows[k] for k in np.random.default_rng(2).permutation(len(rows))]


def scientific(rows: list[str]) -> list[str]:
    return [" ".join(f"{float(field):.9E}" for field in row.split()) for row in rows]


HARMLESS = {
    "shuffled lines": lambda files: with_rows(files, shuffled),
    "ascending scores": lambda files: with_rows(files, lambda rows: rows[::-1]),
    "scientific notation": lambda files: with_rows(files, scientific),
    "Windows line ends": lambda files: {n: t.replace("\n", "\r\n") for n, t in files.items()},
    "byte order mark": lambda files: {n: "\ufeff" + t for n, t in files.items()},
    "missing images": lambda files: {n: t for n, t in files.items() if "\n0\n" not in t},
    "empty files": lambda files: {n: "" if "\n0\n" in t else t for n, t in files.items()},
    "extra events": lambda files: {**files, "9--Press/x.txt": "x\n1\n0 0 9 9 1e9\n"},
    "files in any order": lambda files: dict(reversed(files.items())),
    "a folder around": lambda files: {f"a/b/{n}": t for n, t in files.items()},
    "scores of another range": lambda files: with_rows(
        files,
        lambda rows: [f"{row.rpartition(' ')[0]} {4 * float(row.split()[4]) - 8}" for row in rows],
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_changes_no_figure(tmp_path, files, truth, name):
    expected = evaluate(tmp_path / "plain.zip", files, truth)
    found = evaluate(tmp_path / "changed.zip", HARMLESS[name](files), truth)
    assert 0.1 < expected.ap["AP_hard"] < 0.95
    assert found.ap == pytest.approx(expected.ap, abs=1e-12)
    assert found.num_detections == expected.num_detections
    assert found.num_missing_images == (2 if name == "missing images" else 0)
    assert found.num_unknown_detections == (1 if name == "extra events" else 0)


HARMFUL = {
    "NaN scores": lambda rows: [row.rpartition(" ")[0] + " nan" for row in rows],
    "infinite boxes": lambda rows: ["inf" + row[row.index(" ") :] for row in rows],
    "numbers beyond float64": lambda rows: ["1e999" + row[row.index(" ") :] for row in rows],
    "commas": lambda rows: [row.replace(" ", ",") for row in rows],
    "classes in a sixth column": lambda rows: [row + " 0" for row in rows],
    "words": lambda rows: [row.replace(".", "_dot_") for row in rows],
}


@pytest.mark.parametrize("name", HARMFUL)
def test_what_is_one_error_with_file_and_line(tmp_path, files, truth, name):
    damaged = {**files, **with_rows({k: files[k] for k in list(files)[3:4]}, HARMFUL[name])}
    with pytest.raises(ValueError) as caught:
        evaluate(tmp_path / "damaged.zip", damaged, truth)
    (message,) = str(caught.value).splitlines()
    assert "damaged.zip/1--Event/i3.txt, line 3: expected five finite numbers" in message


def test_binary_data_under_the_name_of_a_text(tmp_path, files, truth):
    damaged = {**files, "0--Event/i0.txt": "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"}
    with pytest.raises(ValueError, match=r"i0\.txt, line 2: expected the number of detections"):
        evaluate(tmp_path / "damaged.zip", damaged, truth)
