"""What lies at the path of an export is never a part of one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from df2s2_d2.inference.export import export_detector
from tests.tiny_detectors import tiny_config, tiny_detector


@pytest.mark.parametrize("suffix", (".onnx", ".torchscript", ".xml"))
def test_an_export_that_fails_leaves_the_earlier_file(suffix, tmp_path, monkeypatch):
    if suffix == ".xml":
        pytest.importorskip("openvino")
    path = tmp_path / f"faces{suffix}"
    path.write_text("earlier")

    def write_half(source, target):
        Path(target).write_text("half")
        raise OSError("no space left")

    monkeypatch.setattr(shutil, "copyfile", write_half)
    with pytest.raises(OSError, match="no space left"):
        export_detector(tiny_detector(), tiny_config(), path, "tiny")
    assert path.read_text() == "earlier" and list(tmp_path.iterdir()) == [path]
