"""The average of the weights."""

from __future__ import annotations

import pytest
import torch

from df2s2_d2.inference.trained_weights import load_trained
from df2s2_d2.training import Trainer
from df2s2_d2.training.acceleration import accelerate
from df2s2_d2.training.weight_average import WeightAverage
from tests.tiny_detectors import tiny_config
from tests.training.short_runs import ScriptedTrainer, load, run, same_weights
from tests.training.single_steps import (
    assert_same_weights,
    detector,
    images,
    make_step,
    take_steps,
    weights,
)


def test_the_average_forgets_the_first_weights_soon_and_later_ones_slowly():
    model = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.BatchNorm1d(1))
    average = WeightAverage(model, decay=0.5)
    expected = None
    for count, value in enumerate((4.0, 2.0, 8.0, 1.0, 3.0, 5.0, 6.0, 7.0, 9.0)):
        with torch.no_grad():
            model[0].weight.fill_(value)
            model[1].running_var.fill_(value)
            model[1].num_batches_tracked.fill_(int(value))
        average.update()
        keep = min(0.5, (1 + count) / (10 + count))
        expected = value if count == 0 else keep * expected + (1 - keep) * value
        assert average.model[0].weight.item() == pytest.approx(expected)
        assert average.model[1].running_var.item() == pytest.approx(expected)
        assert average.model[1].num_batches_tracked == int(value)
    assert not average.model.training and not average.model[0].weight.requires_grad


def test_a_step_brings_the_average_up_to_date():
    cfg = tiny_config("DF2S2/DF2S2_R50.yaml", "SOLVER.WARMUP_ITERS", 0)
    model = detector(cfg)
    average = WeightAverage(model, decay=0.9)
    accelerate(model, cfg)
    take_steps(make_step(model, cfg, [images(1)], average))
    assert_same_weights(average.model, weights(model))
    take_steps(make_step(model, cfg, [images(1)], average))
    name = "head.head.face_logits.weight"
    assert not torch.equal(average.model.state_dict()[name], model.state_dict()[name])


def test_an_average_that_has_begun_stays_when_it_is_told_to_begin():
    model = torch.nn.Linear(1, 1, bias=False)
    average = WeightAverage(model, decay=0.5)
    for value, expected in ((2.0, 2.0), (3.0, 3.0)):
        torch.nn.init.constant_(model.weight, value)
        average.restart()
        assert average.model.weight.item() == expected
    average.update()
    torch.nn.init.constant_(model.weight, 9.0)
    average.restart()
    assert average.model.weight.item() == 3.0


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


def test_a_run_that_goes_on_with_an_average_tests_what_was_trained(config, tmp_path):
    """Its first test comes before its first step: the run before was stopped in it."""
    overrides = {"SOLVER__CHECKPOINT_PERIOD": 1, "TEST__EVAL_PERIOD": 2}
    with pytest.raises(ZeroDivisionError):
        run(config(**overrides), ScriptedTrainer, script=[ZeroDivisionError()])
    trained = load(tmp_path / "model_0000001.pth")
    WatchedTrainer.tested = []
    cfg = config(**overrides, SOLVER__EMA__ENABLED=True)
    run(cfg, WatchedTrainer, script=[0.6, 0.5], resume=True)
    assert same_weights({"model": WatchedTrainer.tested[0]}, trained)
    assert same_weights(load(tmp_path / "model_best.pth")["ema"], trained)
