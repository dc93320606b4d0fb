"""Figures of a table: means of runs that can be compared, and of no others."""

from __future__ import annotations

import pytest

from df2s2_d2.tables.index import find_table
from df2s2_d2.tables.markdown import table_to_markdown

TABLE = find_table("df2s2-2")
WHOLE = {"cost": 1.0, "image": None, "batch": None}


def result(seed: int, hard: float, **changes) -> dict:
    """What a run of the baseline of table 2 leaves, as far as a table shows it."""
    return {
        "row": "retinanet",
        "seed": seed,
        "scale": WHOLE,
        "overrides": "",
        "ap": {"easy": 0.9, "medium": 0.8, "hard": hard},
        "test_images": 3226,
        "protocol": {"resize": "short side 800", "scales": [], "weights": f"of seed {seed}"},
        "training": {"steps": 48300, "batch_size": 32, "hours": 3.0, "peak_memory_mb": 7000.0},
        "code": ["abc"],
        "hardware": {"device_type": "cuda", "device": "A GPU", "processes": 4, "threads": 1},
        "torch": "2.14",
    } | changes


def figures(*results: dict) -> list[tuple[str, str]]:
    """Hard AP and seeds of each row of the baseline."""
    rows = [x.split(" | ") for x in table_to_markdown(TABLE, results).splitlines()]
    return [(row[4], row[6]) for row in rows if row[0] == "| RetinaNet" and len(row) > 6]


def test_seeds_of_one_schedule_and_test_make_a_mean():
    assert figures(result(2, 0.75), result(1, 0.74)) == [("74.5 ± 0.7", "1, 2")]


@pytest.mark.parametrize(
    "change",
    [
        {"scale": {"cost": 0.01, "image": None, "batch": None}},
        {"scale": {"cost": 1.0, "image": 0.5, "batch": None}},
        {"overrides": "SOLVER.AMP.ENABLED True"},
        {"training": {"steps": 10, "batch_size": 32, "hours": 1.0, "peak_memory_mb": None}},
        {"protocol": {"resize": "short side 400", "scales": []}},
        {"test_images": 200},
    ],
    ids=["cost", "image", "overrides", "steps", "protocol", "images"],
)
def test_runs_that_cannot_be_compared_have_rows_of_their_own(change):
    results = result(1, 0.2, **change), result(2, 0.9), result(3, 0.9)
    assert figures(*results) == [("20.0", "1"), ("90.0 ± 0.0", "2, 3")]


def test_a_row_without_results_stands_there_once():
    assert figures() == [("", "")]
