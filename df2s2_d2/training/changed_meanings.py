"""Where a config gives trained weights another meaning, although they fit it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from detectron2.config import CfgNode

# Keys, or parts of the config, that change what weights compute while their shapes may stay.
_MEANINGS = (
    "INPUT.FORMAT",
    "MODEL.ANCHOR_GENERATOR",
    "MODEL.FEM",
    "MODEL.FFP",
    "MODEL.PIXEL_MEAN",
    "MODEL.PIXEL_STD",
    "MODEL.RESNETS",
    "MODEL.SHOT.ANCHORS",
    "MODEL.SHOT.HEAD",
    "MODEL.SHOT.IN_FEATURES",
    "MODEL.SHOT.LOSS.BBOX_REG_WEIGHTS",
    "MODEL.VGG",
)


def changed_meanings(trained: CfgNode, tested: CfgNode) -> dict[str, str]:
    """Compare what two configs say of the computation, not of training, thresholds or sizes.

    Args:
        trained: that the weights were trained by.
        tested: that they are to be tested by.

    Returns:
        Key -> "old -> new".
    """
    before, after = dict(_leaves(trained)), dict(_leaves(tested))
    parts = tuple(f"{part}." for part in _MEANINGS)
    return {
        key: f"{value} -> {after.get(key)}"
        for key, value in before.items()
        if f"{key}.".startswith(parts) and value != after.get(key)
    }


def _leaves(node: CfgNode, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys and values; tuples as lists, which YAML makes of some of them."""
    for key, value in node.items():
        if isinstance(value, CfgNode):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", list(value) if isinstance(value, tuple) else value
