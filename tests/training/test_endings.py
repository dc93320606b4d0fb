"""Runs that end before their time, told in one sentence."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest
from detectron2.engine import HookBase

from df2s2_d2.training import Trainer, one_sentence_endings
from tests.training.watched_runs import watched_config, watched_run

pytestmark = pytest.mark.usefixtures("drawn_data")


def test_weights_that_are_not_finite_end_a_run_that_does_not_see_its_losses(tmp_path):
    cfg = watched_config(tmp_path)
    trainer = Trainer(cfg)
    trainer._trainer.gather_metric_period = 20  # as on a GPU

    class Break(HookBase):
        def after_step(self):
            if self.trainer.iter == 1:
                self.trainer.model.shot.head.box_deltas.bias.data[0] = float("nan")

    trainer._hooks.insert(0, Break())
    trainer._hooks[0].trainer = trainer
    with pytest.raises(FloatingPointError, match="0000001.pth is not written, as .*bias"):
        trainer.train()
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000000.pth"
    assert not (tmp_path / "model_0000001.pth").exists()


def test_a_disk_that_fills_up_ends_a_run_in_one_sentence(tmp_path, monkeypatch, caplog):
    cfg = watched_config(tmp_path)
    original = os.replace

    def replace(source, target):
        if Path(target).name == "model_0000001.pth":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(SystemExit) as caught, one_sentence_endings("train_net.py"):
        watched_run(cfg)
    sentence = caught.value.code.removeprefix("train_net.py: ")
    assert "model_0000001.pth" in sentence and "No space left" in sentence
    assert "\n" not in sentence and "--resume" in sentence
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in errors] == [f"Exception during training: {sentence}"]
    assert errors[0].exc_info is None
    monkeypatch.undo()
    _, steps = watched_run(cfg)
    assert steps.keys() == {1, 2, 3}
