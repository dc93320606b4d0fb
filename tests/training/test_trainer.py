"""Trainings from the first step to the files that they leave."""

from __future__ import annotations

import json
import logging
import math
import shutil

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from df2s2_d2.evaluation import read_detections
from df2s2_d2.training import Trainer, precision
from tests.small_runs import registered, wider_face_files
from tests.training.short_runs import ScriptedTrainer, load, reports, run, same_weights

SETTINGS = {"AP_easy", "AP_medium", "AP_hard"}


def test_trains_evaluates_and_saves(config, tmp_path):
    trainer = run(config(TEST__EVAL_PERIOD=2))
    assert trainer.iter == 4
    last = {name: value for row in reports(tmp_path) for name, value in row.items()}
    assert {"total_loss", "loss_cls", "loss_box_reg", "loss_mask", "lr"} <= last.keys()
    assert all(math.isfinite(last[name]) for name in last if "loss" in name)
    assert {f"wider_face/{setting}" for setting in SETTINGS} <= last.keys()
    assert {"coco/AP", "coco/AP50", "coco/AP75"} <= last.keys()
    final = load(tmp_path / "model_final.pth")
    assert final["iteration"] == 3
    assert final["model"].keys() == trainer.model.state_dict().keys()
    assert (tmp_path / "model_best.pth").is_file()
    written = read_detections(tmp_path / "inference/drawn_val/wider_face_submission")
    assert len(written) == 3


def test_every_evaluation_is_seen_in_tensorboard(config, tmp_path):
    run(config(TEST__EVAL_PERIOD=2))
    events = EventAccumulator(str(tmp_path)).Reload()
    pictures = events.Images("drawn_val/precision_recall")
    assert [picture.step for picture in pictures] == [1, 4]  # as metrics.json counts
    assert all(picture.encoded_image_string.startswith(b"\x89PNG") for picture in pictures)
    for name in [*(f"wider_face/{setting}" for setting in SETTINGS), "coco/AP75"]:
        shown = [(event.step, event.value) for event in events.Scalars(name)]
        written = [(r["iteration"], r[name]) for r in reports(tmp_path) if name in r]
        assert shown[-1][1] == pytest.approx(written[-1][1], nan_ok=True)
        assert [step for step, _ in shown] == [1, 4]
    results = json.loads((tmp_path / "inference/drawn_val/results.json").read_text())
    assert results["protocol"]["weights"] == "iteration 4"
    last = {name: value for row in reports(tmp_path) for name, value in row.items()}
    assert results["wider_face"]["AP_hard"] == last["wider_face/AP_hard"]


def test_training_changes_the_weights(config, tmp_path):
    run(config(SOLVER__CHECKPOINT_PERIOD=1))
    first, last = (load(tmp_path / f"model_{i:07}.pth")["model"] for i in (0, 3))
    moved = [name for name in first if not torch.equal(first[name], last[name])]
    for part in ("bottom_up.network.res5", "neck", "tower", "face_logits", "mask_logits"):
        assert any(part in name for name in moved), part


@pytest.mark.parametrize("is_fast", [True, False])
def test_mixed_precision_on_a_cpu_is_autocast_or_passed_over(config, caplog, monkeypatch, is_fast):
    monkeypatch.setattr(precision, "multiplies_bfloat16_fast", lambda device: is_fast)
    with caplog.at_level(logging.WARNING, "df2s2_d2"):
        trainer = Trainer(config(SOLVER__AMP__ENABLED=True, SOLVER__MAX_ITER=2))
    kinds = {True: set(), False: set()}
    trainer.model.shot.head.face_logits.register_forward_hook(
        lambda module, inputs, output: kinds[module.training].add(output.dtype)
    )
    trainer.train()
    in_training, in_testing = kinds[True], kinds[False]
    assert in_testing == {torch.float32}
    if is_fast:
        assert in_training == {torch.bfloat16}
        assert "bfloat16" not in caplog.text
    else:
        assert in_training == {torch.float32}
        assert "SOLVER.AMP.ENABLED is passed over" in caplog.text
    parameters = trainer.model.parameters()
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in parameters)


def test_autocast_ends_with_the_step(config):
    trainer = Trainer(config(SOLVER__AMP__ENABLED=True, SOLVER__MAX_ITER=1))
    trainer.train()
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_broken_images_are_passed_over_and_counted_if_asked_for(
    config, sample_dataset, tmp_path, caplog, num_workers
):
    files = wider_face_files(sample_dataset, "train")
    photos = shutil.copytree(files["image_dir"], tmp_path / "photos")
    broken = sorted(photos.rglob("*.jpg"))[0]
    broken.write_bytes(broken.read_bytes()[:600])
    overrides = {
        "DATASETS__TRAIN": ("trained_broken",),
        "DATALOADER__SKIP_BROKEN_IMAGES": True,
        "DATALOADER__NUM_WORKERS": num_workers,
        "SOLVER__MAX_ITER": 6,
        "SOLVER__CHECKPOINT_PERIOD": 2,
    }
    with registered(trained_broken={**files, "image_dir": str(photos)}):
        with caplog.at_level(logging.WARNING, "df2s2_d2"):
            run(config(**overrides), stop_at=4)
            run(config(**overrides), resume=True)
    # Each of the 4 images is drawn 3 times for the 12 of 6 steps; whatever takes the place of the
    # broken one may be itself, again and again.
    counts = [row["broken_images"] for row in reports(tmp_path) if "broken_images" in row]
    assert counts[-1] >= 3 and counts == sorted(counts)
    said = [x for x in caplog.messages if x.startswith("Passed over in training: ")]
    assert said and all(str(broken) in message for message in said)


def test_a_broken_image_ends_a_training_with_its_name(config, sample_dataset, tmp_path):
    files = wider_face_files(sample_dataset, "train")
    photos = shutil.copytree(files["image_dir"], tmp_path / "photos")
    for path in photos.rglob("*.jpg"):
        path.write_bytes(path.read_bytes()[:600])
    names = {"DATASETS__TRAIN": ("trained_broken",), "DATALOADER__NUM_WORKERS": 1}
    with registered(trained_broken={**files, "image_dir": str(photos)}):
        with pytest.raises(OSError, match=r"photos/.*\.jpg cannot be read .*") as caught:
            run(config(**names))
    assert "\n" not in str(caught.value)


def test_resumed_run_goes_on_where_it_stopped(config, tmp_path):
    cfg = config(
        SOLVER__MAX_ITER=6,
        SOLVER__STEPS=(2, 4),
        SOLVER__CHECKPOINT_PERIOD=1,
        TEST__EVAL_PERIOD=2,
    )
    run(cfg, ScriptedTrainer, stop_at=3, script=[0.5])
    saved = load(tmp_path / "model_0000002.pth")

    ScriptedTrainer.script = [0.3, 0.4]
    trainer = ScriptedTrainer(cfg)
    trainer.resume_or_load(resume=True)
    assert trainer.start_iter == 3
    momenta = trainer.optimizer.state_dict()["state"]
    expected = saved["trainer"]["_trainer"]["optimizer"]["state"]
    assert momenta.keys() == expected.keys() and momenta
    for index, state in momenta.items():
        assert torch.equal(state["momentum_buffer"], expected[index]["momentum_buffer"])
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.001 / 10)
    assert same_weights({"model": trainer.model.state_dict()}, saved)

    trainer.train()
    assert trainer.iter == 6
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.001 / 100)
    assert load(tmp_path / "model_final.pth")["iteration"] == 5
    assert reports(tmp_path)[-1]["iteration"] >= 5


def test_without_resume_a_run_starts_anew(config, tmp_path):
    run(config(SOLVER__MAX_ITER=2))
    trainer = Trainer(config())
    trainer.resume_or_load(resume=False)
    assert trainer.start_iter == 0


@pytest.mark.parametrize("name", ["model_final.pth", "model_best.pth", "model_0000001.pth"])
def test_checkpoints_hold_tensors_and_plain_values_only(trained_folder, name):
    content = load(trained_folder / name)
    assert {"model", "trainer", "iteration"} <= content.keys()
