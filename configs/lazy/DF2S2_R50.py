"""DF²S² on ResNet-50, as DF2S2/DF2S2_R50.yaml: table 4 of the paper.

The batch is that of all processes together, however many there are.
"""

import sys

from detectron2.config import LazyCall as L
from detectron2.data import transforms as T
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.solver.build import get_default_optimizer_params

from df2s2_d2.data.augmentation import BoundedResize, PhotometricDistortion, RandomSquareCrop
from df2s2_d2.modeling import FFP, FaceDetector, PyramidBackbone, Shot, TowerHead
from df2s2_d2.modeling.anchors import GridAnchorGenerator
from df2s2_d2.modeling.backbone import BottomUp
from df2s2_d2.modeling.losses import FocalLoss
from df2s2_d2.modeling.map_shapes import map_shapes
from df2s2_d2.modeling.targets import AnchorMatcher
from df2s2_d2.training.optimizer import fused_sgd
from df2s2_d2.training.schedules import warmup_multi_step

from .common.resnet50 import pixel_mean, pixel_std, resnet50
from .common.train import train
from .common.wider_face import dataloader, test_detector

model = L(FaceDetector)(
    backbone=L(PyramidBackbone)(
        bottom_up=L(BottomUp)(network=resnet50(freeze_at=2)),
        neck=L(FFP)(
            input_shape=L(map_shapes)(c2=256, c3=512, c4=1024, c5=2048),
            out_channels=0,
            kernel_size=2,
            norm="",
            activation="",
            num_pooled_levels=2,
            pool_kernel_size=2,
        ),
        neck_features=["c2", "c3", "c4", "c5"],
    ),
    shot=L(Shot)(
        head=L(TowerHead)(
            input_shape=L(map_shapes)(p2=256, p3=512, p4=1024, p5=2048, p6=2048, p7=2048),
            sources={"p6": "p5", "p7": "p5"},
            num_anchors=6,
            num_convs=4,
            conv_dim=256,
            norm="",
            entry="project",
            prior_prob=0.01,
            predict_masks=True,
        ),
        anchor_generator=L(GridAnchorGenerator)(
            strides=[4, 8, 16, 32, 64, 128],
            scale=4.0,
            octaves=[2 ** (octave / 3) for octave in range(3)],
            aspect_ratios=[1.0, 1.5],
            offset=0.5,
        ),
        in_features=["p2", "p3", "p4", "p5", "p6", "p7"],
        matcher=L(AnchorMatcher)(iou_thresholds=[0.4, 0.5], allow_low_quality_matches=True),
        box2box_transform=L(Box2BoxTransform)(weights=[1.0, 1.0, 1.0, 1.0]),
        classification_loss=L(FocalLoss)(alpha=0.25, gamma=2.0),
        smooth_l1_beta=1.0 / 9,
        normalizer="global",
        box_reg_weight=1.0,
        mask_weight=0.05,
        mask_assignment="matching",
    ),
    pixel_mean=pixel_mean,
    pixel_std=pixel_std,
    score_threshold=0.01,
    num_candidates=5000,
    nms_threshold=0.4,
    max_detections=750,
    round_boxes_outward=False,
)

optimizer = L(fused_sgd)(
    # The trainer sets params.model.
    params=L(get_default_optimizer_params)(base_lr="${..lr}", weight_decay_norm=0.0),
    lr=0.004,
    momentum=0.9,
    weight_decay=0.0001,
)

# 120 epochs of 12,880 images; divided by 10 after 80 and 100 of them.
lr_multiplier = L(warmup_multi_step)(max_iter="${train.max_iter}", steps=[32200, 40250])

dataloader.train.mapper.augmentations = [
    L(T.RandomApply)(tfm_or_aug=L(RandomSquareCrop)(min_scale=0.3, max_scale=1.0), prob=1.0),
    L(T.Resize)(shape=640),
    L(T.RandomFlip)(horizontal=True, vertical=False),
    L(PhotometricDistortion)(image_format="RGB"),
]
test_detector.scales.sizes = [dict(short_side=800)]
dataloader.test.mapper.augmentations = [
    L(BoundedResize)(
        short_side="${test_detector.scales.sizes[0].short_side}",
        # No limit: detectron2's 1333 would shrink 13.5 % of WIDER FACE's val images.
        longest_side=sys.maxsize,
        max_pixels="${test_detector.max_pixels}",
    )
]
