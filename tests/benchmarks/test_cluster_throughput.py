"""What ten million photographs take is arithmetic on measured stages."""

from __future__ import annotations

import json

import pytest

from benchmarks import cluster_throughput
from benchmarks.cluster_throughput import RESULT, estimates, operations, tables


def document(**settings) -> dict:
    return {
        "environment": {"device": "a processor"},
        "settings": {
            **{"images": 100, "size": [1024, 768], "repeats": 3, "teraflops": 5.0},
            **{"gpu_cores": 16, "gpu_price": 2.5, "core_price": 0.04},
            **settings,
        },
        "results": {
            "images_per_second": {"one process": [4.0, 5.0, 9.0], "Ray, 2 workers": [8.0]},
            "stages_ms": {"fetch": 1.0, "decode": 14.0, "detect": 84.0, "write": 1.0},
            "operations": 10e9,
            "file_kb": 200.0,
        },
    }


def test_hours_and_dollars_are_those_worked_out_by_hand():
    # 5 TFLOP/s / 10 GFLOP = 500 images/s; 16 cores / 16 ms = 1,000: the GPU decides.
    found = {name: rest for name, *rest in estimates(document())}
    assert found["1 GPU, 16 cores"] == pytest.approx([500, 5.5556, 13.889, 100], rel=1e-3)
    assert found["64 GPUs, 1024 cores"] == pytest.approx([32000, 0.086806, 13.889, 6400], rel=1e-3)
    # 64 cores / 100 ms = 640 images/s, 4.34 hours of 64 cores at 0.04.
    assert found["64 cores without a GPU"] == pytest.approx([640, 4.3403, 11.111, 128], rel=1e-3)


def test_cores_decide_where_they_are_few():
    found = {name: speed for name, speed, *_ in estimates(document(gpu_cores=4))}
    assert found["8 GPUs, 32 cores"] == pytest.approx(8 * 250)


def test_speeds_stand_beside_that_of_one_process():
    assert "| Ray, 2 workers | 8.00 | 1.60 |" in tables(document())


def test_the_page_is_what_the_file_says():
    page = cluster_throughput.PAGE.read_text(encoding="utf-8")
    recorded = json.loads(RESULT.read_text(encoding="utf-8"))
    assert f"\n\n{tables(recorded)}\n\n" in page


def test_an_image_in_more_pixels_takes_more_operations():
    # Both are looked at in the same two sizes, but for the shape.
    assert operations((1024, 768)) == operations((2048, 1536))
    assert operations((1600, 768)) > operations((1024, 768)) > 1e9
