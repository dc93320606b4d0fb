"""Networks of timm as bottom-up networks."""

from __future__ import annotations

import sys

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from torch import Tensor, nn

from df2s2_d2.modeling.backbone import TimmNetwork, load_pretrained

# Each taken apart by timm in another way: by its own class, by stages, out of nested containers.
NETWORKS = ["mobilenetv3_small_050", "resnet18", "convnext_atto", "dpn48b"]


def timm_network(name: str, strides=(4, 8, 16, 32), in_channels: int = 3) -> TimmNetwork:
    pytest.importorskip("timm")
    torch.manual_seed(0)
    return TimmNetwork(name=name, strides=strides, in_channels=in_channels)


@pytest.fixture
def build(tiny_config):
    """``build(key, value, ...)``: the network that a config describes."""

    def build(*overrides) -> TimmNetwork:
        cfg = tiny_config("DF2S2/DF2S2_R50.yaml", *overrides)
        return BACKBONE_REGISTRY.get("build_timm_backbone")(cfg, ShapeSpec(channels=3))

    return build


def maps_of_whole_model(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """The last map of each stride that timm's model makes on its way to the classes."""
    maps = {}
    for info in model.feature_info:
        key = f"stride{info['reduction']}"
        module = model.get_submodule(info["module"])
        module.register_forward_hook(lambda _, __, x, key=key: maps.__setitem__(key, x))
    model(images)
    for key, x in maps.items():
        if isinstance(x, tuple):  # the two paths of a DPN
            maps[key] = torch.cat(x, dim=1)
        elif x.dim() == 3:  # (N, cells, C) of a transformer
            maps[key] = x.mT.unflatten(2, [side // int(key[6:]) for side in images.shape[2:]])
    return maps


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        *((name, (4, 8, 16, 32)) for name in NETWORKS),
        ("resnet18", (4, 8)),
        ("xcit_nano_12_p8_224", (8,)),  # timm leaves this model in one piece
    ],
)
def test_with_its_weights_maps_are_those_of_the_whole_model(tmp_path, name, strides):
    network = timm_network(name, strides).eval()
    model = pytest.importorskip("timm").create_model(name, pretrained=False).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # whose fresh statistics would not be missed
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    torch.save(model.state_dict(), tmp_path / "model.pth")
    load_pretrained(network, str(tmp_path / "model.pth"))
    images = torch.rand(2, 3, 96, 64)
    with torch.no_grad():
        maps, expected = network(images), maps_of_whole_model(model, images)
    shapes = network.output_shape()
    assert list(maps) == list(shapes) == [f"stride{stride}" for stride in strides]
    for stride, (key, x) in zip(strides, maps.items(), strict=True):
        assert x.shape == (2, shapes[key].channels, 96 // stride, 64 // stride)
        torch.testing.assert_close(x, expected[key])


@pytest.mark.parametrize(
    ("name", "channels", "num_parameters"),
    [
        ("legacy_seresnet101", [256, 512, 1024, 2048], 47_277_872),
        ("dpn98", [336, 768, 1728, 2688], 58_876_352),
        ("legacy_seresnext101_32x4d", [256, 512, 1024, 2048], 46_906_416),
    ],
)
def test_networks_of_the_paper(name, channels, num_parameters):
    network = timm_network(name)
    shapes = network.output_shape()
    assert [shape.channels for shape in shapes.values()] == channels
    assert [shape.stride for shape in shapes.values()] == [4, 8, 16, 32]
    assert sum(p.numel() for p in network.parameters()) == num_parameters
    assert network.size_divisibility == 32


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_gets_a_gradient(name):
    network = timm_network(name)
    assert all(module.training for module in network.modules())
    maps = network(torch.rand(2, 3, 64, 64))
    sum(x.sum() for x in maps.values()).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


def test_later_stages_and_classifier_are_not_built():
    whole = {name.split(".")[1] for name, _ in timm_network("resnet18").named_parameters()}
    short = timm_network("resnet18", strides=[4, 8])
    assert whole == {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}
    assert {n.split(".")[1] for n, _ in short.named_parameters()} == whole - {"layer3", "layer4"}
    assert short.size_divisibility == 8
    assert list(short(torch.rand(1, 3, 64, 64))) == ["stride4", "stride8"]


def test_images_of_other_channels():
    network = timm_network("mobilenetv3_small_050", in_channels=1).eval()
    assert network(torch.rand(1, 1, 64, 64))["stride32"].shape == (1, 288, 2, 2)


def test_checking_the_maps_leaves_no_trace():
    """The image that is run through a new network counts for none of its norms."""
    network = timm_network("resnet18")
    for name, tensor in network.state_dict().items():
        if name.endswith("running_mean") or name.endswith("num_batches_tracked"):
            assert tensor.eq(0).all(), name
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "strides", "message"),
    [
        ("seresnet_101", [4, 8], "MODEL.TIMM.NAME is 'seresnet_101'.*similar.*'seresnet101'"),
        ("", [4, 8], "MODEL.TIMM.NAME is ''.*list_models"),
        ("resnet18", [4, 16], r"MODEL.TIMM.STRIDES must double one by one, found \[4, 16\]"),
        ("resnet18", [], "MODEL.TIMM.STRIDES must double"),
        ("resnet18", [32, 64], r"MODEL.TIMM.STRIDES is \[32, 64\].*\[2, 4, 8, 16, 32\]"),
        ("vit_tiny_patch16_224", [4, 8], r"'vit_tiny_patch16_224'.*have strides \[16\]"),
        ("maxvit_rmlp_pico_rw_256", [4, 8, 16, 32], "MODEL.TIMM.NAME.*images of any size"),
        ("legacy_xception", [4, 8, 16, 32], r"map stride4 has shape \(1, 128, 15, 23\) instead"),
        ("mobilenetv3_small_050", [4, 8, 16], "'blocks.4.*no part in.*MODEL.TIMM.STRIDES"),
        ("cait_xxs24_224", [16], "MODEL.TIMM.NAME is 'cait_xxs24_224'"),
    ],
)
def test_unfit_networks_are_refused(build, name, strides, message):
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match=message):
        build("MODEL.TIMM.NAME", name, "MODEL.TIMM.STRIDES", strides)


@pytest.mark.parametrize("name", ["hf-hub:timm/resnet18", "local-dir:/tmp", "timm/resnet18"])
def test_nothing_is_looked_up_elsewhere(monkeypatch, name):
    timm = pytest.importorskip("timm")
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: pytest.fail("was asked for"))
    with pytest.raises(ValueError, match=f"MODEL.TIMM.NAME is '{name}', which timm"):
        timm_network(name)


def test_absent_timm_is_named_with_its_remedy(build, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"pip install 'df2s2_d2\[timm\]'"):
        build("MODEL.TIMM.NAME", "resnet18")


def test_levels_of_a_detector(tiny_config):
    """As a detector's bottom-up network its maps are c2 to c5."""
    pytest.importorskip("timm")
    cfg = tiny_config(
        "DF2S2/DF2S2_R50.yaml",
        *("MODEL.BOTTOM_UP.NAME", "build_timm_backbone", "MODEL.TIMM.NAME", "lcnet_050"),
    )
    backbone = BACKBONE_REGISTRY.get(cfg.MODEL.BACKBONE.NAME)(cfg, ShapeSpec(channels=3)).eval()
    images = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        maps, expected = backbone(images), backbone.bottom_up.network(images)
    for level in range(2, 6):
        assert torch.equal(maps[f"c{level}"], expected[f"stride{2**level}"])


def test_frozen_norms_keep_their_statistics_while_all_else_is_trained(build):
    overrides = ("MODEL.TIMM.NAME", "mobilenetv3_small_050", "MODEL.TIMM.FREEZE_NORM")
    images = torch.rand(2, 3, 64, 64)
    for frozen in (True, False):
        network = build(*overrides, frozen).train()
        norm = network.features.bn1
        mean = norm.running_mean.clone()
        sum(x.sum() for x in network(images).values()).backward()
        assert torch.equal(norm.running_mean, mean) == frozen
        assert norm.weight.grad is not None and network.features.conv_stem.weight.grad is not None
