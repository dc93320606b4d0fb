"""A small DF²S² for photographs, as DF2S2/small/faces_small.yaml: EfficientNet-lite0 under FFP.

tools/convert_timm_weights.py makes its ImageNet weights (Apache-2.0).
"""

from detectron2.config import LazyCall as L
from detectron2.data import transforms as T
from detectron2.modeling.box_regression import Box2BoxTransform
from torch.optim import AdamW

from df2s2_d2.data.augmentation import PhotometricDistortion, RandomDegradation, RandomWindow
from df2s2_d2.data.mosaic import Mosaic, quarter_mapper
from df2s2_d2.modeling import FFP, FaceDetector, PyramidBackbone, Shot, TowerHead
from df2s2_d2.modeling.anchors import GridAnchorGenerator
from df2s2_d2.modeling.backbone import BottomUp, TimmNetwork
from df2s2_d2.modeling.losses import FocalLoss
from df2s2_d2.modeling.map_shapes import map_shapes
from df2s2_d2.modeling.targets import AnchorMatcher
from df2s2_d2.training.optimizer import parameter_groups
from df2s2_d2.training.schedules import warmup_cosine

from .common.train import train
from .common.wider_face import dataloader, test_detector

model = L(FaceDetector)(
    backbone=L(PyramidBackbone)(
        bottom_up=L(BottomUp)(
            network=L(TimmNetwork)(
                name="efficientnet_lite0", strides=[8, 16, 32], in_channels=3, freeze_norm=True
            ),
            # Its maps are not rectified, nor of unit scale, as products of maps expect.
            lateral_channels=64,
            lateral_norm="GN",
        ),
        neck=L(FFP)(
            input_shape=L(map_shapes)(c3=64, c4=64, c5=64),
            out_channels=32,
            activation="",
            num_pooled_levels=1,
        ),
        neck_features=["c3", "c4", "c5"],
    ),
    shot=L(Shot)(
        head=L(TowerHead)(
            input_shape=L(map_shapes)(p3=32, p4=32, p5=32, p6=32),
            sources={"p6": "p5"},
            num_anchors=2,
            num_convs=2,
            conv_dim=64,
            norm="GN",
            entry="project",
            prior_prob=0.01,
            predict_masks=True,
        ),
        # Faces of every size from 16 pixels on have three to four positive anchors.
        anchor_generator=L(GridAnchorGenerator)(
            strides=[8, 16, 32, 64],
            scale=2.0,
            octaves=[1.0, 1.4142],
            aspect_ratios=[1.5],
            offset=0.5,
        ),
        in_features=["p3", "p4", "p5", "p6"],
        matcher=L(AnchorMatcher)(iou_thresholds=[0.35, 0.45], allow_low_quality_matches=True),
        box2box_transform=L(Box2BoxTransform)(weights=[1.0, 1.0, 1.0, 1.0]),
        classification_loss=L(FocalLoss)(alpha=0.25, gamma=2.0),
        smooth_l1_beta=1.0 / 9,
        normalizer="global",
        box_reg_weight=1.0,
        mask_weight=0.05,
        mask_assignment="matching",
    ),
    # What these weights expect of their images.
    pixel_mean=[127.0, 127.0, 127.0],
    pixel_std=[128.0, 128.0, 128.0],
    score_threshold=0.01,
    num_candidates=5000,
    nms_threshold=0.4,
    max_detections=750,
)

optimizer = L(AdamW)(
    # The trainer sets params.model.
    params=L(parameter_groups)(
        base_lr="${..lr}",
        # Its ImageNet weights are to be adapted, not learned anew.
        bottom_up_lr_factor=0.2,
        weight_decay_norm=0.0,
        weight_decay_bias=0.0,
    ),
    lr=0.0007,
    betas=[0.9, 0.999],
    weight_decay=0.05,
    fused=True,
)
lr_multiplier = L(warmup_cosine)(max_iter="${train.max_iter}", warmup_iters=200)

dataloader.train.total_batch_size = 16
dataloader.train.num_workers = 2
dataloader.train.mapper.min_face_size = 4.0
dataloader.train.mapper.small_faces = "ignore"
dataloader.train.mapper.augmentations = [
    L(RandomWindow)(
        output_size=256,
        pad_value="${model.pixel_mean}",
        scale_range=[0.3, 2.0],
        face_sizes=[7.0, 320.0],
        face_prob=0.5,
        # The squeezed photographs of a test, and upright faces as they are.
        squeeze_range=[0.77, 1.8],
    ),
    L(T.Resize)(shape=256),
    L(T.RandomFlip)(horizontal=True, vertical=False),
    L(PhotometricDistortion)(image_format="RGB"),
    L(RandomDegradation)(),
]
dataloader.train.mosaic = L(Mosaic)(mapper=L(quarter_mapper)(mapper="${...mapper}"), prob=0.3)
dataloader.test.num_workers = 2
# Small faces are found in enlarged images, faces of more than 150 pixels in small ones.
test_detector.is_augmented = True
test_detector.merge = "nms"
test_detector.scales.sizes = [dict(short_side=320), dict(short_side=832)]

train.device = "cpu"
train.bottom_up_weights = "weights/efficientnet_lite0.pth"
train.max_iter = 20000
train.eval_period = 0
train.checkpointer.period = 1000
train.amp.enabled = True
train.channels_last = True
train.ema.enabled = True
train.ema.decay = 0.999
