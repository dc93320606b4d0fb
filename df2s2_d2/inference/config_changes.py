"""In what two configs differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Keys, or parts of the config, that change what weights compute while their shapes may stay.
_MEANINGS = (
    "INPUT.FORMAT",
    "MODEL.ANCHOR_GENERATOR",
    "MODEL.BOTTOM_UP.CONV_LEVELS_NORM",
    "MODEL.BOTTOM_UP.LATERAL_NORM",
    "MODEL.BOTTOM_UP.NAME",
    "MODEL.BOTTOM_UP.NUM_POOLED_LEVELS",
    "MODEL.FEM",
    "MODEL.FFP",
    "MODEL.FPN",
    "MODEL.NECK",
    "MODEL.PIXEL_MEAN",
    "MODEL.PIXEL_STD",
    "MODEL.RESNETS",
    "MODEL.SHOT.ANCHORS",
    "MODEL.SHOT.HEAD",
    "MODEL.SHOT.IN_FEATURES",
    "MODEL.SHOT.LOSS.BBOX_REG_WEIGHTS",
    "MODEL.TIMM.NAME",
    "MODEL.VGG",
)


def config_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """Key -> "old -> new" of two configs, or of what their YAML holds."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    keys = sorted(old.keys() | new.keys())
    return {
        key: f"{old.get(key)} -> {new.get(key)}" for key in keys if old.get(key) != new.get(key)
    }


def changed_meanings(trained: Mapping[str, Any], tested: Mapping[str, Any]) -> dict[str, str]:
    """What of :func:`config_changes` gives trained weights another meaning, although they fit.

    That is the computation, not training, thresholds or sizes.

    Args:
        trained: the config that the weights were trained by.
        tested: that they are to be tested by.
    """
    parts = tuple(f"{part}." for part in _MEANINGS)
    changes = config_changes(trained, tested)
    return {key: change for key, change in changes.items() if f"{key}.".startswith(parts)}


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys and values; tuples as the lists that YAML makes of them."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", list(value) if isinstance(value, tuple) else value
