"""A small stand-in for the package that carries detectron2."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

# A package with every kind of place where a module's own name occurs.
CARRIER_FILES = {
    "EZannot/__init__.py": "",
    "EZannot/sam2/__init__.py": "",
    "EZannot/detectron2/__init__.py": "from EZannot.detectron2.utils.env import NAME\n",
    "EZannot/detectron2/modeling/__init__.py": "import EZannot.detectron2.utils.env as env\n",
    "EZannot/detectron2/utils/__init__.py": "",
    "EZannot/detectron2/utils/env.py": (
        'NAME = "EZannot.detectron2.utils.env"\nTARGET = {"_target_": "EZannot.detectron2.utils"}\n'
    ),
    "EZannot/detectron2/model_zoo/configs/Base.yaml": "NOTE: EZannot.detectron2 stays in data\n",
}


@pytest.fixture
def carrier_files() -> dict[str, str]:
    """Contents of the stand-in by file name."""
    return dict(CARRIER_FILES)


@pytest.fixture
def write_archive():
    """Function that writes a wheel of the stand-in."""

    def write(path: Path, files: dict[str, str], year: int = 2020) -> Path:
        dist_info = "ezannot-1.1.0.dist-info"
        files = {
            **files,
            f"{dist_info}/METADATA": "Metadata-Version: 2.1\nName: EZannot\nVersion: 1.1.0\n",
            f"{dist_info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{dist_info}/RECORD": "",
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items():
                archive.writestr(zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0)), text)
        return path

    return write


@pytest.fixture
def archive(tmp_path, carrier_files, write_archive) -> Path:
    """The stand-in, alone in a folder that can serve as pip's index."""
    return write_archive(tmp_path / "index" / "ezannot-1.1.0-py3-none-any.whl", carrier_files)
