"""ImageNet weights of torchvision and timm in bottom-up networks."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest
import torch
import torchvision
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from detectron2.modeling.backbone import build_resnet_backbone
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from df2s2_d2.modeling.backbone import VGG16, TimmNetwork, adapt_weights, load_pretrained


def torchvision_resnet(depth: int, name: str = "resnet{}") -> nn.Module:
    """Random weights, with statistics of its norms that are not those of a fresh network."""
    torch.manual_seed(0)
    network = getattr(torchvision.models, name.format(depth))(weights=None).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return network


def detectron_resnet(tiny_config, depth: int, *overrides) -> nn.Module:
    cfg = tiny_config(
        "DF2S2/DF2S2_R50.yaml",
        *("MODEL.RESNETS.DEPTH", depth, "MODEL.RESNETS.STEM_OUT_CHANNELS", 64),
        *("MODEL.RESNETS.RES2_OUT_CHANNELS", 64 if depth < 50 else 256),
        *("MODEL.RESNETS.WIDTH_PER_GROUP", 64),
        *overrides,
    )
    return build_resnet_backbone(cfg, ShapeSpec(channels=3)).eval()


def save(path: Path, content) -> str:
    torch.save(content, path)
    return str(path)


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def is_unchanged(network: nn.Module, before: dict[str, Tensor]) -> bool:
    return all(torch.equal(before[name], x) for name, x in network.state_dict().items())


# ResNets


@pytest.mark.parametrize(
    ("depth", "name", "overrides"),
    [
        (18, "resnet{}", ()),
        (50, "resnet{}", ()),
        (
            50,
            "resnext{}_32x4d",
            ("MODEL.RESNETS.NUM_GROUPS", 32, "MODEL.RESNETS.WIDTH_PER_GROUP", 4),
        ),
    ],
)
def test_maps_equal_those_of_torchvision(tiny_config, tmp_path, depth, name, overrides):
    source = torchvision_resnet(depth, name)
    network = detectron_resnet(tiny_config, depth, *overrides)
    load_pretrained(network, save(tmp_path / "resnet.pth", source.state_dict()))
    x = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        outputs = network(x)
        x = source.maxpool(source.relu(source.bn1(source.conv1(x))))
        for level in range(1, 5):
            x = getattr(source, f"layer{level}")(x)
            torch.testing.assert_close(outputs[f"res{level + 1}"], x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("depth", [101, 152])
def test_deep_resnets_are_filled_whole(tiny_config, tmp_path, depth):
    network = detectron_resnet(tiny_config, depth)
    for tensor in network.state_dict().values():
        tensor.fill_(7)
    state = getattr(torchvision.models, f"resnet{depth}")(weights=None).state_dict()
    state = {name: torch.zeros(()).expand(tensor.shape) for name, tensor in state.items()}
    load_pretrained(network, save(tmp_path / "resnet.pth", state))
    filled = [x for n, x in network.state_dict().items() if not n.endswith("num_batches_tracked")]
    assert all(tensor.eq(0).all() for tensor in filled)


@pytest.mark.parametrize("depth", [34, 50])
def test_weights_of_another_depth_are_refused(tiny_config, tmp_path, depth):
    path = save(tmp_path / "resnet.pth", torchvision_resnet(depth).state_dict())
    network = detectron_resnet(tiny_config, 18)
    before = snapshot(network)
    with pytest.raises(ValueError, match="resnet.pth.*RESNETS.DEPTH"):
        load_pretrained(network, path)
    assert is_unchanged(network, before)


def test_a_resnet_that_ends_early_takes_the_stages_it_has(tiny_config, tmp_path):
    source = torchvision_resnet(18)
    network = detectron_resnet(tiny_config, 18, "MODEL.RESNETS.OUT_FEATURES", ["res2", "res4"])
    load_pretrained(network, save(tmp_path / "resnet.pth", source.state_dict()))
    assert torch.equal(network.res4[1].conv2.weight, source.layer3[1].conv2.weight)


def test_incomplete_weights_are_refused(tiny_config, tmp_path):
    state = torchvision_resnet(18).state_dict()
    del state["layer3.1.bn2.running_var"]
    with pytest.raises(ValueError, match="res4.1.conv2.norm.running_var"):
        load_pretrained(detectron_resnet(tiny_config, 18), save(tmp_path / "resnet.pth", state))


def test_weights_of_another_width_are_refused(tiny_config, tmp_path):
    state = torchvision_resnet(18).state_dict()
    state["layer2.0.conv1.weight"] = state["layer2.0.conv1.weight"][:, :32]
    with pytest.raises(ValueError, match="res3.0.conv1.weight"):
        load_pretrained(detectron_resnet(tiny_config, 18), save(tmp_path / "resnet.pth", state))


# Files of any network


@pytest.mark.parametrize(
    "content",
    [{"model": {}}, [1, 2], torch.zeros(3), 7, {"layer1.0.conv1.weight": 3}],
    ids=["checkpoint", "list", "tensor", "number", "no tensors"],
)
def test_files_that_are_no_state_dict_are_refused(tiny_config, tmp_path, content):
    path = save(tmp_path / "other.pth", content)
    with pytest.raises(ValueError, match="other.pth"):
        load_pretrained(detectron_resnet(tiny_config, 18), path)


def test_a_damaged_file_is_refused(tiny_config, tmp_path):
    path = tmp_path / "damaged.pth"
    path.write_bytes(b"no state dict")
    with pytest.raises(ValueError, match="damaged.pth"):
        load_pretrained(detectron_resnet(tiny_config, 18), str(path))


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
    with pytest.raises(ValueError, match="trap.pth") as caught:
        load_pretrained(detectron_resnet(tiny_config, 18), str(path))
    assert len(str(caught.value)) < len(str(path)) + 200 and "\n" not in str(caught.value)
    assert not mark.exists()
    pickle.loads(pickle.dumps(_Trap(mark)))  # the trap is a real one
    assert mark.exists()


def test_files_of_another_layout_are_refused(tiny_config, tmp_path):
    path = save(tmp_path / "vgg.pth", torchvision_vgg16()[1])
    with pytest.raises(ValueError, match="vgg.pth.*not a ResNet.*'layer1.0.conv1.weight'"):
        load_pretrained(detectron_resnet(tiny_config, 18), path)
    path = save(tmp_path / "resnet.pth", torchvision_resnet(18).state_dict())
    with pytest.raises(ValueError, match="resnet.pth.*not a VGG16.*'features.0.bias' is missing"):
        load_pretrained(vgg16(), path)


def test_own_networks_are_loaded_once_they_register(tmp_path):
    class Own(Backbone):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1, bias=False)

        def forward(self, images):
            return {"map": self.conv(images)}

    path = save(tmp_path / "own.pth", {"w": torch.full((1, 1, 1, 1), 3.0)})
    network = Own()
    with pytest.raises(ValueError, match="own.pth.*into Own.*MODEL.WEIGHTS"):
        load_pretrained(network, path)
    adapt_weights.register(Own, lambda network, state: {"conv.weight": state["w"]})
    load_pretrained(network, path)
    assert network.conv.weight.item() == 3


# VGG16


def torchvision_vgg16(batch_norm: bool = False) -> tuple[nn.Sequential, dict[str, Tensor]]:
    """torchvision's convolutions and their weights as it names them, without the classifier."""
    torch.manual_seed(0)
    features = make_layers(cfgs["D"], batch_norm=batch_norm).eval()
    return features, {f"features.{name}": x for name, x in features.state_dict().items()}


def classifier(fc6: Tensor, fc7: Tensor) -> dict[str, Tensor]:
    """torchvision's classifier: ``fc6`` and ``fc7`` are expanded to its layers' shapes.

    An expanded tensor takes next to no memory, where the classifier itself has 500 MB.
    """
    channels = torch.arange(4096.0)
    return {
        "classifier.0.weight": fc6.expand(4096, 512 * 7 * 7),
        "classifier.0.bias": channels,
        "classifier.3.weight": fc7.expand(4096, 4096),
        "classifier.3.bias": -channels,
        "classifier.6.weight": torch.zeros(1, 1).expand(1000, 4096),
        "classifier.6.bias": torch.zeros(1000),
    }


def vgg16(**kwargs) -> VGG16:
    defaults = {"in_channels": 3, "width": 64, "fc6_dilation": 3, "freeze_at": 0}
    return VGG16(**{**defaults, "l2_norm_scales": [10.0, 8.0, 5.0], **kwargs})


def test_maps_equal_those_of_torchvisions_vgg16(tmp_path):
    features, state = torchvision_vgg16()
    network = vgg16(l2_norm_scales=[])
    load_pretrained(network, save(tmp_path / "vgg16.pth", state))
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        maps = network(x)
        for name, end in (("conv3", 16), ("conv4", 23), ("conv5", 30)):
            expected = features[:end](x)
            assert expected.std() > 0
            torch.testing.assert_close(maps[name], expected, rtol=1e-4, atol=1e-6)


def test_fc6_and_fc7_are_taken_from_the_classifier(tmp_path):
    """Every fourth channel, and every third tap of the rows and columns of fc6's 7x7 window."""
    rows = torch.arange(4096.0).unsqueeze(1)
    # Taps as (channel, row, column) in one number: 100 x channel + 10 x row + column.
    channel = torch.arange(512.0).reshape(-1, 1, 1)
    taps = 100 * channel + 10 * torch.arange(7.0).reshape(1, 7, 1) + torch.arange(7.0)
    features, network = torchvision_vgg16()[1], vgg16()

    state = {**features, **classifier(fc6=rows, fc7=rows)}
    load_pretrained(network, save(tmp_path / "outputs.pth", state))
    assert network.fc6.weight[:, 5, 1, 2].tolist() == list(range(0, 4096, 4))
    assert network.fc7.weight[:, 5, 0, 0].tolist() == list(range(0, 4096, 4))
    assert network.fc6.bias.tolist() == list(range(0, 4096, 4))
    assert network.fc7.bias.tolist() == [-value for value in range(0, 4096, 4)]

    state = {**features, **classifier(fc6=taps.reshape(1, -1), fc7=rows.T)}
    load_pretrained(network, save(tmp_path / "inputs.pth", state))
    assert network.fc6.weight[9, 0].tolist() == [[0, 3, 6], [30, 33, 36], [60, 63, 66]]
    assert network.fc6.weight[9, :, 0, 0].tolist() == list(range(0, 51200, 100))
    assert network.fc7.weight[9, :, 0, 0].tolist() == list(range(0, 4096, 4))
    # With its dilation of 3 each tap of the convolution lies where it lay in the 7x7 window.
    x = torch.zeros(1, 512, 7, 7)
    x[0, 20] = torch.rand(7, 7)
    expected = sum(taps[20, r, c] * x[0, 20, r, c] for r in (0, 3, 6) for c in (0, 3, 6))
    found = network.fc6(x)[0, :, 3, 3] - network.fc6.bias
    torch.testing.assert_close(found, expected.expand(1024), rtol=1e-4, atol=1e-2)

    assert network.l2_norms["conv3"].weight.eq(10).all()


@pytest.mark.parametrize("with_nan", [False, True])
def test_without_a_classifier_fc6_and_fc7_stay_as_they_are(tmp_path, with_nan):
    """Absent, or there in name only."""
    features, state = torchvision_vgg16()
    if with_nan:
        nan, zero = torch.tensor(torch.nan), torch.zeros(1, 1)
        state |= {name: nan.expand(x.shape) for name, x in classifier(zero, zero).items()}
    network = vgg16()
    before = snapshot(network)
    load_pretrained(network, save(tmp_path / "vgg16.pth", state))
    for layer in ("fc6", "fc7"):
        assert torch.equal(network.get_submodule(layer).weight, before[f"{layer}.weight"])
    assert torch.equal(network.blocks["conv5"][2].weight, features[28].weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("features.17.bias"), "'features.17.bias' is missing"),
        (lambda state: state.update(torchvision_vgg16(batch_norm=True)[1]), "is not part of one"),
        (
            lambda state: state.update({"features.28.weight": torch.zeros(512, 512, 1, 1)}),
            "'blocks.conv5.2.weight'.*MODEL.VGG.WIDTH",
        ),
        (
            lambda state: state.update({"classifier.0.weight": torch.zeros(8, 4)}),
            r"its classifier is not that of VGG16.*\(8, 4\)",
        ),
    ],
    ids=["incomplete", "batch norm", "shape", "classifier"],
)
def test_other_vgg_networks_are_refused(tmp_path, change, message):
    state, network = torchvision_vgg16()[1], vgg16()
    change(state)
    before = snapshot(network)
    with pytest.raises(ValueError, match=f"vgg.pth.*{message}"):
        load_pretrained(network, save(tmp_path / "vgg.pth", state))
    assert is_unchanged(network, before)


def test_weights_do_not_fit_a_narrower_vgg16(tmp_path):
    path = save(tmp_path / "vgg16.pth", torchvision_vgg16()[1])
    with pytest.raises(ValueError, match="blocks.conv1.0.bias.*MODEL.VGG.WIDTH"):
        load_pretrained(vgg16(width=8), path)


# Networks of timm


def timm_model(name: str) -> nn.Module:
    return pytest.importorskip("timm").create_model(name, pretrained=False).eval()


def timm_network(name: str) -> TimmNetwork:
    return TimmNetwork(name=name, strides=[4, 8, 16, 32], in_channels=3)


def test_safetensors_are_read_as_pickled_tensors_are(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    model, network = timm_model("lcnet_050"), timm_network("lcnet_050")
    safetensors.save_file(model.state_dict(), tmp_path / "model.safetensors")
    load_pretrained(network, str(tmp_path / "model.safetensors"))
    found = snapshot(network)
    load_pretrained(network, save(tmp_path / "model.pth", model.state_dict()))
    assert is_unchanged(network, found)
    assert torch.equal(found["features.conv_stem.weight"], model.conv_stem.weight)


def test_other_networks_of_timm_are_refused(tmp_path):
    """Even where a deeper one has a tensor for each of the network's."""
    state = timm_model("resnet34").state_dict()
    network = timm_network("resnet18")
    before = snapshot(network)
    with pytest.raises(ValueError, match="other.pth.*'layer1.2.*'resnet18'.*MODEL.TIMM.NAME"):
        load_pretrained(network, save(tmp_path / "other.pth", state))
    state = timm_model("resnet18").state_dict()
    del state["layer2.0.bn1.weight"]
    with pytest.raises(ValueError, match="'features.layer2.0.bn1.weight'.*absent in the file"):
        load_pretrained(network, save(tmp_path / "incomplete.pth", state))
    assert is_unchanged(network, before)


def test_safetensors_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match="pip install safetensors"):
        load_pretrained(vgg16(width=4), "model.safetensors")


def test_a_damaged_safetensors_file_is_refused(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="damaged.safetensors is not a state dict"):
        load_pretrained(vgg16(width=4), str(path))
    with pytest.raises(FileNotFoundError, match="absent.safetensors"):
        load_pretrained(vgg16(width=4), str(tmp_path / "absent.safetensors"))
