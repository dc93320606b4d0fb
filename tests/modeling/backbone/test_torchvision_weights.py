"""torchvision's ResNet weights in detectron2's ResNets."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
import torchvision
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import build_resnet_backbone
from torch import nn

from df2s2_d2.modeling.backbone.torchvision_weights import load_torchvision_resnet


def torchvision_resnet(depth: int) -> nn.Module:
    """Random weights, with statistics of its norms that are not those of a fresh network."""
    torch.manual_seed(0)
    network = getattr(torchvision.models, f"resnet{depth}")(weights=None).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return network


def detectron_resnet(tiny_config, depth: int) -> nn.Module:
    cfg = tiny_config(
        "DF2S2/DF2S2_R50.yaml",
        *("MODEL.RESNETS.DEPTH", depth, "MODEL.RESNETS.STEM_OUT_CHANNELS", 64),
        *("MODEL.RESNETS.RES2_OUT_CHANNELS", 64 if depth < 50 else 256),
        *("MODEL.RESNETS.WIDTH_PER_GROUP", 64),
    )
    return build_resnet_backbone(cfg, ShapeSpec(channels=3)).eval()


def save(path: Path, content) -> str:
    torch.save(content, path)
    return str(path)


@pytest.mark.parametrize("depth", [18, 50])
def test_maps_equal_those_of_torchvision(tiny_config, tmp_path, depth):
    source, network = torchvision_resnet(depth), detectron_resnet(tiny_config, depth)
    load_torchvision_resnet(network, save(tmp_path / "resnet.pth", source.state_dict()))
    x = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        outputs = network(x)
        x = source.maxpool(source.relu(source.bn1(source.conv1(x))))
        for level in range(1, 5):
            x = getattr(source, f"layer{level}")(x)
            torch.testing.assert_close(outputs[f"res{level + 1}"], x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("depth", [34, 50])
def test_weights_of_another_depth_are_refused(tiny_config, tmp_path, depth):
    path = save(tmp_path / "resnet.pth", torchvision_resnet(depth).state_dict())
    network = detectron_resnet(tiny_config, 18)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ValueError, match="resnet.pth.*RESNETS.DEPTH"):
        load_torchvision_resnet(network, path)
    assert all(torch.equal(before[name], x) for name, x in network.state_dict().items())


def test_incomplete_weights_are_refused(tiny_config, tmp_path):
    state = torchvision_resnet(18).state_dict()
    del state["layer3.1.bn2.running_var"]
    with pytest.raises(ValueError, match="res4.1.conv2.norm.running_var"):
        load_torchvision_resnet(
            detectron_resnet(tiny_config, 18), save(tmp_path / "resnet.pth", state)
        )


def test_weights_of_another_width_are_refused(tiny_config, tmp_path):
    state = torchvision_resnet(18).state_dict()
    state["layer2.0.conv1.weight"] = state["layer2.0.conv1.weight"][:, :32]
    with pytest.raises(ValueError, match="res3.0.conv1.weight"):
        load_torchvision_resnet(
            detectron_resnet(tiny_config, 18), save(tmp_path / "resnet.pth", state)
        )


@pytest.mark.parametrize(
    "content",
    [{"model": {}}, [1, 2], torch.zeros(3), 7, {"layer1.0.conv1.weight": 3}],
    ids=["checkpoint", "list", "tensor", "number", "no tensors"],
)
def test_files_that_are_no_state_dict_are_refused(tiny_config, tmp_path, content):
    path = save(tmp_path / "other.pth", content)
    with pytest.raises(ValueError, match="other.pth"):
        load_torchvision_resnet(detectron_resnet(tiny_config, 18), path)


def test_a_damaged_file_is_refused(tiny_config, tmp_path):
    path = tmp_path / "damaged.pth"
    path.write_bytes(b"no state dict")
    with pytest.raises(ValueError, match="damaged.pth"):
        load_torchvision_resnet(detectron_resnet(tiny_config, 18), str(path))


class _Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("dump", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x))])
def test_a_pickle_that_would_run_code_is_refused(tiny_config, tmp_path, dump):
    mark = tmp_path / "executed"
    path = tmp_path / "trap.pth"
    dump({"layer1.0.conv1.weight": _Trap(mark)}, path)
    with pytest.raises(ValueError, match="trap.pth"):
        load_torchvision_resnet(detectron_resnet(tiny_config, 18), str(path))
    assert not mark.exists()
    pickle.loads(pickle.dumps(_Trap(mark)))  # the trap is a real one
    assert mark.exists()
