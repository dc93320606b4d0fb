"""torchvision's weights as a checkpoint that detectron2 loads."""

from __future__ import annotations

import sys
from pathlib import Path

import convert_torchvision_weights
import pytest
import torch
import torchvision
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.modeling import build_model
from torchvision.models.vgg import cfgs, make_layers

from df2s2_d2 import load_config
from df2s2_d2.modeling.backbone import load_pretrained

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.fixture
def run_script(monkeypatch, capsys):
    """``run_script(argument, ...)``: exit code, standard output and standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["convert_torchvision_weights.py", *map(str, arguments)])
        code = 0
        try:
            convert_torchvision_weights.main()
        except SystemExit as error:
            code = error.code
        return code, *capsys.readouterr()

    return run


def build_detector(*overrides) -> torch.nn.Module:
    config_file = str(CONFIGS / "DF2S2/small/Base-R18.yaml")
    return build_model(load_config(config_file, ["MODEL.FFP.OUT_CHANNELS", 16, *overrides]))


def torchvision_resnet18(path: Path) -> Path:
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), path)
    return path


def torchvision_vgg16(path: Path) -> Path:
    state = {f"features.{k}": x for k, x in make_layers(cfgs["D"]).state_dict().items()}
    # Expanded tensors, as the classifier itself has 500 MB.
    state["classifier.0.weight"] = torch.rand(4096, 1).expand(4096, 512 * 7 * 7)
    state["classifier.3.weight"] = torch.rand(4096, 1).expand(4096, 4096)
    state["classifier.0.bias"] = state["classifier.3.bias"] = torch.rand(4096)
    torch.save(state, path)
    return path


@pytest.mark.parametrize(
    ("write", "overrides"),
    [
        (torchvision_resnet18, []),
        (torchvision_vgg16, ["MODEL.BOTTOM_UP.NAME", "build_vgg16_backbone"]),
    ],
)
def test_a_detector_loads_what_was_converted(run_script, tmp_path, write, overrides):
    source, target = write(tmp_path / "source.pth"), tmp_path / "new" / "converted.pth"
    code, output, _ = run_script(source, target)
    assert code == 0 and str(target) in output

    detector = build_detector(*overrides)
    bottom_up = detector.backbone.bottom_up.network
    content = DetectionCheckpointer(detector).load(str(target))
    assert content == {}  # apart from the model, which was taken out of it
    assert torch.load(target, weights_only=True)["model"].keys() <= detector.state_dict().keys()
    loaded = {name: tensor.clone() for name, tensor in bottom_up.state_dict().items()}

    expected = build_detector(*overrides).backbone.bottom_up.network
    load_pretrained(expected, str(source))
    for name, tensor in expected.state_dict().items():
        assert torch.equal(loaded[name], tensor), name


def test_nothing_but_the_network_is_written(run_script, tmp_path):
    source = torchvision_vgg16(tmp_path / "vgg16.pth")
    run_script(source, tmp_path / "converted.pth")
    content = torch.load(tmp_path / "converted.pth", weights_only=True)
    assert content.keys() == {"model"}
    tensors = content["model"].values()
    # 13 convolutions, fc6 and fc7.
    num_values = 14_714_688 + 512 * 1024 * 9 + 1024 + 1024 * 1024 + 1024
    assert sum(tensor.numel() for tensor in tensors) == num_values
    # A view would be saved with the memory of the tensor that it is a part of.
    assert all(tensor.untyped_storage().nbytes() == 4 * tensor.numel() for tensor in tensors)


def test_errors_are_one_line(run_script, tmp_path):
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(1)}, other)
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(b"no state dict")
    source = torchvision_resnet18(tmp_path / "resnet18.pth")
    for arguments, message in [
        ((other, tmp_path / "out.pth"), f"{other}: it holds neither a ResNet"),
        ((damaged, tmp_path / "out.pth"), f"{damaged} is not a state dict"),
        ((tmp_path / "absent.pth", tmp_path / "out.pth"), "absent.pth"),
        ((source, tmp_path / "out.pkl"), "out.pkl: the checkpoint has to be called *.pth"),
        ((source, other / "out.pth"), "other.pth"),  # a file where a folder is needed
    ]:
        code, _, error = run_script(*arguments)
        assert code == 1
        assert len(error.splitlines()) == 1 and message in error
    assert not (tmp_path / "out.pth").exists()
