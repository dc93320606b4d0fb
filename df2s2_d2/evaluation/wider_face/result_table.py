"""Results on WIDER FACE as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from ..protocol import Protocol, describe_protocol
from .ground_truth import SETTINGS
from .published_curves import PublishedCurves
from .scoring import WiderFaceResult

_COCO_MEANING = {
    "AP": "IoU 0.50:0.95",
    "AP50": "IoU 0.50",
    "AP75": "IoU 0.75",
    "APs": "below 32² px",
    "APm": "32² to 96² px",
    "APl": "above 96² px",
}


def result_table(
    result: WiderFaceResult, coco: Mapping[str, float], protocol: Protocol | None
) -> str:
    """One result: its AP, and what was counted.

    Args:
        result: of the WIDER FACE protocol.
        coco: COCO's AP by name, see :func:`~df2s2_d2.evaluation.coco_ap.coco_average_precision`;
            may be empty.
        protocol: how the detections came about; None if unknown.
    """
    rows = [f"[{describe_protocol(protocol)}]", "", f"{'':<10} {'AP':>8} {'faces':>8}"]
    rows += [
        f"{name:<10} {value:8.5f} {faces:8,}"
        for (name, value), faces in zip(result.ap.items(), result.num_faces.values(), strict=True)
    ]
    if coco:
        rows += ["", f"{'COCO':<10} {'':>8} {'IoU or size':>20}"]
        rows += [
            f"{name:<10} {value:8.5f} {_COCO_MEANING[name]:>20}" for name, value in coco.items()
        ]
    rows += [
        "",
        f"images         {result.num_images:9,}",
        f"detections     {result.num_detections:9,}",
        f"missing files  {result.num_missing_images:9,}  (counted as images without detections)",
        f"unknown files  {result.num_unknown_images:9,}  (not in the ground truth; "
        f"{result.num_unknown_detections:,} detections left out)",
    ]
    return "\n".join(rows)


def comparison_table(
    results: Mapping[str, WiderFaceResult | PublishedCurves], remarks: Mapping[str, str]
) -> str:
    """The AP of several methods, a row each.

    Args:
        results: by name.
        remarks: by the same names, what to say of each besides.
    """
    names = [f"AP_{setting}" for setting in SETTINGS]
    width = max(map(len, results))
    rows = [f"{'':<{width}} " + " ".join(f"{name:>10}" for name in names)]
    for name, result in results.items():
        figures = (f"{result.ap[n]:10.4f}" if n in result.ap else " " * 10 for n in names)
        rows.append(f"{name:<{width}} {' '.join(figures)}  {remarks[name]}")
    return "\n".join(rows)
