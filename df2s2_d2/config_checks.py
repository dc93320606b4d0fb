"""Checks of a config that any part may make, whoever builds it: a foreign script, or Python."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from detectron2.config import CfgNode


def check_keys_added(cfg: CfgNode, *keys: str) -> None:
    """Check that a config has keys of this project.

    Args:
        cfg: the whole config.
        keys: such as "MODEL.NECK", for a node or a value.

    Raises:
        ValueError: naming the first one that is not there, and what adds it.
    """
    for key in keys:
        node = cfg
        for part in key.split("."):
            if not isinstance(node, CfgNode) or part not in node:
                raise ValueError(
                    f"The config has no {key}: call df2s2_d2.add_df2s2_config(cfg) behind "
                    "get_cfg(), before files and overrides are merged into it"
                )
            node = node[part]


def check_names(values: dict[str, tuple[str, Iterable[str]]]) -> None:
    """Check that values are among those that are known.

    Args:
        values: key of the config -> its value, and the known ones.

    Raises:
        ValueError: naming the first key that is wrong, and the known values.
    """
    for key, (value, known) in values.items():
        known = sorted(known)
        if value not in known:
            similar = difflib.get_close_matches(str(value), known, n=1)
            hint = f" (is it {similar[0]}?)" if similar else ""
            raise ValueError(f"{key} is {value!r}{hint}: it must be one of {', '.join(known)}")
