"""A result on FDDB as text for a terminal."""

from __future__ import annotations

from ..protocol import Protocol, describe_protocol
from .scoring import FALSE_POSITIVE_COUNTS, FddbResult


def result_table(result: FddbResult, regions: str, protocol: Protocol | None) -> str:
    """Both rates over false positives, and what was counted.

    Args:
        result: of the FDDB protocol.
        regions: what the detections were scored as, in words.
        protocol: how they came about; None if unknown.
    """
    rates = result.rates()
    rows = [f"{'false positives':<15} {'discrete':>10} {'continuous':>10}"]
    rows += [
        f"{count:<15,} {rates['disc'][count]:10.5f} {rates['cont'][count]:10.5f}"
        for count in FALSE_POSITIVE_COUNTS
    ]
    rows += [
        "",
        f"scored as       {regions}",
        f"protocol        {describe_protocol(protocol)}",
        f"images          {result.num_images:9,}",
        f"faces           {result.num_faces:9,}",
        f"detections      {result.num_detections:9,}",
        f"missing images  {result.num_missing_images:9,}  (counted as images without detections)",
        f"unknown images  {result.num_unknown_images:9,}  (not in the folds; "
        f"{result.num_unknown_detections:,} detections left out)",
    ]
    return "\n".join(rows)
