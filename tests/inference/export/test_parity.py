"""How near an exported file has to be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from df2s2_d2.inference.export import (
    ExportedDetector,
    check_images,
    difference,
    export_detector,
    load_exportable,
)
from df2s2_d2.inference.export.parity import EXACT, QUANTIZED
from df2s2_d2.modeling.postprocessing import Detections

PHOTOGRAPHS = sorted((Path(__file__).resolve().parents[3] / "docs/photographs").glob("*.jpg"))


def faces(count: int) -> Detections:
    corners = 20.0 * torch.arange(count)[:, None]
    boxes = corners + torch.tensor([0.0, 0.0, 10.0, 10.0])
    return Detections(boxes, torch.full((count,), 0.5), torch.zeros(count, dtype=torch.int64))


def moved(detections: Detections, *indices: int) -> Detections:
    boxes = detections.boxes.clone()
    boxes[list(indices), 0] += 3
    return detections._replace(boxes=boxes)


@pytest.mark.parametrize(
    ("count", "indices", "is_near"),
    [(100, (), True), (100, (7,), True), (100, (7, 8), False), (99, (7,), False), (3, (), True)],
)
def test_one_box_of_a_hundred_may_be_another(count, indices, is_near):
    found = difference(faces(count), moved(faces(count), *indices), 0.0, EXACT.min_iou)
    assert found.unmatched == 2 * len(indices)
    assert EXACT.allows(found) == is_near


def test_scores_have_to_be_those_of_the_detector():
    other = faces(100)._replace(scores=torch.full((100,), 0.5011))
    assert not EXACT.allows(difference(faces(100), other, 0.0, EXACT.min_iou))


def test_of_integers_no_face_may_be_another():
    found = difference(faces(200), moved(faces(200), 7), QUANTIZED.min_score, QUANTIZED.min_iou)
    assert not QUANTIZED.allows(found)


@pytest.mark.parametrize("name", ["faces.onnx", "faces.xml", "faces.pt"])
def test_the_shipped_model_passes_on_the_shown_photographs(name, tmp_path, capsys):
    if name.endswith(".xml"):
        pytest.importorskip("openvino")
    detector, cfg = load_exportable("faces-small", None, [])
    export_detector(detector, cfg, tmp_path / name, "faces-small")
    check_images(list(map(str, PHOTOGRAPHS)), detector, cfg, ExportedDetector(tmp_path / name))
    assert capsys.readouterr().out.count(" detections, ") == len(PHOTOGRAPHS) > 0
