"""Every benchmark runs on the CPU in a tiny setting, and its JSON makes a table."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model

from benchmarks import (
    anchor_matching,
    complexity,
    inference,
    make_table,
    models,
    short_training,
    targets_and_losses,
    training,
)
from benchmarks.common import relative_difference, summarize_seconds, time_alternating
from benchmarks.stage_clock import StageClock
from df2s2_d2 import load_config
from tests.small_runs import register_official_below, smallest_config, smallest_options

ROOT = Path(__file__).resolve().parents[2]
SMALL = str(ROOT / "configs/DF2S2/small/Base-R18.yaml")
QUICK = ["--device", "cpu", "--repeats", "2", "--warmup", "1"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory) -> str:
    """A config file for what is timed whatever the network."""
    path = tmp_path_factory.mktemp("config") / "narrow.yaml"
    # Without trained weights, frozen norms let the maps of a deep network grow out of bounds.
    cfg = smallest_config(SMALL, MODEL__RESNETS__NORM="BN")
    path.write_text(cfg.dump(), encoding="utf-8")
    return str(path)


def read_json(path: Path) -> dict:
    def refuse(constant: str):
        raise ValueError(f"{constant} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_inference_gives_nms_the_same_work_and_accounts_for_the_time(narrow, tmp_path):
    output = tmp_path / "inference.json"
    options = ["--setting", narrow, "128", "160", "--batch-sizes", "1", "2", "--candidates", "100"]
    inference.main([*QUICK, *options, "--output", str(output)])
    document = read_json(output)
    assert document["benchmark"] == "inference"
    assert document["environment"]["device_type"] == "cpu"
    rows = document["results"]
    assert [(row["model"], row["batch_size"]) for row in rows] == [
        (model, batch_size)
        for batch_size in (1, 2)
        for model in (models.THEIRS, models.OURS, inference.FAST)
    ]
    for row in rows:
        assert row["nms_inputs_per_image"] == pytest.approx(100, abs=2)
        assert 0 < row["detections_per_image"] <= 100
        assert row["images_per_second"] == pytest.approx(
            1000 * row["batch_size"] / row["median_ms"]
        )
        assert row["fastest_ms"] <= row["median_ms"] <= row["slowest_ms"]
        assert tuple(row["stages_ms"]) == inference.STAGES
        assert min(row["stages_ms"].values()) > 0
        assert row["size"] == [128, 160] and Path(row["config"]) == Path(narrow)
        assert row["operators_ms"]
        assert row["working_memory_mb"] is None or row["working_memory_mb"] > 0
    assert rows[0]["speedup"] == rows[3]["speedup"] == 1
    assert make_table.to_markdown(document).count("\n") == 1 + 2 + len(rows)


def test_training_times_both_models_in_every_variant(narrow, tmp_path):
    output = tmp_path / "training.json"
    options = ["--sizes", "96", "--batch-sizes", "1", "--faces", "5", "--repeats", "1"]
    options += ["--channels-last", "--recompute", "--growth-faces", "5", "90"]
    options += ["--growth-sizes", "64"]
    training.main([*QUICK, *options, "--config-files", narrow, "--output", str(output)])
    document = read_json(output)
    both = [models.OURS, models.THEIRS]
    rows = document["results"]
    assert [(row["size"], row["faces"], row["variant"], row["model"]) for row in rows] == [
        *((96, 5, variant, name) for variant in ("plain", "channels last") for name in both),
        (96, 5, "recomputed", models.OURS),
        *((96, 90, "plain", name) for name in both),
        *((64, 5, "plain", name) for name in both),
    ]
    for row in rows:
        assert tuple(row["stages_ms"]) == training.STAGES
        assert min(row["stages_ms"].values()) > 0
        assert row["synchronizations"] is None  # counted on a GPU only
        assert row["working_memory_mb"] is None or row["working_memory_mb"] > 0
    assert rows[1]["speedup"] == 1
    assert rows[0]["speedup"] == pytest.approx(rows[1]["median_ms"] / rows[0]["median_ms"])
    assert make_table.to_markdown(document).count("\n") == 1 + 2 + len(rows)


def test_time_in_an_inner_stage_does_not_count_for_the_outer_one(monkeypatch):
    now = iter([0.0, 1.0, 3.0, 7.0])
    monkeypatch.setattr("benchmarks.stage_clock.time.perf_counter", lambda: next(now))

    class Model:
        def inner(self, x: int) -> int:
            return x + 1

        def outer(self, x: int) -> int:
            return self.inner(x)

    model, clock = Model(), StageClock(CPU)
    with clock.watching((model, "outer", "losses"), (model, "inner", "targets")):
        assert model.outer(1) == 2
    assert clock.seconds == {"losses": 1.0 + 4.0, "targets": 2.0}
    assert model.outer(1) == 2 and not vars(model)


def test_matching_agrees_with_detectron2_and_leaves_out_too_large_matrices(tmp_path):
    output = tmp_path / "matching.json"
    options = ["--size", "128", "256", "--faces", "3", "40", "--max-matrix-mb", "1"]
    anchor_matching.main([*QUICK, *options, "--output", str(output)])
    few, many = read_json(output)["results"]
    # (32 x 64 + 16 x 32 + 8 x 16 + 4 x 8 + 2 x 4 + 1 x 2) cells, six anchors each
    assert few["anchors"] == many["anchors"] == 2730 * 6
    assert few["labels_agreeing"] > 0.9999
    assert few["dense_seconds"] > 0 and few["windows_seconds"] > 0
    assert few["dense_memory_mb"] >= 0 and few["windows_memory_mb"] >= 0
    assert many["dense_matrix_mb"] == pytest.approx(4 * 40 * 16380 / 1e6)
    assert many["dense_seconds"] is None and many["windows_seconds"] > 0
    assert "not run" in make_table.to_markdown(read_json(output))


def test_targets_and_losses_are_timed_beside_retinanets_and_in_whole_steps(narrow, tmp_path):
    output = tmp_path / "targets_and_losses.json"
    options = ["--faces", "2", "40", "--batch-sizes", "1", "--sizes", "128"]
    options += ["--max-matrix-mb", "1", "--config-file", narrow]
    options += ["--step-size", "128", "--step-batch-size", "1", "--step-faces", "1", "30"]
    targets_and_losses.main([*QUICK, *options, "--output", str(output)])
    results = read_json(output)["results"]
    few, many = results["parts"]
    assert few["anchors"] == many["anchors"] == (32**2 + 16**2 + 8**2 + 4**2 + 2**2 + 1) * 6
    for stage in targets_and_losses.STAGES:
        assert few[f"{stage}_ours_ms"] > 0 and few[f"{stage}_theirs_ms"] > 0
        # 40 faces make a matrix of 1.3 MB.
        assert many[f"{stage}_ours_ms"] > 0 and many[f"{stage}_theirs_ms"] is None
    assert few["with_masks_ms"] > 0 and many["with_masks_ms"] > 0
    first, second = results["steps"]["rows"]
    assert (first["faces"], second["faces"]) == (1, 30) and first["times_first"] == 1
    assert second["times_first"] == pytest.approx(second["median_ms"] / first["median_ms"])
    assert "not run" in make_table.to_markdown(read_json(output))


def test_short_training_records_losses_speed_and_accuracy(tmp_path, sample_dataset, monkeypatch):
    register_official_below(sample_dataset, monkeypatch)
    output = tmp_path / "short_training.json"
    overrides = smallest_options(SOLVER__MAX_ITER=21, SOLVER__IMS_PER_BATCH=1)
    options = ["--device", "cpu", "--iterations", "21", "--output", str(output)]
    short_training.main([*options, *map(str, overrides)])
    results = read_json(output)["results"]
    assert results["losses"][-1]["iteration"] == 20
    assert results["losses"][-1]["total_loss"] > 0
    assert {"loss_cls", "loss_box_reg", "loss_mask"} <= results["losses"][-1].keys()
    assert results["images_per_second"] == pytest.approx(1 / results["seconds_per_iteration"])
    assert 0 <= results["accuracy"]["wider_face/AP_hard"] <= 1
    assert "AP_hard" in make_table.to_markdown(read_json(output))


def test_host_waits_are_counted_in_matching_and_losses_only(monkeypatch):
    modes = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    class Model:
        def forward_training(self, times: int) -> dict:
            for _ in range(times):
                warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
            warnings.warn("something else", stacklevel=1)
            return {}

        def __call__(self, times: int) -> dict:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
                return self.forward_training(times)

    model = Model()
    for times in (0, 3):
        assert training.count_synchronizations(model, lambda n=times: model(n)) == times
    assert modes == ["warn", "default"] * 2
    assert "forward_training" not in vars(model)


def test_retinanet_has_the_anchors_and_limits_of_the_face_detector():
    pair = models.build_pair(SMALL, models.random_images(1, (128, 128)), CPU)
    ours, theirs = pair[models.OURS], pair[models.THEIRS]
    features = [torch.zeros(1, 1, 128 // 2**k, 128 // 2**k) for k in range(2, 8)]
    expected = theirs.anchor_generator(features)
    grids = ours.shot.anchor_generator.grids([tuple(x.shape[-2:]) for x in features])
    for grid, boxes in zip(grids, expected, strict=True):
        assert torch.allclose(grid.boxes(), boxes.tensor, atol=1e-3)
    assert theirs.test_nms_thresh == ours.nms_threshold
    assert theirs.max_detections_per_image == ours.max_detections
    assert theirs.head.cls_score.in_channels == ours.shot.head.face_logits.in_channels


def test_calibration_brings_untrained_predictions_to_unit_scale():
    images = models.random_images(2, (128, 128))
    for model in models.build_pair(SMALL, images, CPU).values():
        features = model.backbone(model.preprocess_image([{"image": x} for x in images]).tensor)
        maps = [features[name] for name in model.head_in_features]
        head = model.shot.head if hasattr(model, "shot") else model.head
        logits = torch.cat([x.flatten() for x in head(maps)[0]])
        assert logits.std().item() == pytest.approx(1, rel=0.05)


def test_candidates_take_turns():
    calls = []
    ways = {name: lambda name=name: calls.append(name) for name in "ab"}
    seconds = time_alternating(ways, repeats=3, warmup=1, device=CPU)
    assert calls == list("ab" * 4)
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_summaries_of_timings():
    assert summarize_seconds([0.003, 0.001, 0.002]) == pytest.approx(
        {"median_ms": 2, "fastest_ms": 1, "slowest_ms": 3}
    )
    assert relative_difference([2.0, 4.0, 3.0], [3.3, 3.3, 3.3]) == pytest.approx(0.1)


@pytest.mark.parametrize("path", make_table.PAGES, ids=lambda path: path.name)
def test_pages_show_the_committed_results(path):
    page = path.read_text(encoding="utf-8")
    assert make_table.updated_page(page, make_table.RESULTS, make_table.PAGES[path]) == page


def test_results_that_do_not_exist_are_called_unmeasured(tmp_path):
    section = make_table.results_section(tmp_path, {"a.json": "A", "b.json": "B"})
    assert section.count("Not yet measured.") == 2


def test_complexity_counts_what_a_tiny_network_computes(tmp_path):
    output = tmp_path / "complexity.json"
    complexity.main([SMALL, "--height", "100", "--width", "128", "--output", str(output)])
    (row,) = read_json(output)["results"]
    detector = build_model(load_config(SMALL))
    counts = [parameter.numel() for parameter in detector.parameters()]
    assert row["parameters"] == sum(counts)
    mask_predictor = 64 * 9 + 1
    assert row["inference_parameters"] == sum(counts) - mask_predictor
    assert row["config"] == "DF2S2/small/Base-R18"
    # The predictors alone, on cells of strides 4 to 128 of the padded 128 x 128 pixels.
    cells = sum((128 >> level) ** 2 for level in range(2, 8))
    predictors = cells * 64 * 9 * (6 + 24)
    assert predictors < row["macs"] == complexity.count_macs(detector, 128, 128)
    assert make_table.to_markdown(read_json(output)).startswith("One image of 100 x 128 pixels")


def test_a_first_shot_costs_nothing_at_inference():
    config = str(ROOT / "configs/DSFD/Base-DSFD.yaml")
    small = ["MODEL.DEVICE", "cpu", "MODEL.RESNETS.RES2_OUT_CHANNELS", 16]
    small += ["MODEL.RESNETS.STEM_OUT_CHANNELS", 8, "MODEL.RESNETS.WIDTH_PER_GROUP", 4]
    two, one = (
        build_model(load_config(config, [*small, "MODEL.FIRST_SHOT.ENABLED", enabled]))
        for enabled in (True, False)
    )
    assert two.first_shot is not None and one.first_shot is None
    assert complexity.count_macs(two, 128, 192) == complexity.count_macs(one, 128, 192)
