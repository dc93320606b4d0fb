"""What a run will need only later, checked before it starts."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from df2s2_d2.inference.trained_weights import check_weights_file
from df2s2_d2.modeling.test_time_augmentation import check_test_time_augmentation


def check_inputs(cfg: CfgNode) -> None:
    """Check what a run will need only later: annotations, weights and keys of its tests.

    Raises:
        FileNotFoundError, ValueError: what is wrong, and where.
    """
    for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST):
        if name not in DatasetCatalog:
            raise ValueError(
                f"Data set {name!r} of DATASETS.TRAIN or DATASETS.TEST is not registered: use "
                "wider_face_train, wider_face_val, wider_face_test or fddb, or call "
                "register_wider_face or register_fddb"
            )
        DatasetCatalog.get(name)
    check_test_time_augmentation(cfg)
    check_weights(cfg)
    check_weights_file("MODEL.BOTTOM_UP.WEIGHTS", cfg.MODEL.BOTTOM_UP.WEIGHTS)


def check_weights(cfg: CfgNode) -> None:
    """Check that MODEL.WEIGHTS, if set, is there and is not a pickle of unknown origin.

    Raises:
        FileNotFoundError, ValueError: what is wrong, and where.
    """
    check_weights_file("MODEL.WEIGHTS", cfg.MODEL.WEIGHTS)
