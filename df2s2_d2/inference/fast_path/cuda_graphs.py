"""Functions on a GPU whose kernels are launched all at once instead of one by one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

Outputs = tuple[Tensor, ...]
Function = Callable[..., Outputs]


class CudaGraph:
    """What a function does on a GPU with inputs of certain shapes, recorded.

    Args:
        function: of tensors; it never waits for the GPU.
        inputs: examples, all on one GPU.
        pool: the memory that graphs work in which never run at the same time.
    """

    def __init__(self, function: Function, inputs: tuple[Tensor, ...], pool: object):
        self._device = inputs[0].device
        self._inputs = tuple(x.clone() for x in inputs)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device):
            # Libraries choose their algorithms and take their memory in the first calls, which may
            # wait for the GPU; that cannot be recorded.
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    function(*self._inputs)
            torch.cuda.current_stream().wait_stream(stream)
            # Other threads may meanwhile use the GPU, such as loaders that pin memory.
            with torch.cuda.graph(
                self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"
            ):
                self._outputs = function(*self._inputs)

    def __call__(self, *inputs: Tensor) -> Outputs:
        with torch.cuda.device(self._device):
            for held, given in zip(self._inputs, inputs, strict=True):
                held.copy_(given)
            self._graph.replay()
            # Copies, for the next call of any graph of the pool overwrites the outputs.
            return tuple(x.clone() for x in self._outputs)


class GraphedFunction:
    """A function of tensors that runs as a CUDA graph for the shapes that it often gets.

    A graph is recorded when a shape comes a second time: images of ever other sizes would cost
    more to record than they gain. The graphs of the shapes used last are kept. They share the
    memory that they work in, so that it is what the largest needs; where there is not even that,
    the function runs as it is.

    Args:
        function: of tensors on a GPU, giving a tuple of tensors; it never waits for the GPU, and
            does the same for all inputs of one shape.
        max_graphs: that are kept.
        record: makes a graph, see :class:`CudaGraph`.
    """

    def __init__(
        self,
        function: Function,
        max_graphs: int = 8,
        record: Callable[[Function, tuple[Tensor, ...], object], Function] = CudaGraph,
    ):
        self.function = function
        self.max_graphs = max_graphs
        self._record = record
        self._pool = torch.cuda.graph_pool_handle() if torch.cuda.is_available() else None
        # Shapes by last use, the latest at the end; None for one without a graph.
        self._graphs: OrderedDict[tuple, Function | None] = OrderedDict()

    def __call__(self, *inputs: Tensor) -> Outputs:
        key = tuple((x.shape, x.dtype, x.stride()) for x in inputs)
        is_known = key in self._graphs
        graph = self._graphs.setdefault(key, None)
        self._graphs.move_to_end(key)
        if len(self._graphs) > self.max_graphs:
            self._graphs.popitem(last=False)
        if is_known and graph is None:
            try:
                graph = self._graphs[key] = self._record(self.function, inputs, self._pool)
            except torch.OutOfMemoryError:
                pass
        return (graph or self.function)(*inputs)
