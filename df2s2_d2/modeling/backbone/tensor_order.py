"""Weights of a network that is written with other names, but in the same order."""

from __future__ import annotations

from torch import Tensor


def rename_in_order(state: dict[str, Tensor], reference: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of ``state`` the names of ``reference``, one by one in their order.

    Two implementations of a network that declare its layers in the same order have the same
    tensors in the same order, whatever they call them. As a check, every pair of tensors must have
    the same shape and the same last part of the name, such as ``running_var``: neighbouring
    tensors of batch norm have equal shapes.

    Args:
        state: tensors under other names.
        reference: of the network that is to take them, as its ``state_dict()`` gives them.

    Returns:
        The tensors of ``state`` under the names of ``reference``.

    Raises:
        ValueError: if the networks differ; names the first pair that does not fit.
    """
    if len(state) != len(reference):
        raise ValueError(
            f"it holds {len(state)} tensors, the network has {len(reference)}: it is of another "
            "network"
        )
    for (name, tensor), (other, expected) in zip(state.items(), reference.items(), strict=True):
        same_kind = name.rpartition(".")[2] == other.rpartition(".")[2]
        if not same_kind or tensor.shape != expected.shape:
            raise ValueError(
                f"its {name!r} with shape {tuple(tensor.shape)} stands where the network has "
                f"{other!r} with shape {tuple(expected.shape)}: it is of another network, or in "
                "another order"
            )
    return dict(zip(reference, state.values(), strict=True))
