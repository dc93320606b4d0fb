from __future__ import annotations

import pytest
import torch
from detectron2.modeling import build_model

from df2s2_d2.inference.trained_weights import (
    check_weights_file,
    load_trained,
    read_checkpoint,
    without_training_parts,
)


@pytest.fixture
def model(checkpoint_config):
    return build_model(without_training_parts(checkpoint_config))


@pytest.fixture
def changed(checkpoint, tmp_path):
    """Function that saves the checkpoint's weights with some changed (None: left out)."""

    def save(**changes) -> str:
        weights = dict(read_checkpoint(checkpoint)["model"])
        for name, value in changes.items():
            name = name.replace("__", ".")
            weights.pop(name) if value is None else weights.update({name: value})
        torch.save({"model": weights}, tmp_path / "changed.pth")
        return str(tmp_path / "changed.pth")

    return save


def test_all_weights_are_loaded_but_those_of_training(checkpoint, model):
    assert model.first_shot is None and model.shot.head.mask_logits is None
    load_trained(model, checkpoint)
    saved = read_checkpoint(checkpoint)["model"]
    assert any("first_shot" in name for name in saved)
    assert all(torch.equal(saved[name], value) for name, value in model.state_dict().items())


def test_state_dicts_alone_and_old_archives_are_loaded_too(checkpoint, model, tmp_path):
    weights = read_checkpoint(checkpoint)["model"]
    path = str(tmp_path / "old.pth")
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    load_trained(model, path)
    name = "head.head.face_logits.weight"
    assert torch.equal(model.state_dict()[name], weights[name])


def test_a_detector_in_training_gets_the_weights_of_training_too(
    checkpoint, checkpoint_config, changed
):
    model = build_model(checkpoint_config)
    load_trained(model, checkpoint)
    saved = read_checkpoint(checkpoint)["model"]
    assert saved.keys() == model.state_dict().keys()
    assert all(torch.equal(saved[name], value) for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match="it lacks head.head.mask_logits.bias"):
        load_trained(model, changed(head__head__mask_logits__bias=None))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head__head__face_logits__bias": None}, "it lacks head.head.face_logits.bias"),
        ({"neck__other": torch.zeros(1)}, "there is no place for neck.other"),
        (
            {"head__head__box_deltas__bias": torch.zeros(2)},
            "other shapes have head.head.box_deltas.bias",
        ),
    ],
)
def test_weights_of_another_detector_are_refused_by_name(changed, model, changes, words):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=words) as caught:
        load_trained(model, changed(**changes))
    assert "changed.pth" in str(caught.value) and "give the config" in str(caught.value)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_many_differences_are_told_by_a_few(model, tmp_path):
    torch.save({}, tmp_path / "empty.pth")
    with pytest.raises(ValueError, match=r"it lacks \S+, \S+, \S+, \.\.\.\)"):
        load_trained(model, str(tmp_path / "empty.pth"))


class Code:
    def __reduce__(self):
        return print, ("code has run",)


def test_what_is_no_checkpoint_is_named_and_runs_nothing(tmp_path, capsys):
    contents = {"text.pth": b"no checkpoint", "empty.pth": b"", "cut.pth": b"PK\x03\x04"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    torch.save({"model": Code()}, tmp_path / "code.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    for name in (*contents, "code.pth", "list.pth"):
        with pytest.raises(ValueError, match=f"{name} is no checkpoint"):
            read_checkpoint(str(tmp_path / name))
    assert "code has run" not in capsys.readouterr().out


def test_torchscript_is_told_from_other_files(tmp_path, recwarn):
    torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.zeros(1)), tmp_path / "a.pt")
    recwarn.clear()
    with pytest.raises(ValueError, match=r"a\.pt is no checkpoint but TorchScript, .* to .onnx or"):
        read_checkpoint(str(tmp_path / "a.pt"))
    assert not recwarn


def test_files_are_checked_before_they_are_read(tmp_path):
    check_weights_file("MODEL.WEIGHTS", "")
    with pytest.raises(FileNotFoundError, match="KEY is '.*absent.pth', but there is no such file"):
        check_weights_file("KEY", str(tmp_path / "absent.pth"))
    with pytest.raises(ValueError, match="KEY is 'a.pkl': pickles are not loaded"):
        check_weights_file("KEY", "a.pkl")
    # The weights of a bottom-up network alone are no model with a name.
    check_weights_file("KEY", "faces-small")
    with pytest.raises(FileNotFoundError, match="KEY is 'faces-small', but .*ImageNet weights"):
        check_weights_file("KEY", "faces-small", is_model=False)


@pytest.mark.parametrize("scheme", ["http", "https", "ftp", "detectron2", "catalog"])
def test_nothing_is_downloaded_unasked(scheme):
    address = f"{scheme}://models.example/a.pth"
    with pytest.raises(ValueError, match=f"KEY is '{address}': nothing is downloaded unasked"):
        check_weights_file("KEY", address)


def test_a_checkpoint_whose_model_is_something_else_is_refused(model, tmp_path):
    torch.save({"model": [1, 2]}, tmp_path / "model.pth")
    with pytest.raises(ValueError, match="its 'model' is a list"):
        load_trained(model, str(tmp_path / "model.pth"))


def test_places_before_the_start_of_a_file_are_a_fault_of_the_file(tmp_path, monkeypatch):
    """As damaged archives state them; the system's error then names no file."""
    torch.save({"model": {}}, tmp_path / "a.pth")

    def load(*_, **__):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(ValueError, match=r"a\.pth is no checkpoint"):
        read_checkpoint(str(tmp_path / "a.pth"))
