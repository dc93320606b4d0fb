"""Drawn data to train on, and tiny configs that train on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from detectron2.config import CfgNode

from tests.small_runs import registered, smallest_config, wider_face_files
from tests.training.short_runs import ScriptedTrainer, run


@pytest.fixture(scope="module")
def drawn_data(sample_dataset: Path) -> Iterator[None]:
    """Registers the drawn data as ``drawn_train`` and ``drawn_val``."""
    files = {
        f"drawn_{split}": wider_face_files(sample_dataset, split) for split in ("train", "val")
    }
    with registered(**files):
        yield


@pytest.fixture
def config(drawn_data: None, tmp_path: Path) -> Callable[..., CfgNode]:
    """Function that makes a tiny config with an output folder of its own."""

    def make(**overrides) -> CfgNode:
        return smallest_config(
            **{
                "DATASETS__TRAIN": ("drawn_train",),
                "DATASETS__TEST": ("drawn_val",),
                "TEST__EVAL_PERIOD": 0,
                "OUTPUT_DIR": str(tmp_path),
                **overrides,
            }
        )

    return make


@pytest.fixture(scope="module")
def trained_folder(drawn_data: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of a run with all kinds of checkpoints."""
    folder = tmp_path_factory.mktemp("trained")
    cfg = smallest_config(
        DATASETS__TRAIN=("drawn_train",),
        DATASETS__TEST=("drawn_val",),
        TEST__EVAL_PERIOD=1,
        SOLVER__CHECKPOINT_PERIOD=2,
        OUTPUT_DIR=str(folder),
    )
    run(cfg, ScriptedTrainer, script=[0.1, 0.2, 0.3, 0.4])
    return folder
