"""The evaluator of FDDB."""

from __future__ import annotations

import json
import logging
import math

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Boxes, Instances
from detectron2.utils import comm

from df2s2_d2.data import register_fddb
from df2s2_d2.evaluation.evaluators import FDDBEvaluator
from df2s2_d2.evaluation.fddb import evaluate_fddb, load_folds, read_detections
from df2s2_d2.evaluation.protocol import Protocol, read_protocol
from df2s2_d2.training import Trainer
from tests.formats.fddb_files import save_folds
from tests.small_runs import smallest_config

FOLDS = {
    "01": {"a/1": np.array([[30.0, 20, math.pi / 2, 100, 90], [30, 20, math.pi / 2, 200, 90]])},
    "02": {"a/2": np.array([[40.0, 30, math.pi / 2, 60, 70]]), "a/3": np.zeros((0, 5))},
}
SIZES = {"a/1": (300, 150), "a/2": (100, 105), "a/3": (64, 48)}  # the second cuts its face off
NAMES = [f"{curve}_{n}" for curve in ("disc", "cont") for n in (100, 500, 1000, 2000)]


@pytest.fixture
def data_set(tmp_path):
    """Name of three images with three faces."""
    register_fddb("evaluated_fddb", tmp_path, save_folds(tmp_path / "folds", FOLDS))
    yield "evaluated_fddb"
    DatasetCatalog.remove("evaluated_fddb")
    MetadataCatalog.remove("evaluated_fddb")


def outputs_of(records: list[dict]) -> list[dict]:
    """The box around every annotated face, and a false alarm in each image."""
    outputs = []
    for record in records:
        width, height = SIZES[record["image_id"]]
        instances = Instances((height, width))
        boxes = [face["bbox"] for face in record["annotations"]] + [[0, 0, 5, 5]]
        instances.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32))
        instances.scores = torch.linspace(0.9, 0.5, len(boxes))
        outputs.append({"instances": instances})
    return outputs


def evaluate(name: str, output_dir=None, protocol=None, records=None) -> dict:
    evaluator = FDDBEvaluator(name, output_dir, protocol)
    evaluator.reset()
    records = DatasetCatalog.get(name) if records is None else records
    for pair in zip(records, outputs_of(records), strict=True):  # one image a batch
        evaluator.process(*([one] for one in pair))
    return evaluator.evaluate()


def test_every_face_is_found(data_set):
    results = evaluate(data_set)
    assert list(results) == ["fddb"]
    assert list(results["fddb"]) == NAMES
    assert results["fddb"]["disc_100"] == 1
    assert results["fddb"]["cont_1000"] == pytest.approx(math.pi / 4, abs=0.01)
    for name, rate in results["fddb"].items():
        assert type(rate) is float
        assert "-" not in name  # detectron2 takes such entries out of its table


def test_written_files_give_the_same_figures_offline(data_set, tmp_path):
    protocol = Protocol("short side 800", score_threshold=0.01)
    figures = evaluate(data_set, str(tmp_path / "out"), protocol)["fddb"]
    written = read_detections(tmp_path / "out/fddb_detections")
    assert {image: len(rows) for image, rows in written.items()} == {"a/1": 3, "a/2": 2, "a/3": 1}
    offline = evaluate_fddb(written, load_folds(tmp_path / "folds"), SIZES).rates()
    assert figures == {f"{c}_{n}": offline[c][n] for c in offline for n in offline[c]}
    content = json.loads((tmp_path / "out/results.json").read_text())
    assert content["fddb"]["cont"] == {str(n): r for n, r in offline["cont"].items()}
    assert (content["dataset"], content["counts"]["faces"]) == (data_set, 3)
    assert read_protocol(tmp_path / "out/fddb_detections") == protocol


def test_missing_images_cost_their_faces(data_set):
    records = DatasetCatalog.get(data_set)[:1]
    assert evaluate(data_set, records=records)["fddb"]["disc_100"] == pytest.approx(2 / 3)
    assert evaluate(data_set, records=[])["fddb"] == dict.fromkeys(NAMES, 0.0)


def test_detections_of_all_workers_count(data_set, monkeypatch):
    """Two workers, of which this is the first; the other has seen the last two images."""
    records = DatasetCatalog.get(data_set)
    other = FDDBEvaluator(data_set)
    other.process(records[1:], outputs_of(records[1:]))
    sent = []
    monkeypatch.setattr(comm, "gather", lambda data: sent.append(data) or sent)
    monkeypatch.setattr(comm, "is_main_process", lambda: False)
    assert other.evaluate() is None
    monkeypatch.setattr(comm, "is_main_process", lambda: True)
    first = FDDBEvaluator(data_set)
    first.process(records[:1], outputs_of(records[:1]))
    assert first.evaluate()["fddb"]["disc_100"] == 1


def test_reset_forgets_what_was_found_before(data_set):
    records = DatasetCatalog.get(data_set)
    evaluator = FDDBEvaluator(data_set)
    evaluator.process(records, outputs_of(records))
    evaluator.reset()
    assert evaluator.evaluate()["fddb"]["disc_2000"] == 0


def test_protocol_stands_beside_the_figures(data_set, caplog):
    with caplog.at_level(logging.INFO, "df2s2_d2"):
        evaluate(data_set, protocol=Protocol("short side 800"))
    assert "disc_1000 1.0000" in caplog.text and "[short side 800]" in caplog.text


def test_trainer_chooses_it_by_the_metadata(data_set):
    assert isinstance(Trainer.build_evaluator(smallest_config(), data_set), FDDBEvaluator)
