"""Which calls run as a graph, and how many graphs are kept; graphs stand in for CUDA's."""

from __future__ import annotations

import torch
from torch import Tensor

from df2s2_d2.inference.fast_path.cuda_graphs import GraphedFunction


class Recorder:
    """Records graphs that do what the function does, and counts what they do."""

    def __init__(self, has_memory: bool = True) -> None:
        self.captured: list[tuple] = []
        self.replays = 0
        self.has_memory = has_memory

    def __call__(self, function, inputs, pool):
        self.captured.append(tuple(x.shape for x in inputs))
        if not self.has_memory:
            raise torch.OutOfMemoryError("no room")

        def replay(*inputs: Tensor) -> tuple[Tensor, ...]:
            self.replays += 1
            return function(*inputs)

        return replay


def doubled(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return 2 * x, 2 * y


def test_a_shape_that_comes_again_runs_as_a_graph_with_equal_results():
    recorder = Recorder()
    graphed = GraphedFunction(doubled, record=recorder)
    for call in range(4):
        x, y = torch.full((2, 3), float(call)), torch.full((5,), call)
        for result, expected in zip(graphed(x, y), doubled(x, y), strict=True):
            assert torch.equal(result, expected)
    assert recorder.captured == [((2, 3), (5,))]
    assert recorder.replays == 3


def test_shapes_that_come_once_are_never_recorded():
    recorder = Recorder()
    graphed = GraphedFunction(doubled, max_graphs=4, record=recorder)
    for size in range(1, 100):
        graphed(torch.ones(size), torch.ones(1))
    assert recorder.captured == []
    assert len(graphed._graphs) == 4


def test_the_graphs_used_last_are_kept():
    recorder = Recorder()
    graphed = GraphedFunction(doubled, max_graphs=2, record=recorder)

    def call(*sizes: int) -> None:
        for size in sizes:
            graphed(torch.ones(size), torch.ones(1))

    call(1, 1, 2, 2, 1)
    call(3, 3)  # 2 was used longest ago
    call(1)
    assert [shapes[0] for shapes in recorder.captured] == [(1,), (2,), (3,)]
    call(2, 2)
    assert [shapes[0] for shapes in recorder.captured] == [(1,), (2,), (3,), (2,)]


def test_types_and_layouts_are_told_apart():
    recorder = Recorder()
    graphed = GraphedFunction(doubled, record=recorder)
    x = torch.ones(2, 3, 4, 5)
    for variant in (x, x.double(), x.contiguous(memory_format=torch.channels_last)):
        for _ in range(2):
            result, _ = graphed(variant, torch.ones(1))
            assert result.dtype == variant.dtype
    assert len(recorder.captured) == 3


def test_without_memory_for_a_graph_the_function_runs_as_it_is():
    recorder = Recorder(has_memory=False)
    graphed = GraphedFunction(doubled, record=recorder)
    x, y = torch.ones(2), torch.ones(3)
    for _ in range(3):
        assert torch.equal(graphed(x, y)[1], 2 * y)
    assert recorder.captured and not recorder.replays
