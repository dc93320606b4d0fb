"""What README.md shows must run."""

from __future__ import annotations

import re
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_stock_retinanet_runs_on_the_fusion_pyramid():
    (code,) = (
        block
        for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL)
        if "build_model" in block
    )
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    model = names["model"]
    assert type(model).__name__ == "RetinaNet"
    maps = model.backbone(torch.zeros(1, 3, 128, 128))
    assert {maps[f"p{level}"].shape[1] for level in range(2, 8)} == {256}
    (output,) = model([{"image": torch.zeros(3, 128, 128)}])
    assert output["instances"].image_size == (128, 128)


def test_files_that_readme_links_exist():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
