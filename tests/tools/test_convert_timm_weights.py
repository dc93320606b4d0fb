"""ImageNet weights of other implementations under timm's names."""

from __future__ import annotations

import sys

import convert_timm_weights
import pytest
import torch

from df2s2_d2.modeling.backbone import TimmNetwork, load_pretrained

timm = pytest.importorskip("timm")
NAME = "mobilenetv3_small_050"


@pytest.fixture
def run_script(monkeypatch, capsys):
    """``run_script(argument, ...)``: exit code, standard output and standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["convert_timm_weights.py", *map(str, arguments)])
        code = 0
        try:
            convert_timm_weights.main()
        except SystemExit as error:
            code = error.code
        return code, *capsys.readouterr()

    return run


def test_a_network_loads_what_was_converted(run_script, tmp_path):
    torch.manual_seed(1)
    model = timm.create_model(NAME, pretrained=False).eval()
    other_names = {
        f"net.{k}.{name.rpartition('.')[2]}": x
        for k, (name, x) in enumerate(model.state_dict().items())
    }
    source, target = tmp_path / "other.pth", tmp_path / "new" / "timm.pth"
    torch.save(other_names, source)

    code, output, _ = run_script(source, target, "--name", NAME)
    assert code == 0 and f"{target}: {len(other_names)} tensors" in output

    torch.manual_seed(2)
    network = TimmNetwork(name=NAME, strides=[4, 8, 16, 32], in_channels=3)
    load_pretrained(network, str(target))
    loaded = network.features.state_dict()
    assert torch.equal(loaded["conv_stem.weight"], model.state_dict()["conv_stem.weight"])
    assert torch.equal(
        loaded["blocks.4.1.conv_dw.weight"], model.state_dict()["blocks.4.1.conv_dw.weight"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.pth", "out.pth"], "absent.pth"),
        (
            ["other.pth", "out.pth"],
            "other.pth does not fit timm's 'efficientnet_lite0': it holds 1",
        ),
        (["other.pth", "out.pth", "--name", "efficientnet_lite7"], "efficientnet_lite7"),
    ],
)
def test_what_cannot_be_converted_is_told_in_one_line(
    run_script, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": torch.zeros(1)}, "other.pth")
    code, _, error = run_script(*arguments)
    assert code == 1 and message in error and error.count("\n") == 1
    assert not (tmp_path / "out.pth").exists()
