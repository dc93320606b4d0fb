"""Which layer is the first to give what is not finite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class NotFinite(NamedTuple):
    """A part of a model that gives numbers that are not finite.

    Attributes:
        name: of the part in the model.
        dtype: of these numbers.
    """

    name: str
    dtype: torch.dtype


def first_not_finite(model: nn.Module, run: Callable[[], Any]) -> NotFinite | None:
    """Run a model once more, and see what the first part is whose output is not finite.

    Parts within a part are looked at before it, so that of a product of two maps that are finite
    the part that multiplies them is named.

    Args:
        model: whose parts are watched.
        run: calls the model, or parts of it.

    Returns:
        None if all outputs are finite.
    """
    found: list[NotFinite] = []

    def look(part: nn.Module, inputs: tuple, output: Any, name: str) -> None:
        for tensor in () if found else _tensors(output):
            if tensor.is_floating_point() and not tensor.isfinite().all():
                found.append(NotFinite(name, tensor.dtype))
                return

    handles = [
        part.register_forward_hook(partial(look, name=name))
        for name, part in model.named_modules()
        if part is not model
    ]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def _tensors(output: Any) -> Iterator[Tensor]:
    """The tensors in dicts, lists and tuples."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, (Mapping, list, tuple)):
        for part in output.values() if isinstance(output, Mapping) else output:
            yield from _tensors(part)
