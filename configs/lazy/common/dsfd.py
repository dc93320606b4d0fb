"""DSFD on any bottom-up network: two shots with progressive anchors, its losses and its data."""

from detectron2.config import LazyCall as L
from detectron2.data import transforms as T
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.solver.build import get_default_optimizer_params

from df2s2_d2.data.augmentation import (
    AnchorSampling,
    PhotometricDistortion,
    RandomChoice,
    RandomSquareCrop,
)
from df2s2_d2.modeling import FEM, FaceDetector, PyramidBackbone, Shot, SSDHead
from df2s2_d2.modeling.anchors import GridAnchorGenerator
from df2s2_d2.modeling.backbone import BottomUp
from df2s2_d2.modeling.losses import MinedSoftmaxLoss
from df2s2_d2.modeling.map_shapes import map_shapes
from df2s2_d2.modeling.targets import AnchorMatcher
from df2s2_d2.training.optimizer import fused_sgd
from df2s2_d2.training.schedules import warmup_multi_step

from .resnet50 import pixel_mean, pixel_std
from .train import train
from .wider_face import dataloader, test_detector

MIN_FACE = 8.0


def dsfd(network, channels: list[int], conv_levels: list[list[int]], conv_levels_norm: str):
    """The detector.

    Args:
        network: the bottom-up network, up to stride 32.
        channels: of its maps and the two levels above them.
        conv_levels, conv_levels_norm: of these levels, see BottomUp.
    """
    return L(FaceDetector)(
        backbone=L(PyramidBackbone)(
            bottom_up=L(BottomUp)(
                network=network, conv_levels=conv_levels, conv_levels_norm=conv_levels_norm
            ),
            neck=L(FEM)(
                input_shape=_levels("c", channels),
                fusion="product",
                cascade=False,
                branches="stacked",
                dilation=3,
                split_input=False,
                out_channels=0,
            ),
            neck_features=[f"c{k}" for k in range(2, 8)],
        ),
        # One anchor a cell: 16 x (3/2)^-1/2 wide and 16 x (3/2)^1/2 high on p2, up to 512 on p7.
        shot=_shot("p", channels, scale=4.0),
        # Half the size of the second shot's.
        first_shot=_shot("c", channels, scale=2.0, loss_suffix="_first_shot"),
        pixel_mean=pixel_mean,
        pixel_std=pixel_std,
        score_threshold=0.01,
        num_candidates=5000,
        nms_threshold=0.3,
        max_detections=750,
        round_boxes_outward=True,
    )


def _levels(letter: str, channels: list[int]):
    return L(map_shapes)(**{f"{letter}{k}": width for k, width in enumerate(channels, start=2)})


def _shot(letter: str, channels: list[int], scale: float, **options):
    return L(Shot)(
        head=L(SSDHead)(
            input_shape=_levels(letter, channels),
            num_anchors=1,
            prior_prob=0.5,
            max_in_out=False,
            predict_masks=False,
        ),
        anchor_generator=L(GridAnchorGenerator)(
            strides=[4, 8, 16, 32, 64, 128],
            scale=scale,
            octaves=[1.0],
            aspect_ratios=[1.5],
            offset=0.5,
        ),
        in_features=[f"{letter}{k}" for k in range(2, 8)],
        matcher=L(AnchorMatcher)(iou_thresholds=[0.4, 0.4], allow_low_quality_matches=True),
        box2box_transform=L(Box2BoxTransform)(weights=[10.0, 10.0, 5.0, 5.0]),
        classification_loss=L(MinedSoftmaxLoss)(negative_ratio=3.0, negatives_without_face=100),
        smooth_l1_beta=1.0,
        normalizer="participating",
        box_reg_weight=1.0,
        loss_weight=1.0,
        **options,
    )


optimizer = L(fused_sgd)(
    # The trainer sets params.model.
    params=L(get_default_optimizer_params)(base_lr="${..lr}", weight_decay_norm=0.0),
    lr=0.001,
    momentum=0.9,
    weight_decay=0.0005,
)
# 40 k steps at 1e-3, 10 k at 1e-4, 10 k at 1e-5, 16 images each.
lr_multiplier = L(warmup_multi_step)(max_iter="${train.max_iter}", steps=[40000, 50000])

dataloader.train.total_batch_size = 16
dataloader.train.mapper.min_original_face_size = MIN_FACE
dataloader.train.mapper.augmentations = [
    # Two fifths of the images are cropped so that a face gets about the size of an anchor, the
    # others as SSD does.
    L(RandomChoice)(
        first=L(AnchorSampling)(
            anchor_sizes=[16, 32, 64, 128, 256, 512],
            output_size=640,
            pad_value=pixel_mean,
            min_face_size=MIN_FACE,
        ),
        second=L(T.AugmentationList)(
            augs=[
                L(T.RandomApply)(
                    tfm_or_aug=L(RandomSquareCrop)(
                        min_scale=0.3,
                        max_scale=1.0,
                        whole_side_prob=0.2,
                        min_face_size=MIN_FACE,
                    ),
                    prob=1.0,
                )
            ]
        ),
        prob=0.4,
    ),
    L(T.Resize)(shape=640),
    L(T.RandomFlip)(horizontal=True, vertical=False),
    L(PhotometricDistortion)(image_format="RGB"),
]
# The original size
test_detector.scales.sizes = [dict(factor=1.0)]

train.max_iter = 60000
train.eval_period = 5000
train.checkpointer.period = 5000
