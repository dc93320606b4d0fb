"""Names for weights that are in order but called otherwise."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from df2s2_d2.modeling.backbone.tensor_order import rename_in_order


def network(*names: str) -> nn.Sequential:
    conv, norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
    nn.init.normal_(norm.running_mean)
    network = nn.Sequential()
    for name, module in zip(names, (conv, norm), strict=True):
        network.add_module(name, module)
    return network


def test_a_network_with_other_names_computes_the_same():
    source, target = network("stem", "norm").eval(), network("conv1", "bn1").eval()
    images = torch.rand(2, 3, 5, 5)
    assert not torch.equal(source(images), target(images))
    target.load_state_dict(rename_in_order(source.state_dict(), target.state_dict()))
    assert torch.equal(source(images), target(images))


def test_another_number_of_tensors_is_refused():
    state = network("stem", "norm").state_dict()
    reference = dict(list(state.items())[:-1])
    with pytest.raises(ValueError, match="holds 7 tensors, the network has 6"):
        rename_in_order(state, reference)


def test_another_shape_is_refused():
    state = network("stem", "norm").state_dict()
    reference = {**state, "stem.weight": torch.zeros(4, 3, 3, 3)}
    with pytest.raises(ValueError, match=r"'stem.weight' with shape \(4, 3, 1, 1\)"):
        rename_in_order(state, reference)


def test_tensors_of_equal_shape_in_another_order_are_refused():
    reference = network("stem", "norm").state_dict()
    names = list(reference)
    mean, variance = names.index("norm.running_mean"), names.index("norm.running_var")
    names[mean], names[variance] = names[variance], names[mean]
    with pytest.raises(ValueError, match="'norm.running_var' .* 'norm.running_mean'"):
        rename_in_order({name: reference[name] for name in names}, reference)
