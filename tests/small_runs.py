"""A tiny detector and data sets under temporary names, for tests that train and evaluate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

from df2s2_d2 import load_config
from df2s2_d2.data import register_wider_face
from df2s2_d2.data.datasets.builtin import register_all_fddb, register_all_wider_face

ROOT = Path(__file__).resolve().parents[1]
SMALLEST_CONFIG = str(ROOT / "configs/DF2S2/small/demo_R18.yaml")

SMALLEST = {
    "MODEL.DEVICE": "cpu",
    "MODEL.SHOT.HEAD.CONV_DIM": 16,
    "MODEL.SHOT.HEAD.NUM_CONVS": 1,
    "MODEL.SHOT.HEAD.NORM": "",
    "MODEL.FFP.OUT_CHANNELS": 16,
    "INPUT.RESIZE_SQUARE_TRAIN": 0,
    "INPUT.MIN_SIZE_TRAIN": (128,),
    "INPUT.MIN_SIZE_TEST": 128,
    "TEST.AUG.ENABLED": False,
    "DATALOADER.NUM_WORKERS": 0,
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.LR_SCHEDULER_NAME": "WarmupMultiStepLR",
    "SOLVER.WARMUP_ITERS": 0,
    "SOLVER.BASE_LR": 0.001,
    "SOLVER.STEPS": (),
    "SOLVER.MAX_ITER": 4,
    "SOLVER.AMP.ENABLED": False,
    "SOLVER.OPTIMIZER": "SGD",
    "SOLVER.CLIP_GRADIENTS.ENABLED": False,
    "SEED": 1,
}

# A network whose steps take a fourth of a ResNet-18's time, and whose checkpoints are small; with
# "__" for ".".
NARROW = {
    "MODEL__RESNETS__DEPTH": 50,
    "MODEL__RESNETS__STEM_OUT_CHANNELS": 8,
    "MODEL__RESNETS__RES2_OUT_CHANNELS": 16,
    "MODEL__RESNETS__WIDTH_PER_GROUP": 4,
}


def smallest_config(config_file: str = SMALLEST_CONFIG, **overrides) -> CfgNode:
    """A config that trains in a fraction of a second an iteration.

    Args:
        config_file: what is made small.
        overrides: see :func:`smallest_options`.
    """
    return load_config(config_file, smallest_options(**overrides))


def smallest_options(**overrides) -> list:
    """Key, value, ... as a command line has them behind :data:`SMALLEST_CONFIG`.

    Args:
        overrides: keys with "__" for ".", over those of :data:`SMALLEST` and :data:`NARROW`.
    """
    pairs = SMALLEST | {key.replace("__", "."): v for key, v in (NARROW | overrides).items()}
    return [part for pair in pairs.items() for part in pair]


@contextmanager
def registered(**data_sets: dict) -> Iterator[None]:
    """Data sets, by name the arguments of ``register_wider_face``, as long as the context lasts."""
    for name, files in data_sets.items():
        register_wider_face(name, **files)
    try:
        yield
    finally:
        for name in data_sets:
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)


def register_official_below(folder: str | Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the official data sets, and no other, as ``$DETECTRON2_DATASETS`` does."""
    for catalog in (DatasetCatalog, MetadataCatalog):
        monkeypatch.setattr(catalog, "data", {})
    register_all_wider_face(folder)
    register_all_fddb(folder)


def wider_face_files(root: Path, split: str) -> dict:
    """Arguments of ``register_wider_face`` for a folder in WIDER FACE's layout."""
    base = root / "wider_face"
    lists = base / "eval_tools/ground_truth"
    return {
        "image_dir": str(base / f"WIDER_{split}/images"),
        "annotation_file": str(base / f"wider_face_split/wider_face_{split}_bbx_gt.txt"),
        "ground_truth_dir": str(lists) if split == "val" else None,
    }
