"""What ten million photographs take is arithmetic on measured stages."""

from __future__ import annotations

import pytest

from benchmarks.cluster_estimates import estimates
from benchmarks.cluster_throughput import operations
from benchmarks.make_table import to_markdown


def document(**settings) -> dict:
    return {
        "benchmark": "cluster_throughput",
        "environment": {"device": "a CPU", "device_type": "cpu", "torch": "2", "cpu_threads": 1},
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


def rows_of(document: dict) -> list[tuple]:
    return list(estimates(document["results"], document["settings"]))


def test_hours_and_dollars_are_those_worked_out_by_hand():
    # 5 TFLOP/s / 10 GFLOP = 500 images/s; 16 cores / 16 ms = 1,000: the GPU decides.
    found = {name: rest for name, *rest in rows_of(document())}
    assert found["1 GPU, 16 cores"] == pytest.approx([500, 5.5556, 13.889, 100], rel=1e-3)
    assert found["64 GPUs, 1024 cores"] == pytest.approx([32000, 0.086806, 13.889, 6400], rel=1e-3)
    # 64 cores / 100 ms = 640 images/s, 4.34 hours of 64 cores at 0.04.
    assert found["64 cores without a GPU"] == pytest.approx([640, 4.3403, 11.111, 128], rel=1e-3)


def test_cores_decide_where_they_are_few():
    found = {name: speed for name, speed, *_ in rows_of(document(gpu_cores=4))}
    assert found["8 GPUs, 32 cores"] == pytest.approx(8 * 250)


def test_speeds_stand_beside_that_of_one_process():
    assert "| Ray, 2 workers | 8.00 | 1.60 |" in to_markdown(document())


def test_an_image_in_more_pixels_takes_more_operations():
    # Both are looked at in the same two sizes, but for the shape.
    assert operations((1024, 768)) == operations((2048, 1536))
    assert operations((1600, 768)) > operations((1024, 768)) > 1e9
