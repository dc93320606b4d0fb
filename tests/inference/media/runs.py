"""Runs over images and videos, with a stand-in for the predictor."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from df2s2_d2.inference.media.face_finding import FaceFinding
from df2s2_d2.inference.media.pictures import Pictures
from df2s2_d2.inference.media.result_files import ResultFiles
from df2s2_d2.inference.media.run_record import RunRecord
from df2s2_d2.inference.media.sources import find_sources
from df2s2_d2.inference.tracking import MAX_GAP
from tests.inference.media.scenes import find_white

FACE = (40, 30, 72, 62)


def consume(pictures, **_) -> bool:
    """Follows a run to its end."""
    for _ in pictures:
        pass
    return True


def find(
    inputs,
    output: Path,
    *,
    predict=find_white,
    follow=consume,
    batch_size: int = 2,
    formats=("json",),
    has_tracks: bool = False,
    max_gap: float = MAX_GAP,
    **options,
) -> FaceFinding:
    """Run over inputs, or sources, with options of the pictures."""
    if isinstance(inputs, Path):
        inputs = find_sources([str(inputs)])
    record = RunRecord(inputs)
    with ResultFiles(output, formats, score_threshold=0.01, has_tracks=has_tracks) as results:
        pictures = Pictures(output, **options)
        finding = FaceFinding(
            predict,
            results,
            pictures,
            record=record,
            follow=follow,
            batch_size=batch_size,
            max_gap=max_gap,
        )
        try:
            finding.run()
        except KeyboardInterrupt:
            record.fail(inputs[0], "interrupted")
    return finding


def read_results(output: Path) -> list[dict]:
    return json.loads((output / "detections.json").read_text())


def is_green(picture: np.ndarray) -> np.ndarray:
    """(H, W) bool: where the green of a drawn box dominates."""
    red, green, blue = np.moveaxis(picture.astype(int), 2, 0)
    return (green > red + 60) & (green > blue + 60)
