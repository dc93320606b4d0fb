"""The cost of the papers' schedules is arithmetic on measured figures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks import cluster_cost
from benchmarks.cluster_cost import measured_speed, training_pixels
from benchmarks.make_table import RESULTS
from df2s2_d2 import load_config


def cells(text: str, config: str) -> list[str]:
    (line,) = [x for x in text.splitlines() if x.startswith(f"| `{config}` |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_page_is_what_the_files_say():
    assert cluster_cost.PAGE.read_text(encoding="utf-8") == cluster_cost.page()


def test_hours_are_those_worked_out_by_hand():
    # 103.754 GMAC at 480 x 640, so 138.34 at 640 x 640, six operations each: 0.830 TFLOP; 48,300
    # steps of 32 images at 50 TFLOP/s take 7.13 hours.
    row = cells(cluster_cost.page(teraflops=50), "DF2S2/DF2S2_R50")
    assert row[1:3] == ["48,300 x 32", "0.83"]
    assert row[4:7] == ["7.1", "1.8", "0.9"]
    assert row[8] == str(round(8 * 50 / 0.830036))
    assert cells(cluster_cost.page(teraflops=100), "DF2S2/DF2S2_R50")[4] == "3.6"


def test_sizes_are_those_of_training():
    assert training_pixels(load_config("DF2S2/DF2S2_R50.yaml")) == 640**2
    whole = load_config("DF2S2/ablations/Seg_R50.yaml")
    assert training_pixels(whole) == pytest.approx(800**2 * 4 / 3)


def test_a_gpu_that_was_measured_takes_the_place_of_the_assumed_one(tmp_path: Path):
    results = Path(shutil.copytree(RESULTS, tmp_path / "results"))
    document = json.loads((results / "training_cpu.json").read_text())
    document["environment"] |= {"device_type": "cuda", "device": "A GPU"}
    (ours, theirs) = document["results"][:2]
    ours |= {"images_per_second": 200.0, "size": 640, "batch_size": 16, "working_memory_mb": 8000.0}
    theirs |= {"images_per_second": 900.0, "size": 640}
    (results / "training_gpu.json").write_text(json.dumps(document))
    text = cluster_cost.page(results)
    assert "- GPU: A GPU." in text and "assumed" not in text
    row = cells(text, "DF2S2/DF2S2_R50")
    # 48,300 x 32 images at 200 a second; 0.5 GB an image, eight of them, and 37.9 M numbers thrice.
    assert row[4] == "2.1" and row[8] == "1600"
    assert row[7] == str(round(0.5 * 8 + 37.9e6 * 12 / 1e9))


def test_the_fastest_step_of_this_project_counts():
    rows = [
        {"model": "df2s2_d2", "images_per_second": speed, "size": size, "batch_size": 2}
        | {"config": "configs/a.yaml", "working_memory_mb": 10.0}
        for speed, size in ((4.0, 100), (2.0, 200))
    ]
    environment = {"device": "A", "device_type": "cpu", "cpu_threads": 2}
    speed = measured_speed({"results": rows, "environment": environment}, {"a.yaml": 3.0})
    assert speed.operations == 2.0 * 3.0 * 200**2
    assert speed.name == "A, 2 threads"
    assert speed.bytes_per_operation == pytest.approx(10e6 / (2 * 3.0 * 200**2))
