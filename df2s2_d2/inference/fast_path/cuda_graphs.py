"""Functions on a GPU whose kernels are launched all at once instead of one by one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Outputs = tuple[Tensor, ...]


class _Graph(NamedTuple):
    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    outputs: Outputs


def capture(function: Callable[..., Outputs], inputs: tuple[Tensor, ...]) -> _Graph:
    """Record what a function does on the GPU with inputs of these shapes."""
    inputs = tuple(x.clone() for x in inputs)
    # Libraries choose their algorithms and take their memory in the first calls, which may wait
    # for the GPU; that cannot be recorded.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            function(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = function(*inputs)
    return _Graph(graph, inputs, outputs)


class GraphedFunction:
    """A function of tensors that runs as a CUDA graph for the shapes that it often gets.

    A graph is recorded when a shape comes a second time: images of ever other sizes would cost
    more to record than they gain. The graphs of the shapes used last are kept, with the memory
    that they work in, so that memory does not grow with the number of shapes.

    Args:
        function: of tensors on a GPU, giving a tuple of tensors; it never waits for the GPU, and
            does the same for all inputs of one shape. What it gives is to be used before it is
            called again.
        max_graphs: that are kept.
        capture: records a graph.
    """

    def __init__(
        self,
        function: Callable[..., Outputs],
        max_graphs: int = 8,
        capture: Callable[[Callable[..., Outputs], tuple[Tensor, ...]], _Graph] = capture,
    ):
        self.function = function
        self.max_graphs = max_graphs
        self._capture = capture
        # Shapes by last use, the latest at the end; None for one that came once.
        self._graphs: OrderedDict[tuple, _Graph | None] = OrderedDict()

    def __call__(self, *inputs: Tensor) -> Outputs:
        key = tuple((x.shape, x.dtype, x.stride()) for x in inputs)
        if key not in self._graphs:
            self._remember(key, None)
            return self.function(*inputs)
        if self._graphs[key] is None:
            self._graphs[key] = self._capture(self.function, inputs)
        graph = self._graphs[key]
        self._remember(key, graph)
        for held, given in zip(graph.inputs, inputs, strict=True):
            held.copy_(given)
        graph.graph.replay()
        return graph.outputs

    def _remember(self, key: tuple, graph: _Graph | None) -> None:
        self._graphs[key] = graph
        self._graphs.move_to_end(key)
        if len(self._graphs) > self.max_graphs:
            self._graphs.popitem(last=False)
