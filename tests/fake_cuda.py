"""A GPU that is none: tensors that say they are on one, and compute on the CPU.

What a real GPU would refuse, an operation on tensors of both devices, is noted; so is what would
make the host wait for it. Neither needs a GPU to be found.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
_ROOT = Path(__file__).resolve().parents[1]
aten = torch.ops.aten

# Operations whose result, or its shape, the host has to know.
_WAITING = {
    aten._local_scalar_dense.default,
    aten.equal.default,
    aten.masked_select.default,
    aten.nonzero.default,
    aten.repeat_interleave.Tensor,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.unique_consecutive.default,
}
_INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
_COPYING = {aten._to_copy.default, aten.copy_.default}


class CudaTensor(Tensor):
    """Says that it is on a GPU; ``host`` is the tensor on the CPU that it stands for."""

    # Subclasses of tensors are otherwise found by the functions that get them, too.
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, host: Tensor) -> CudaTensor:
        tensor = Tensor._make_wrapper_subclass(
            cls,
            host.shape,
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            device=CUDA,
        )
        tensor.host = host
        return tensor

    def __repr__(self) -> str:
        return f"CudaTensor({self.host})"

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        raise RuntimeError(f"{operation} ran outside of FakeCuda")


class FakeCuda(TorchDispatchMode):
    """Lets operations on :class:`CudaTensor` happen, and notes what a GPU would think of them.

    Attributes:
        mixed: operations on tensors of both devices, as "operation, place": number.
        waits: operations that the host waits for, likewise.
    """

    def __init__(self):
        super().__init__()
        # As modes of torch's own that fake devices: a plain one would ask the driver before.
        self._mode_key = torch._C._TorchDispatchModeKey.FAKE
        self.mixed: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self._pinned: list[Tensor] = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        on_gpu = any(isinstance(x, CudaTensor) for x in tensors)
        wanted = kwargs.get("device")
        result_on_gpu = on_gpu if wanted is None else torch.device(wanted).type == "cuda"
        if on_gpu:
            self._judge(operation, args, tensors)
        if operation in _COPYING:
            self._judge_copy(operation, args, kwargs, result_on_gpu)
        if result_on_gpu and wanted is not None:
            kwargs = {**kwargs, "device": CPU}
        result = operation(*tree_map(_on_host, args), **tree_map(_on_host, kwargs))
        if operation is aten._local_scalar_dense.default:
            return result
        if operation._schema.returns and all(
            x.alias_info is not None and x.alias_info.is_write for x in operation._schema.returns
        ):
            return kwargs.get("out", args[0])  # changed in place
        return tree_map(_on_gpu, result) if result_on_gpu else result

    def _judge(self, operation, args: tuple, tensors: list[Tensor]) -> None:
        # A number in a tensor of the host goes along with any operation.
        of_host = [x for x in tensors if not isinstance(x, CudaTensor) and x.dim()]
        if operation in _INDEXING:
            indices = [x for x in args[1] if x is not None]
            masks = any(x.dtype in (torch.bool, torch.uint8) for x in indices)
            if masks or any(not isinstance(x, CudaTensor) for x in indices):
                self.waits[self._describe(operation)] += 1
            of_host = [x for x in of_host if all(x is not index for index in indices)]
        if of_host and operation not in _COPYING:
            self.mixed[self._describe(operation)] += 1
        if operation in _WAITING:
            self.waits[self._describe(operation)] += 1

    def _judge_copy(self, operation, args: tuple, kwargs: dict, to_gpu: bool) -> None:
        if operation is aten.copy_.default:
            target, source = args[:2]
            to_gpu = isinstance(target, CudaTensor)
            without_waiting = len(args) > 2 and args[2]
        else:
            source, without_waiting = args[0], kwargs.get("non_blocking", False)
        if isinstance(source, CudaTensor) == to_gpu:
            return
        is_pinned = any(source is tensor for tensor in self._pinned)
        if not (to_gpu and is_pinned and without_waiting):
            self.waits[self._describe(operation)] += 1

    @staticmethod
    def _describe(operation) -> str:
        frame = sys._getframe(1)
        while frame is not None:
            path = Path(frame.f_code.co_filename)
            # An environment may lie in the project's folder: its libraries are not the project.
            is_ours = _ROOT in path.parents and "site-packages" not in path.parts
            if path != Path(__file__) and (is_ours or "detectron2" in path.parts):
                return f"{operation}, {'/'.join(path.parts[-2:])}:{frame.f_lineno}"
            frame = frame.f_back
        return f"{operation}, backward"

    def pin_memory(self, tensor: Tensor, *args: Any) -> Tensor:
        self._pinned.append(tensor)
        return tensor

    def to_list(self, tensor: Tensor) -> list:
        if isinstance(tensor, CudaTensor):
            self.waits[self._describe("tolist")] += 1
        return _TOLIST(_on_host(tensor))


_TOLIST = Tensor.tolist
_TENSOR = torch.tensor


def _tensor(data: Any, *, device: torch.device | str | None = None, **kwargs: Any) -> Tensor:
    """torch.tensor, which would look for a driver: a copy from the host, and it waits."""
    tensor = _TENSOR(data, **kwargs)
    return tensor if device is None else tensor.to(device)


def _new_tensor(like: Tensor, data: Any, **kwargs: Any) -> Tensor:
    return _tensor(data, **{"dtype": like.dtype, "device": like.device, **kwargs})


def _on_host(x: Any) -> Any:
    return x.host if isinstance(x, CudaTensor) else x


def _on_gpu(x: Any) -> Any:
    return CudaTensor(x) if isinstance(x, Tensor) and not isinstance(x, CudaTensor) else x


@contextmanager
def fake_cuda() -> Iterator[FakeCuda]:
    """As long as it lasts there is a GPU that takes what :func:`moved` brings to it."""
    torch._C._ensureCUDADeviceGuardSet()
    gpu = FakeCuda()
    with (
        mock.patch.object(Tensor, "pin_memory", lambda x, *args: gpu.pin_memory(x, *args)),
        # The shape of a subclass does not change in place; detectron2 uses what this returns.
        mock.patch.object(Tensor, "unsqueeze_", Tensor.unsqueeze),
        mock.patch.object(torch, "tensor", _tensor),
        mock.patch.object(Tensor, "new_tensor", _new_tensor),
        mock.patch.object(Tensor, "tolist", lambda x: gpu.to_list(x)),
        torch.backends.cudnn.flags(enabled=False),
        gpu,
    ):
        yield gpu


def moved(model: nn.Module) -> nn.Module:
    """The model, changed in place, with parameters and buffers on the GPU."""
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(
                    CudaTensor(parameter.detach()), requires_grad=parameter.requires_grad
                )
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = CudaTensor(buffer)
    return model
