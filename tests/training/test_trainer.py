from __future__ import annotations

import json
import logging
import math
import shutil
from pathlib import Path

import pytest
import torch
from detectron2.engine import hooks
from detectron2.utils.env import seed_all_rng
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torchvision.models import resnet18

from df2s2_d2.evaluation import read_detections
from df2s2_d2.inference.trained_weights import load_trained
from df2s2_d2.training import Trainer, precision
from tests.small_runs import registered, smallest_config, wider_face_files

SETTINGS = {"AP_easy", "AP_medium", "AP_hard"}


class Interrupted(Exception):
    """Stands for whatever ends a run before its time."""


class ScriptedTrainer(Trainer):
    """Trains as usual, but its tests give the figures that a test of ours prescribes."""

    script: list[float] = []

    @classmethod
    def test(cls, cfg, model, evaluators=None):
        return {"wider_face": {"AP_easy": 0.99, "AP_medium": 0.99, "AP_hard": cls.script.pop(0)}}


@pytest.fixture(scope="module", autouse=True)
def data_sets(sample_dataset):
    files = {
        f"trained_{split}": wider_face_files(sample_dataset, split) for split in ("train", "val")
    }
    with registered(**files):
        yield


@pytest.fixture
def config(tmp_path):
    """Function that makes a tiny config with an output folder of its own."""

    def make(**overrides):
        return smallest_config(
            **{
                "DATASETS__TRAIN": ("trained_train",),
                "DATASETS__TEST": ("trained_val",),
                "TEST__EVAL_PERIOD": 0,
                "OUTPUT_DIR": str(tmp_path),
                **overrides,
            }
        )

    return make


def run(cfg, trainer=Trainer, resume=False, interrupt_after=None, script=()):
    """Train by `cfg`; `interrupt_after` a number of iterations the run breaks off."""
    ScriptedTrainer.script = list(script)
    seed_all_rng(cfg.SEED)
    runner = trainer(cfg)
    if interrupt_after is not None:

        class Interrupt(hooks.HookBase):
            def before_step(self):
                if self.trainer.iter == interrupt_after:
                    raise Interrupted

        runner.register_hooks([Interrupt()])
    runner.resume_or_load(resume=resume)
    if interrupt_after is None:
        runner.train()
    else:
        with pytest.raises(Interrupted):
            runner.train()
    return runner


def load(path: Path) -> dict:
    """Read a checkpoint as strangers' files are read: tensors and plain values only."""
    return torch.load(path, map_location="cpu", weights_only=True)


def reports(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]


def same_weights(a: dict, b: dict) -> bool:
    assert a["model"].keys() == b["model"].keys()
    return all(torch.equal(a["model"][name], b["model"][name]) for name in a["model"])


# Training


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
    written = read_detections(tmp_path / "inference/trained_val/wider_face_submission")
    assert len(written) == 3


def test_every_evaluation_is_seen_in_tensorboard(config, tmp_path):
    run(config(TEST__EVAL_PERIOD=2))
    events = EventAccumulator(str(tmp_path)).Reload()
    pictures = events.Images("trained_val/precision_recall")
    assert [picture.step for picture in pictures] == [1, 4]  # as metrics.json counts
    assert all(picture.encoded_image_string.startswith(b"\x89PNG") for picture in pictures)
    for name in [*(f"wider_face/{setting}" for setting in SETTINGS), "coco/AP75"]:
        shown = [(event.step, event.value) for event in events.Scalars(name)]
        written = [(r["iteration"], r[name]) for r in reports(tmp_path) if name in r]
        assert shown[-1][1] == pytest.approx(written[-1][1], nan_ok=True)
        assert [step for step, _ in shown] == [1, 4]
    results = json.loads((tmp_path / "inference/trained_val/results.json").read_text())
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


# The best model


def test_best_model_follows_hard(config, tmp_path):
    cfg = config(TEST__EVAL_PERIOD=1, SOLVER__CHECKPOINT_PERIOD=1)
    run(cfg, ScriptedTrainer, script=[0.2, 0.6, 0.5, 0.4])
    best = load(tmp_path / "model_best.pth")
    assert best["iteration"] == 1
    assert same_weights(best, load(tmp_path / "model_0000001.pth"))
    assert not same_weights(best, load(tmp_path / "model_0000002.pth"))
    assert best["best"] == {"metric": "wider_face/AP_hard", "figure": 0.6}


def test_best_model_can_follow_another_figure(config, tmp_path):
    cfg = config(TEST__EVAL_PERIOD=1, TEST__BEST_METRIC="wider_face/AP_easy")
    run(cfg, ScriptedTrainer, script=[0.1, 0.2, 0.3, 0.4])
    assert load(tmp_path / "model_best.pth")["iteration"] == 0  # AP_easy never gets better


def test_without_evaluation_there_is_no_best_model(config, tmp_path):
    run(config(SOLVER__MAX_ITER=1))
    assert not (tmp_path / "model_best.pth").exists()


# Broken images


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
            run(config(**overrides), interrupt_after=4)
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


# The average of the weights


class WatchedTrainer(ScriptedTrainer):
    """Notes the weights that are tested."""

    tested: list[dict] = []

    @classmethod
    def test(cls, cfg, model, evaluators=None):
        cls.tested.append({name: x.clone() for name, x in model.state_dict().items()})
        return super().test(cfg, model, evaluators)


def test_the_average_is_tested_saved_detected_with_and_resumed(config, tmp_path):
    overrides = {
        "SOLVER__EMA__ENABLED": True,
        "SOLVER__EMA__DECAY": 0.5,
        "SOLVER__CHECKPOINT_PERIOD": 1,
        "TEST__EVAL_PERIOD": 2,
    }
    WatchedTrainer.tested = []
    trainer = run(config(**overrides), WatchedTrainer, script=[0.5, 0.6])
    final = load(tmp_path / "model_final.pth")
    average = {"model": trainer.average.model.state_dict()}
    assert final["ema"]["num_updates"] == 4
    assert same_weights(final["ema"], average) and not same_weights(final, average)
    assert same_weights(final, {"model": trainer.model.state_dict()})
    first, last = WatchedTrainer.tested
    assert same_weights({"model": last}, average) and not same_weights({"model": first}, average)
    best = load(tmp_path / "model_best.pth")
    assert same_weights(best["ema"], average)

    detector = Trainer.build_model(trainer.cfg)
    load_trained(detector, str(tmp_path / "model_final.pth"))
    assert same_weights({"model": detector.state_dict()}, average)

    (tmp_path / "last_checkpoint").write_text("model_0000001.pth")
    resumed = WatchedTrainer(config(**overrides))
    resumed.resume_or_load(resume=True)
    saved = load(tmp_path / "model_0000001.pth")
    assert resumed.average.num_updates == 2
    assert same_weights(resumed.average.state_dict(), saved["ema"])


# Resuming


def test_resumed_run_goes_on_where_it_stopped(config, tmp_path):
    cfg = config(
        SOLVER__MAX_ITER=6,
        SOLVER__STEPS=(2, 4),
        SOLVER__CHECKPOINT_PERIOD=1,
        TEST__EVAL_PERIOD=2,
    )
    run(cfg, ScriptedTrainer, interrupt_after=3, script=[0.5])
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


@pytest.mark.parametrize("later, kept", [([0.3, 0.4], True), ([0.3, 0.7], False)])
def test_resumed_run_remembers_the_best_figure(config, tmp_path, later, kept):
    cfg = config(SOLVER__MAX_ITER=6, SOLVER__CHECKPOINT_PERIOD=1, TEST__EVAL_PERIOD=2)
    run(cfg, ScriptedTrainer, interrupt_after=3, script=[0.5])
    before = load(tmp_path / "model_best.pth")
    run(cfg, ScriptedTrainer, resume=True, script=later)
    assert same_weights(before, load(tmp_path / "model_best.pth")) == kept


def test_run_that_stopped_behind_a_best_model_remembers_it(config, tmp_path):
    """The best model may be the last file that was written, and the figure before it worse."""
    cfg = config(SOLVER__MAX_ITER=6, SOLVER__CHECKPOINT_PERIOD=2, TEST__EVAL_PERIOD=1)
    run(cfg, ScriptedTrainer, interrupt_after=3, script=[0.1, 0.2, 0.6])
    before = load(tmp_path / "model_best.pth")
    assert before["iteration"] == 2
    # However far the run goes back, nothing that follows is better than 0.6.
    run(cfg, ScriptedTrainer, resume=True, script=[0.5] * 6)
    assert same_weights(before, load(tmp_path / "model_best.pth"))


def test_finished_run_can_be_extended_without_a_gap(config, tmp_path):
    run(config(TEST__EVAL_PERIOD=2), ScriptedTrainer, script=[0.2, 0.6])  # best at the end
    best = load(tmp_path / "model_best.pth")
    longer = config(TEST__EVAL_PERIOD=2, SOLVER__MAX_ITER=6)
    trainer = run(longer, ScriptedTrainer, resume=True, script=[0.5, 0.5])
    assert trainer.start_iter == 4
    assert same_weights(best, load(tmp_path / "model_best.pth"))


def test_without_resume_a_run_starts_anew(config, tmp_path):
    run(config(SOLVER__MAX_ITER=2))
    trainer = Trainer(config())
    trainer.resume_or_load(resume=False)
    assert trainer.start_iter == 0


@pytest.mark.parametrize("name", ["model_final.pth", "model_best.pth", "model_0000001.pth"])
def test_checkpoints_hold_tensors_and_plain_values_only(trained_folder, name):
    content = load(trained_folder / name)
    assert {"model", "trainer", "iteration"} <= content.keys()


@pytest.fixture(scope="module")
def trained_folder(tmp_path_factory):
    """Output of a run with all kinds of checkpoints."""
    folder = tmp_path_factory.mktemp("trained")
    cfg = smallest_config(
        DATASETS__TRAIN=("trained_train",),
        DATASETS__TEST=("trained_val",),
        TEST__EVAL_PERIOD=1,
        SOLVER__CHECKPOINT_PERIOD=2,
        OUTPUT_DIR=str(folder),
    )
    run(cfg, ScriptedTrainer, script=[0.1, 0.2, 0.3, 0.4])
    return folder


# Pretrained weights


@pytest.fixture
def pretrained(tmp_path) -> Path:
    """A ResNet-18 as torchvision saves it."""
    path = tmp_path / "resnet18.pth"
    torch.manual_seed(7)
    torch.save(resnet18().state_dict(), path)
    return path


def test_pretrained_weights_come_in_before_training(config, pretrained):
    trainer = Trainer(config(MODEL__BOTTOM_UP__WEIGHTS=str(pretrained)))
    trainer.resume_or_load(resume=False)
    expected = torch.load(pretrained, weights_only=True)
    network = trainer.model.backbone.bottom_up.network
    assert torch.equal(network.stem.conv1.weight, expected["conv1.weight"])
    assert torch.equal(network.res5[1].conv2.weight, expected["layer4.1.conv2.weight"])


def test_pretrained_weights_do_not_come_in_again_on_resume(config, pretrained, tmp_path):
    cfg = config(MODEL__BOTTOM_UP__WEIGHTS=str(pretrained))
    run(cfg)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=True)
    weight = trainer.model.backbone.bottom_up.network.res5[1].conv2.weight
    trained = load(tmp_path / "model_final.pth")["model"]
    assert torch.equal(weight, trained["backbone.bottom_up.network.res5.1.conv2.weight"])
    original = torch.load(pretrained, weights_only=True)["layer4.1.conv2.weight"]
    assert not torch.equal(weight, original)


def test_model_weights_go_over_pretrained_ones(config, pretrained, trained_folder):
    trained = trained_folder / "model_final.pth"
    cfg = config(MODEL__BOTTOM_UP__WEIGHTS=str(pretrained), MODEL__WEIGHTS=str(trained))
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    assert same_weights({"model": trainer.model.state_dict()}, load(trained))
    assert trainer.start_iter == 0
