"""DSFD on ResNet-50, as DSFD/DSFD_R50.yaml: FEM, PAL and IAM."""

from .common.dsfd import dataloader, dsfd, lr_multiplier, optimizer, test_detector, train
from .common.resnet50 import resnet50

model = dsfd(
    # The whole network is trained; its batch norms stay frozen.
    resnet50(freeze_at=0),
    channels=[256, 512, 1024, 2048, 512, 256],
    conv_levels=[[512, 512], [128, 256]],
    conv_levels_norm="BN",
)
