"""Sets of detections on WIDER FACE, and published curves, to be compared."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from df2s2_d2.formats.detection_files import read_detections

from ..image_names import check_image_names
from ..protocol import describe_protocol, read_protocol
from .ground_truth import load_ground_truth
from .published_curves import PublishedCurves, read_published_curves
from .scoring import WiderFaceResult, evaluate_wider_face


@dataclass(frozen=True)
class Comparison:
    """Results by name, in the order in which they are shown.

    Attributes:
        results: scored detections, then published curves.
        remarks: the protocol of each, or that it was published.
    """

    results: dict[str, WiderFaceResult | PublishedCurves] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)


def compare(
    detections: Sequence[tuple[str, str | os.PathLike]],
    ground_truth_dir: str | os.PathLike | None,
    curves_dir: str | os.PathLike | None,
) -> Comparison:
    """Score detections, and put published curves beside them.

    Args:
        detections: name and path of each set.
        ground_truth_dir: of the official wider_*_val.mat files; needed for detections.
        curves_dir: of published curves; None for none.

    Raises:
        OSError, ValueError: if a file cannot be read, or a name occurs twice.
    """
    comparison = Comparison()
    if detections:
        ground_truth = load_ground_truth(ground_truth_dir)
    for name, path in detections:
        if name in comparison.results:
            raise ValueError(f"two sets of detections are called {name!r}; rename one")
        rows = read_detections(path)
        check_image_names(path, rows, ground_truth.images, str(ground_truth_dir))
        comparison.results[name] = evaluate_wider_face(rows, ground_truth)
        comparison.remarks[name] = describe_protocol(read_protocol(path))
    if curves_dir:
        for name, curves in read_published_curves(curves_dir).items():
            if name in comparison.results:
                raise ValueError(f"{name!r} is a published method too; rename the detections")
            comparison.results[name] = curves
            comparison.remarks[name] = "published curve"
    return comparison
