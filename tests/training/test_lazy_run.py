"""Trainings by LazyConfigs: the same run as by YAML, and one sentence where there can be none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import LazyCall, instantiate
from detectron2.data import DatasetCatalog
from detectron2.engine import SimpleTrainer, create_ddp_model, hooks
from detectron2.utils.env import seed_all_rng

from df2s2_d2 import load_config
from df2s2_d2.cli import train_lazy
from df2s2_d2.cli.program import build_parser
from df2s2_d2.inference.checkpoint_config import config_of
from df2s2_d2.training import evaluate, lazy_run
from df2s2_d2.training.best_checkpoint import BestCheckpointer
from df2s2_d2.training.lazy_trainer import LazyTrainer
from tests.training.lazy_runs import LAZY_STEPS, SMALL, YAML_STEPS, small_lazy_config
from tests.training.short_runs import load, reports, run, same_weights

pytest.importorskip("timm")

YAML = "DF2S2/small/faces_small.yaml"
DRAWN = {"train": "drawn_train", "test": "drawn_val"}


@pytest.fixture(scope="module")
def yaml_run(drawn_data, tmp_path_factory) -> Path:
    """Output of a run by YAML."""
    folder = tmp_path_factory.mktemp("yaml")
    run(load_config(YAML, [*YAML_STEPS, "OUTPUT_DIR", str(folder)]))
    return folder


def run_lazily(folder: Path, *flags: str) -> None:
    """As the command line does, in this process."""
    parser = build_parser(train_lazy, "lazyconfig_train_net.py")
    options = [*LAZY_STEPS, f"train.output_dir='{folder}'"]
    lazy_run.run(parser.parse_args(["--config-file", SMALL, *flags, *options]))


def figures(folder: Path) -> list[dict]:
    """What metrics.json says, without times and memory."""
    return [
        {
            key: value
            for key, value in row.items()
            if "time" not in key and key not in ("eta_seconds", "peak_memory_mb")
        }
        for row in reports(folder)
    ]


def test_a_run_equals_that_by_yaml(yaml_run, tmp_path):
    run_lazily(tmp_path)
    # As text, in which NaN equals itself.
    assert json.dumps(figures(tmp_path)) == json.dumps(figures(yaml_run))
    assert any("wider_face/AP_hard" in row for row in figures(tmp_path))
    names = {"model_0000001.pth", "model_0000003.pth", "model_final.pth", "model_best.pth"}
    assert names <= {path.name for path in tmp_path.glob("*.pth")}
    assert same_weights(load(tmp_path / "model_final.pth"), load(yaml_run / "model_final.pth"))
    # A LazyConfig is code, which a file of weights must not bring along.
    with pytest.raises(ValueError, match="carries no config"):
        config_of(str(tmp_path / "model_final.pth"))


def test_a_run_by_yaml_is_gone_on_with(yaml_run, tmp_path):
    # As a run leaves them that breaks off after its first checkpoint.
    shutil.copy(yaml_run / "model_0000001.pth", tmp_path)
    (tmp_path / "last_checkpoint").write_text("model_0000001.pth")
    run_lazily(tmp_path, "--resume")
    assert same_weights(load(tmp_path / "model_final.pth"), load(yaml_run / "model_final.pth"))


def test_a_loop_of_detectron2_runs_the_same(yaml_run, tmp_path):
    """What its tools/lazyconfig_train_net.py does of these sections."""
    lazy = small_lazy_config(tmp_path)
    seed_all_rng(lazy.train.seed)
    model = instantiate(lazy.model).to(lazy.train.device)
    lazy.optimizer.params.model = model
    loader = instantiate(lazy.dataloader.train)
    model = create_ddp_model(model, **lazy.train.ddp)
    trainer = SimpleTrainer(model, loader, instantiate(lazy.optimizer))
    checkpointer = DetectionCheckpointer(model, str(tmp_path))
    trainer.register_hooks(
        [
            hooks.LRScheduler(scheduler=instantiate(lazy.lr_multiplier)),
            hooks.PeriodicCheckpointer(checkpointer, **lazy.train.checkpointer),
        ]
    )
    trainer.train(0, lazy.train.max_iter)
    loss, _ = trainer.storage.latest_with_smoothing_hint(20)["total_loss"]
    (expected,) = [row for row in figures(yaml_run) if "total_loss" in row]
    # Up to rounding: the Trainer folds frozen norms into their convolutions.
    assert loss == pytest.approx(expected["total_loss"], rel=1e-4)
    # Without a test_detector, which this loop passes over, there is no protocol to be told.
    assert "protocol" not in lazy.dataloader.evaluator


def test_a_trained_detector_is_scored_alike(yaml_run):
    by_yaml = evaluate(load_config(YAML, [*YAML_STEPS, "OUTPUT_DIR", str(yaml_run)]), resume=True)
    found = lazy_run.evaluate(small_lazy_config(yaml_run), resume=True)
    assert json.dumps(found) == json.dumps(by_yaml)
    assert found["wider_face"]["AP_easy"] > 0
    # No part of the detector may be left at random.
    path = yaml_run / "model_final.pth"
    other = small_lazy_config(
        yaml_run, "model.shot.head.conv_dim=32", f"train.init_checkpoint={path}"
    )
    with pytest.raises(ValueError, match="not of the detector that the config describes"):
        lazy_run.check_inputs(other, for_training=False)


def set_up_error(*arguments: str) -> str:
    """What lazyconfig_train_net.py says before it gives up, without a process of its own."""
    parser = build_parser(train_lazy, "lazyconfig_train_net.py")
    with pytest.raises(SystemExit) as caught:
        lazy_run.setup(parser.parse_args(list(arguments)))
    message = caught.value.code
    assert isinstance(message, str) and "\n" not in message
    assert message.startswith("lazyconfig_train_net.py: ")
    return message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train.no_such=1"], "has no train.no_such"),
        (["+train.no_such=1"], "There is no setting train.no_such: there are train.accumulate"),
        (["train.max_iter"], "write KEY=VALUE"),
        (["train.max_iter=many"], "train.max_iter is 'many': give a value of type int"),
        (["train.max_iter=0"], "train.max_iter is 0: give 1 iterations or more"),
        (["train.init_checkpoint=absent.pth"], "train.init_checkpoint is 'absent.pth', but there"),
        (["train.bottom_up_weights=absent.pth"], "train.bottom_up_weights is 'absent.pth'"),
        (["train.device=cuda:9"], "train.device is 'cuda:9'"),
        (["train.amp.precision=float8"], "train.amp.precision must be one of"),
        (["train.accumulate=3"], "train.accumulate must divide the 2 images"),
        (["dataloader.train.dataset.names=nowhere"], "Data set 'nowhere'"),
        (["model.shot.head.num_anchors=6"], "No model can be built of the LazyConfig: A shot's"),
        (["model.backbone.neck.out_channels=64"], "built for channels {'p3': 32"),
        (["lr_multiplier.warmup_iters=x"], "No lr_multiplier can be built"),
        (
            ["dataloader.train.mosaic.prob=2"],
            "train.mosaic.prob: expected 0 to 1; found 2",
        ),
        (["dataloader.train.mapper.augmentations.1.shape=33"], "needs an even shape of T.Resize"),
        (
            ["dataloader.train.mapper.small_faces=x"],
            "train.mapper.small_faces: expected one of",
        ),
        (["optimizer.params.bottom_up_lr_factor=-1"], "bottom_up_lr_factor: expected a factor of"),
        (["optimizer.lr=-1"], "No optimizer can be built of the LazyConfig"),
        (["--eval-only"], "No trained detector is given to be scored: set train.init_checkpoint"),
        (["--eval-only", "--resume"], "train.output_dir is"),
    ],
)
def test_what_cannot_run_is_one_sentence(drawn_data, tmp_path, arguments, words):
    flags = [argument for argument in arguments if argument.startswith("--")]
    overrides = [argument for argument in arguments if argument not in flags]
    folder = tmp_path / "output"
    message = set_up_error(
        *("--config-file", SMALL, *flags, *LAZY_STEPS, f"train.output_dir='{folder}'", *overrides)
    )
    assert words in message
    assert not folder.exists()


def own_records(name: str) -> list[dict]:
    """Stands for a function of a user's that makes dataset dicts."""
    return DatasetCatalog.get(name)


@pytest.mark.parametrize("split", ["train", "test"])
def test_data_sets_may_be_given_by_other_than_names(drawn_data, tmp_path, split):
    lazy = small_lazy_config(tmp_path, "train.eval_period=2")
    # Which would take both from the name that the test's loader has.
    lazy.dataloader.evaluator.update(dataset_name="drawn_val", output_dir=str(tmp_path))
    lazy.dataloader[split].dataset = LazyCall(own_records)(name=DRAWN[split])
    lazy_run.check_inputs(lazy)
    built = [type(hook) for hook in LazyTrainer(lazy)._hooks]
    assert BestCheckpointer in built


def test_a_detector_is_scored_on_records_without_a_name(yaml_run, tmp_path):
    lazy = small_lazy_config(tmp_path, f"train.init_checkpoint={yaml_run / 'model_final.pth'}")
    lazy.dataloader.test.dataset = LazyCall(own_records)(name="drawn_val")
    lazy_run.check_inputs(lazy, for_training=False)
