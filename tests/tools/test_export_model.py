"""A checkpoint becomes a file that finds the same faces."""

from __future__ import annotations

import sys
from pathlib import Path

import export_model
import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.models import random_images
from df2s2_d2.inference import export
from tests.tiny_detectors import calibrate, tiny_config, tiny_detector

CONFIG = ["DF2S2/DF2S2_R50.yaml", "INPUT.MIN_SIZE_TEST", 160, "TEST.AUG.ENABLED", True]
CONFIG += ["MODEL.FACE_DETECTOR.SCORE_THRESH_TEST", 0.1]


@pytest.fixture
def run_script(monkeypatch, capsys):
    """``run_script(argument, ...)``: exit code, standard output and standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["export_model.py", *map(str, arguments)])
        code = 0
        try:
            export_model.main()
        except SystemExit as error:
            code = error.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Folder with a checkpoint, one without its config, that config, and a photograph."""
    folder = tmp_path_factory.mktemp("files")
    detector = tiny_detector(*CONFIG)
    calibrate(detector, random_images(2, (256, 256)))
    state, config = detector.state_dict(), tiny_config(*CONFIG).dump()
    torch.save({"model": state, "config": config}, folder / "model.pth")
    torch.save({"model": state}, folder / "bare.pth")
    (folder / "tiny.yaml").write_text(config)
    (image,) = random_images(1, (120, 200), seed=2)
    Image.fromarray(np.asarray(image.permute(1, 2, 0))).save(folder / "photo.png")
    return folder


@pytest.mark.parametrize("suffix", [".onnx", ".pt"])
def test_a_checkpoint_becomes_a_file_that_is_checked(run_script, files, tmp_path, suffix):
    output = tmp_path / "new" / f"faces{suffix}"
    code, out, err = run_script(
        "--weights", files / "model.pth", "--output", output, "--check", files / "photo.png"
    )
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0] == f"{output}: {output.stat().st_size / 1e6:.1f} MB"
    assert "input    images (N, 3, H, W) uint8" in lines
    assert {"name: model", "channel_order: RGB", "min_size_test: 160"} <= set(lines)
    assert lines[-1].startswith(f"{files / 'photo.png'}: ")
    assert lines[-1].endswith("only in one 0")
    assert int(lines[-1].split(": ")[1].split()[0]) > 20


def test_config_file_and_overrides_are_followed(run_script, files, tmp_path):
    code, out, err = run_script(
        *("--weights", files / "bare.pth", "--config-file", files / "tiny.yaml"),
        *("--output", tmp_path / "faces.pt", "--opts", "INPUT.MIN_SIZE_TEST", 96),
    )
    assert code == 0, err
    assert {"name: tiny", "min_size_test: 96"} <= set(out.splitlines())


def test_a_file_that_finds_something_else_fails_the_check(run_script, files, tmp_path, monkeypatch):
    def export_another(detector, *arguments, **options):
        detector.shot.head.box_deltas.bias.data += 0.1
        export_detector(detector, *arguments, **options)
        detector.shot.head.box_deltas.bias.data -= 0.1

    export_detector = export.export_detector
    monkeypatch.setattr(export, "export_detector", export_another)
    (tmp_path / "text.jpg").write_text("no image")
    code, out, err = run_script(
        *("--weights", files / "model.pth", "--output", tmp_path / "faces.pt"),
        *("--check", tmp_path / "text.jpg", files / "photo.png"),
    )
    assert code == 1
    assert "photo.png: " in out  # although the image before it cannot be read
    assert "text.jpg" in err and "2 of 2 images failed the check" in err


def test_errors_are_one_line(run_script, files, tmp_path, monkeypatch):
    output = tmp_path / "faces.onnx"
    cases = [
        (("--weights", files / "absent.pth", "--output", output), "absent.pth"),
        (("--weights", files / "bare.pth", "--output", output), "carries no config"),
        (("--weights", files / "model.pth", "--output", tmp_path / "f.trt"), "f.trt: the file has"),
    ]
    monkeypatch.setitem(sys.modules, "onnx", None)
    cases.append((("--weights", files / "model.pth", "--output", output), "'df2s2_d2[export]'"))
    for arguments, message in cases:
        code, _, error = run_script(*arguments)
        assert code == 1
        assert len(error.splitlines()) == 1 and message in error
    assert not list(tmp_path.iterdir())
