"""The package as its users install it: from a wheel, far from the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from df2s2_d2 import list_configs
from df2s2_d2.lazy_config import list_lazy_configs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder that the wheel is installed into."""
    folder = tmp_path_factory.mktemp("wheel")
    # Builds leave files beside their sources, of which those of another state would get in.
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        (folder / "source").mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / "source")
    for name in ("df2s2_d2", "configs"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=ignore)

    def pip(command: str, *arguments: str | Path) -> None:
        start = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q"]
        offline = ["--no-index", "--no-deps"]
        subprocess.run([*start, command, *offline, *arguments], check=True)

    pip("wheel", folder / "source", "--no-build-isolation", "--wheel-dir", folder)
    (wheel,) = folder.glob("*.whl")
    pip("install", wheel, "--target", folder / "site")
    return folder / "site"


@pytest.fixture
def run(site, tmp_path):
    """Function that runs Python with the installed package, in an empty folder."""

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(site)},
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


def test_wheel_holds_all_that_is_used(site):
    (wheel,) = site.parent.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("df2s2_d2/**/*.py")}
    configs = {f"df2s2_d2/configs/{name}" for name in (*list_configs(), *list_lazy_configs())}
    configs |= {
        f"df2s2_d2/{path.relative_to(ROOT).as_posix()}"
        for path in ROOT.glob("configs/lazy/**/*.py")
    }
    page, models = (
        {path.relative_to(ROOT).as_posix() for path in ROOT.glob(f"{folder}/*") if path.is_file()}
        for folder in ("df2s2_d2/serving/page", "df2s2_d2/models")
    )
    assert len(sources) > 100 and len(configs) > 40 and len(models) > 1 < len(page)
    others = {"df2s2_d2/py.typed", "df2s2_d2/tables/papers.json"}
    assert sources | configs | page | models | others <= names
    # No other top-level package, of which there could be another of the same name.
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"df2s2_d2"}


def test_commands_run_without_the_checkout(site, run):
    assert run("-c", "import df2s2_d2; print(df2s2_d2.__file__)").startswith(str(site))
    assert "configs" in run("-m", "df2s2_d2", "--help")
    listed = [line.split()[0] for line in run("-m", "df2s2_d2", "configs").splitlines()]
    assert listed == list(list_configs())
    printed = run("-m", "df2s2_d2", "configs", "DF2S2/DF2S2_R50.yaml")
    assert printed == (ROOT / "configs/DF2S2/DF2S2_R50.yaml").read_text(encoding="utf-8")
    if os.name == "posix":
        program = subprocess.run(
            [sys.executable, site / "bin/df2s2", "--version"],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(site)},
        )
        assert program.stdout.startswith("df2s2 "), program.stderr


def test_faces_are_found_by_the_shipped_model(run, tmp_path, sample_dataset):
    pytest.importorskip("timm")
    photograph = next((sample_dataset / "wider_face/WIDER_val/images").rglob("*.jpg"))
    printed = run("-m", "df2s2_d2", "detect", str(photograph))
    _protocol, _, printed = printed.partition("\n")
    assert printed.startswith("1 of 1 images: ") and printed.strip().endswith("-> found")
    (record,) = json.loads((tmp_path / "found/detections.json").read_text())
    assert record["file"] == str(photograph)
    assert (tmp_path / "found" / photograph.name).is_file()


def test_evaluation_needs_no_torch(run):
    code = "import sys, df2s2_d2.evaluation.fddb; print('torch' in sys.modules)"
    assert run("-c", code) == "False\n"


@pytest.mark.filterwarnings("ignore:pkg_resources is deprecated")
def test_detectron2_can_name_its_own_models():
    """What the extra 'detect' holds setuptools back for."""
    from detectron2 import model_zoo

    assert Path(model_zoo.get_config_file("COCO-Detection/retinanet_R_50_FPN_1x.yaml")).is_file()
