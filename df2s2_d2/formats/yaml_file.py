"""YAML of whatever origin: plain values, and one error for all that can be wrong with a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

# Of what YAML's parser says is wrong, which may quote the file at any length.
_LONGEST_REASON = 300


def read_yaml(path: str | os.PathLike) -> Any:
    """Read a YAML file without tags that build objects and without merged keys.

    Values that are named by anchors are shared, not copied. Merged keys (``<<``) are copied, by
    which a short file can be made to fill the memory, and are refused.

    Args:
        path: of a text in UTF-8, with or without a byte order mark.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no such YAML; names the file.
    """
    import yaml  # here, since it is needed of few data sets

    class Loader(yaml.SafeLoader):
        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            for key, _ in node.value:
                if key.tag == "tag:yaml.org,2002:merge":
                    place = f"line {key.start_mark.line + 1}"
                    raise ValueError(f"{place} has a merged key, <<: write out what it stands for")

    try:
        return yaml.load(Path(path).read_text(encoding="utf-8-sig"), Loader)
    except RecursionError:
        reason = "it is nested too deeply to be read"
    except (yaml.YAMLError, ValueError) as error:  # ValueError: of dates and numbers
        reason = " ".join(str(error).split())[:_LONGEST_REASON]
    raise ValueError(f"{path} is no YAML that can be read: {reason}")
