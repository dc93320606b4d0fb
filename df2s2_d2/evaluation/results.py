"""The file of an evaluation's results: figures, counts, and the protocol they hold under."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from .protocol import Protocol


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


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
