"""The file of an evaluation's results: figures, counts, and the protocol they hold under."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from df2s2_d2.formats.json_file import read_json

from .protocol import Protocol, read_protocol


def results_to_json(
    figures: Mapping[str, Any],
    counts: Mapping[str, Any],
    protocol: Protocol | None,
    **others: Any,
) -> str:
    """Write an evaluation's results as JSON.

    Args:
        figures: benchmark -> figures by name, possibly nested; nan, which JSON lacks, becomes null.
        counts: what was counted, such as images and detections.
        protocol: how the detections came about; None if unknown.
        others: further entries, such as the name of the data set.
    """
    document = {
        **figures,
        **others,
        "counts": counts,
        "protocol": None if protocol is None else protocol.to_dict(),
    }
    return json.dumps(_without_nan(document), indent=2)


def read_wider_face_results(path: Path) -> tuple[dict[str, float], str]:
    """Read the average precision that an evaluation on WIDER FACE wrote, and how it came about.

    Args:
        path: of a file of :func:`results_to_json`.

    Returns:
        AP by setting, such as "easy", and the protocol in one line, "" if it is unknown.

    Raises:
        OSError, ValueError: if the file cannot be read, or is something else; names it.
    """
    try:
        document = read_json(path)
        figures = document["wider_face"]
        ap = {key.removeprefix("AP_"): figures[key] for key in figures if key.startswith("AP_")}
        protocol = read_protocol(path.parent / document["detections"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is no results.json of WIDER FACE's evaluation: {error!r}"
        ) from error
    return ap, protocol.describe() if protocol else ""


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
