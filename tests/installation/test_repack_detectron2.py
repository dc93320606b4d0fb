"""The wheel of detectron2 that is built from another package's copy."""

from __future__ import annotations

import base64
import csv
import email
import hashlib
import os
import subprocess
import sys
import zipfile

import pytest
from packaging.requirements import Requirement

from df2s2_d2.installation import repack_detectron2


@pytest.fixture
def wheel(archive, tmp_path):
    return repack_detectron2.build_wheel(archive, tmp_path / "wheels")


def test_wheel_holds_detectron2_alone_without_the_prefix(wheel, carrier_files):
    assert wheel.name == "detectron2-0.6-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as built:
        contents = {name: built.read(name).decode() for name in built.namelist()}
    dist_info = {f"detectron2-0.6.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD")}
    package = {name[len("EZannot/") :] for name in carrier_files if "detectron2" in name}
    assert set(contents) == package | dist_info
    assert contents["detectron2/__init__.py"] == "from detectron2.utils.env import NAME\n"
    assert contents["detectron2/modeling/__init__.py"] == "import detectron2.utils.env as env\n"
    assert contents["detectron2/utils/env.py"] == (
        'NAME = "detectron2.utils.env"\nTARGET = {"_target_": "detectron2.utils"}\n'
    )
    original = carrier_files["EZannot/detectron2/model_zoo/configs/Base.yaml"]
    assert contents["detectron2/model_zoo/configs/Base.yaml"] == original


def test_record_has_size_and_hash_of_every_file(wheel):
    own_name = "detectron2-0.6.dist-info/RECORD"
    with zipfile.ZipFile(wheel) as built:
        rows = {row[0]: row[1:] for row in csv.reader(built.read(own_name).decode().splitlines())}
        assert set(rows) == set(built.namelist())
        assert rows.pop(own_name) == ["", ""]
        for name, (digest, size) in rows.items():
            data = built.read(name)
            assert int(size) == len(data)
            algorithm, _, encoded = digest.partition("=")
            assert algorithm == "sha256"
            assert base64.urlsafe_b64decode(encoded + "=") == hashlib.sha256(data).digest()
            assert len(encoded) == 43  # 32 bytes in base 64, without padding


def test_metadata_names_the_package_and_what_it_requires(wheel):
    with zipfile.ZipFile(wheel) as built:
        metadata = email.message_from_bytes(built.read("detectron2-0.6.dist-info/METADATA"))
    assert (metadata["Name"], metadata["Version"]) == ("detectron2", "0.6")
    assert metadata["License"] == "Apache-2.0"
    requirements = {
        r.name: r.specifier for r in map(Requirement, metadata.get_all("Requires-Dist"))
    }
    assert set(requirements) == {
        *("Pillow", "matplotlib", "pycocotools", "termcolor", "yacs", "tabulate", "cloudpickle"),
        *("tqdm", "tensorboard", "fvcore", "iopath", "omegaconf", "hydra-core", "packaging"),
    }
    assert "0.1.5.post20221221" in requirements["fvcore"]
    assert "0.1.6" not in requirements["fvcore"]
    assert "2.3.0" in requirements["omegaconf"]
    assert "2.4.0" not in requirements["omegaconf"]


def test_wheel_depends_on_contents_only(tmp_path, carrier_files, write_archive):
    shuffled = dict(reversed(carrier_files.items()))
    archives = (
        write_archive(tmp_path / "a.whl", carrier_files, year=2020),
        write_archive(tmp_path / "b.whl", shuffled, year=2024),
    )
    first, second = (
        repack_detectron2.build_wheel(archive, tmp_path / archive.stem).read_bytes()
        for archive in archives
    )
    assert first == second


def test_pip_installs_the_wheel(wheel, tmp_path):
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    command = [*pip, "install", "--quiet", "--no-index", "--no-deps", "--target", target, wheel]
    subprocess.run(command, check=True)
    code = "import detectron2, detectron2.modeling; print(detectron2.NAME, detectron2.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(target)}
    output = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert output.split() == ["detectron2.utils.env", str(target / "detectron2" / "__init__.py")]
    listed = subprocess.check_output([*pip, "list", "--path", target, "--format=freeze"], text=True)
    assert "detectron2==0.6" in listed.splitlines()


def test_archive_without_detectron2_is_refused(tmp_path, write_archive):
    archive = write_archive(tmp_path / "other.whl", {"EZannot/__init__.py": ""})
    with pytest.raises(ValueError, match="other.whl has no EZannot/detectron2"):
        repack_detectron2.build_wheel(archive, tmp_path / "wheels")
    assert not (tmp_path / "wheels").exists()
