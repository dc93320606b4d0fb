"""What the annotations of a batch become for a network to be trained on."""

from df2s2_d2.modeling.targets.anchor_matching import (
    BACKGROUND,
    IGNORED,
    POSITIVE,
    AnchorMatcher,
    Matches,
)
from df2s2_d2.modeling.targets.ground_truth import GroundTruth
from df2s2_d2.modeling.targets.target_rule import MaskTarget, TargetRule, Targets

__all__ = [
    "BACKGROUND",
    "IGNORED",
    "POSITIVE",
    "AnchorMatcher",
    "GroundTruth",
    "MaskTarget",
    "Matches",
    "TargetRule",
    "Targets",
]
