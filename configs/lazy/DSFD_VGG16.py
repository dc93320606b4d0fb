"""DSFD on VGG16, as DSFD/DSFD_VGG16.yaml."""

from detectron2.config import LazyCall as L

from df2s2_d2.modeling.backbone import VGG16

from .common.dsfd import dataloader, dsfd, lr_multiplier, optimizer, test_detector, train

model = dsfd(
    L(VGG16)(
        in_channels=3,
        width=64,
        fc6_dilation=3,
        l2_norm_scales=[10.0, 8.0, 5.0],
        freeze_at=0,
        norm="",
    ),
    channels=[256, 512, 512, 1024, 512, 256],
    conv_levels=[[256, 512], [128, 256]],
    conv_levels_norm="",
)
train.bottom_up_weights = "weights/vgg16.pth"
