"""How processes compare, and the step that each of them takes."""

from __future__ import annotations

from multiprocessing import Pipe

import pytest
import torch

from benchmarks import make_table, scaling
from tests.benchmarks.test_benchmarks import SMALL


def test_kinds_are_compared_turn_by_turn():
    samples = {
        scaling.ALONE: [(1.0, 0.5), (2.0, 0.5), (4.0, 0.5)],
        scaling.BESIDE: [(1.0, 1.0), (2.0, 1.0), (5.0, 1.2)],
        scaling.TOGETHER: [(1.25, 1.5), (4.0, 1.5), (8.0, 1.6)],
        "again": [(1.0, 0.5), (3.0, 0.5), (4.0, 0.5)],
    }
    results = scaling.summarize(samples, processes=2, batch_size=4)
    alone, beside, together = results["rows"]
    assert (alone["processes"], beside["processes"], together["processes"]) == (1, 2, 2)
    assert (alone["speedup"], beside["speedup"], together["speedup"]) == (1.0, 2.0, 1.0)
    # Medians: two seconds for four images, four for eight; half a second and 1.5 of processors.
    assert (alone["images_per_second"], together["images_per_second"]) == (2.0, 2.0)
    assert alone["processor_ms_per_image"] == 125.0
    assert together["processor_ms_per_image"] == 187.5
    assert results["noise"] == 0.5
    document = {
        "benchmark": "scaling",
        "environment": {"device": "CPU", "torch": "2", "device_type": "cpu", "cpu_threads": 1},
        "settings": {},
        "results": results | {"config": SMALL, "size": 96, "gradient_mb": 47.7},
    }
    table = make_table.to_markdown(document)
    assert (
        "| Base-R18 | 96 x 96 | 4 | 47.7 | 2 | together | 4000 | 2 | 1.00 | 188 | 50.0% |" in table
    )


def test_a_process_takes_as_many_steps_as_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # of this process
    options = ["--config-file", SMALL, "--size", "64", "--batch-size", "1", "--faces", "2"]
    ours, theirs = Pipe()
    for wanted in (True, True, False):
        ours.send(wanted)
    steps = []
    build = scaling.build_training_step

    def build_watched(args, seed):
        step = build(args, seed)
        run = step.run_step
        step.run_step = lambda: (steps.append(seed), run())
        return step

    monkeypatch.setattr(scaling, "build_training_step", build_watched)
    scaling.work(0, 1, "", scaling.parse_arguments(options), theirs)
    received = [ours.recv() for _ in range(3)]
    assert steps == [0, 0] and not ours.poll()
    assert received[0] == pytest.approx(47.7e6, rel=0.01)  # bytes of the gradients of a ResNet-18
    assert min(received[1:]) > 0
