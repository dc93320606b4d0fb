"""What a run will need only later, checked before it starts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from detectron2.config import CfgNode
from detectron2.utils import comm
from torch import nn

from df2s2_d2.data import FaceDatasetMapper, build_mosaic
from df2s2_d2.inference.trained_weights import load_trained, without_training_parts
from df2s2_d2.modeling.multi_scale import check_test_time_augmentation
from df2s2_d2.training.acceleration import check_switches
from df2s2_d2.training.data_checks import check_data_sets
from df2s2_d2.training.evaluation import weights_to_evaluate
from df2s2_d2.training.model_checks import (
    build_untrained,
    check_device,
    check_one_class,
    check_part_names,
)
from df2s2_d2.training.resume import check_start
from df2s2_d2.training.schedule_checks import check_schedule
from df2s2_d2.training.trackers import check_trackers


def check_inputs(cfg: CfgNode, for_training: bool = True, resume: bool = False) -> None:
    """Check what a run will need only later, and nothing else: keys, weights, data, in this order.

    With several processes all call this; the main one looks at the data, and all raise the same.

    Args:
        cfg: of the run.
        for_training: False = a trained detector is only scored: then its weights must be all
            there, while images and ImageNet weights to train with need not.
        resume: as ``--resume``: weights come from OUTPUT_DIR, if a training left a checkpoint.

    Raises:
        OSError, ValueError: what is wrong, where, and what to do.
    """
    check_test_time_augmentation(cfg)
    check_part_names(cfg)
    check_one_class(cfg)
    check_device(cfg)
    if for_training:
        check_switches(cfg)
        check_schedule(cfg, comm.get_world_size())
        check_start(cfg, _build_model(cfg), resume)
        on_main_process(partial(check_trackers, cfg))
    else:
        path = weights_to_evaluate(cfg, resume)
        load_trained(build_untrained(without_training_parts(cfg)), path)
    _check_mappers(cfg, for_training)
    on_main_process(partial(check_data_sets, cfg, for_training))


def _build_model(cfg: CfgNode) -> nn.Module:
    model = build_untrained(cfg)
    if cfg.MODEL.BOTTOM_UP.WEIGHTS and cfg.MODEL.BACKBONE.NAME != "build_pyramid_backbone":
        raise ValueError(
            f"MODEL.BOTTOM_UP.WEIGHTS is {cfg.MODEL.BOTTOM_UP.WEIGHTS!r}, but a "
            f"{type(model.backbone).__name__} (MODEL.BACKBONE.NAME) takes no weights from there: "
            'set it to "", and MODEL.WEIGHTS for the whole model'
        )
    return model


def _check_mappers(cfg: CfgNode, for_training: bool) -> None:
    """Check the keys below INPUT, by what reads them."""
    try:
        for is_train in (False, True) if for_training else (False,):
            FaceDatasetMapper(cfg, is_train=is_train)
        if for_training:
            build_mosaic(cfg)
    except (AssertionError, TypeError) as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"No augmentations can be made of the keys below INPUT ({what})"
        ) from error


def on_main_process(check: Callable[[], None]) -> None:
    """Run a costly check on the main process alone, and let all processes fail if it does."""
    error = None
    if comm.is_main_process():
        try:
            check()
        except Exception as raised:  # else the other processes would wait for ever
            error = raised
    error = comm.all_gather(error)[0]
    if error is not None:
        raise error
