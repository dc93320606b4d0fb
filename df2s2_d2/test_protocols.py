"""The papers' tests by name: which keys they set, and which of them a config amounts to."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from detectron2.config import CfgNode

PROTOCOL_KEY = "TEST.PROTOCOL"


@dataclass(frozen=True)
class _Published:
    """A test as a shipped config has it, where its numbers stand once."""

    config: str
    augmented: bool


TEST_PROTOCOLS = {
    # DF²S² §4: the ablations, and the final figures at short sides {600 ... 1400}.
    "df2s2-single-scale": _Published("DF2S2/Base-DF2S2.yaml", augmented=False),
    "df2s2-multi-scale": _Published("DF2S2/Base-DF2S2.yaml", augmented=True),
    # DSFD §4.1 at the original size, and the image pyramid of the authors' code.
    "dsfd-single-scale": _Published("DSFD/Base-DSFD.yaml", augmented=False),
    "dsfd-multi-scale": _Published("DSFD/Base-DSFD.yaml", augmented=True),
}

_AUGMENTED = "TEST.AUG.ENABLED"
_THRESHOLDS = ("SCORE_THRESH_TEST", "TOPK_CANDIDATES_TEST", "NMS_THRESH_TEST", "ROUND_OUTWARD")
_ALWAYS = (
    "TEST.DETECTIONS_PER_IMAGE",
    *(f"MODEL.FACE_DETECTOR.{name}" for name in _THRESHOLDS),
)
_ONE_SIZE = ("INPUT.MIN_SIZE_TEST", "INPUT.MAX_SIZE_TEST")
# What TEST.AUG.MAX_PIXELS and TILE_OVERLAP say is how much memory there is, not what is tested.
_SEVERAL_SIZES = tuple(
    f"TEST.AUG.{name}"
    for name in ("SCALES", "MIN_SIZES", "MAX_SIZE", "FLIP", "MERGE", "VOTE_IOU")
    + ("KEEP_SINGLE_VOTES", "OVER_BUDGET")
)


def protocol_overrides(name: str) -> list[Any]:
    """The keys that make any config's test the published one.

    Args:
        name: a key of ``TEST_PROTOCOLS``.

    Returns:
        ``[key, value, key, value, ...]``.

    Raises:
        ValueError: if there is no protocol of that name; lists them.
    """
    if name not in TEST_PROTOCOLS:
        raise ValueError(
            f"{PROTOCOL_KEY} is {name!r}, and not one of {', '.join(sorted(TEST_PROTOCOLS))}"
        )
    # A config's lists are its own.
    return [part for pair in copy.deepcopy(_settings(name)).items() for part in pair]


def published_config(name: str) -> CfgNode:
    """The shipped config that a published test is of, with that test.

    Args:
        name: a key of ``TEST_PROTOCOLS``.
    """
    from df2s2_d2.config import load_config  # which expands protocols, and so imports this module

    return load_config(TEST_PROTOCOLS[name].config, [PROTOCOL_KEY, name])


def expand_protocols(overrides: Sequence[Any]) -> list[Any]:
    """Put the keys of a protocol in the place of its name, so that later pairs go over them.

    Args:
        overrides: ``[key, value, ...]``.

    Raises:
        ValueError: as :func:`protocol_overrides`.
    """
    expanded: list[Any] = []
    for index in range(0, len(overrides), 2):
        pair = list(overrides[index : index + 2])
        expanded += protocol_overrides(pair[1]) if pair[0] == PROTOCOL_KEY and pair[1:] else pair
    return expanded


def protocol_name(cfg: CfgNode) -> str:
    """The protocol that a config's test is, key by key; "" if it is none of the published ones."""
    if cfg.MODEL.META_ARCHITECTURE != "FaceDetector":  # whose thresholds are others
        return ""
    return next(
        (
            name
            for name in TEST_PROTOCOLS
            if all(_value(cfg, key) == value for key, value in _effective(_settings(name)).items())
        ),
        "",
    )


def _effective(settings: dict[str, Any]) -> dict[str, Any]:
    """Without the keys that have no effect beside the others."""
    unused = set(_ONE_SIZE if settings[_AUGMENTED] else _SEVERAL_SIZES)
    if settings["TEST.AUG.SCALES"]:
        unused |= {"TEST.AUG.MIN_SIZES", "TEST.AUG.FLIP"}
    if not settings["INPUT.MIN_SIZE_TEST"]:
        unused.add("INPUT.MAX_SIZE_TEST")
    return {key: value for key, value in settings.items() if key not in unused}


@cache
def _settings(name: str) -> dict[str, Any]:
    from df2s2_d2.config import load_config  # which expands protocols, and so imports this module

    published = TEST_PROTOCOLS[name]
    cfg = load_config(published.config)
    values = {key: _value(cfg, key) for key in (*_ALWAYS, *_ONE_SIZE, *_SEVERAL_SIZES)}
    return {_AUGMENTED: published.augmented, **values}


def _value(cfg: CfgNode, key: str) -> Any:
    for name in key.split("."):
        cfg = cfg[name]
    return list(cfg) if isinstance(cfg, tuple) else cfg
