"""The installer of detectron2, run with the real pip and git but without network."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from df2s2_d2.cli.program import main
from df2s2_d2.installation import install_detectron2, repack_detectron2

ROOT = Path(__file__).resolve().parents[2]

UPSTREAM_SETUP = (
    "import torch\n"
    "from setuptools import setup\n"
    "setup(name='detectron2', version='0.6', py_modules=['pinned'])\n"
)


def run_installer(*arguments: str) -> int:
    return main(["install-detectron2", *arguments])


def git(repository: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=tester", "-c", "user.email=tester@example.invalid")
    command = ["git", "-C", str(repository), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def index(archive, monkeypatch):
    """Make the fake archive the only thing that pip finds, and the one that is pinned."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(repack_detectron2, "CARRIER_SHA256", digest)
    return archive.parent


@pytest.fixture
def upstream(tmp_path, index, monkeypatch):
    """Make a local repository take GitHub's place; its pinned commit is not its last one."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    repository = tmp_path / "upstream"
    repository.mkdir()
    git(repository, "init", "--quiet")
    (repository / "setup.py").write_text(UPSTREAM_SETUP)
    (repository / "pinned.py").write_text("STATE = 'pinned'\n")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "pinned")
    monkeypatch.setattr(install_detectron2, "GITHUB_COMMIT", git(repository, "rev-parse", "HEAD"))
    (repository / "pinned.py").write_text("STATE = 'later'\n")
    git(repository, "commit", "--quiet", "--all", "--message", "later")
    monkeypatch.setattr(install_detectron2, "GITHUB_REPOSITORY", repository.as_uri())
    # Present wherever torch is; the other tools only matter to old versions and to C++ code.
    monkeypatch.setattr(install_detectron2, "GITHUB_BUILD_TOOLS", ("setuptools",))
    return repository


def one_line(error: str) -> str:
    """Return the only line of an error output."""
    lines = error.strip().splitlines()
    assert len(lines) == 1, error
    return lines[0]


def test_wheel_dir_gets_the_wheel_from_the_index(index, tmp_path, capsys):
    directory = tmp_path / "new" / "wheels"
    assert run_installer("--source", "index", "--wheel-dir", str(directory)) == 0
    assert [path.name for path in directory.iterdir()] == ["detectron2-0.6-py3-none-any.whl"]
    output = capsys.readouterr().out
    assert "EZannot 1.1.0" in output
    assert "nothing was installed" in output


def test_other_contents_than_the_pinned_ones_are_refused(index, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(repack_detectron2, "CARRIER_SHA256", "0" * 64)
    directory = tmp_path / "wheels"
    assert run_installer("--source", "index", "--wheel-dir", str(directory)) == 1
    error = one_line(capsys.readouterr().err)
    assert "has SHA-256" in error
    assert "0" * 64 in error
    assert not directory.exists()


def test_unreachable_index_is_explained(index, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing_here"))
    assert run_installer("--source", "index", "--wheel-dir", str(tmp_path)) == 1
    error = one_line(capsys.readouterr().err)
    assert "could not download EZannot 1.1.0" in error
    assert "No matching distribution" in error
    assert "--wheel-dir" in error


def test_github_gives_the_pinned_commit(upstream, tmp_path, capsys):
    directory = tmp_path / "wheels"
    assert run_installer("--wheel-dir", str(directory)) == 0
    (built,) = directory.iterdir()
    with zipfile.ZipFile(built) as contents:
        assert contents.read("pinned.py") == b"STATE = 'pinned'\n"
    assert install_detectron2.GITHUB_COMMIT[:12] in capsys.readouterr().out


@pytest.mark.parametrize("obstacle", ["unreachable", "slow", "no git", "build fails"])
def test_github_out_of_reach_falls_back_to_the_index(
    upstream, obstacle, tmp_path, monkeypatch, capsys
):
    reason = "cannot be reached"
    if obstacle == "unreachable":
        missing = tmp_path / "missing"
        monkeypatch.setattr(install_detectron2, "GITHUB_REPOSITORY", missing.as_uri())
    elif obstacle == "slow":
        stub = tmp_path / "bin" / "git"
        stub.parent.mkdir()
        stub.write_text("#!/bin/sh\nexec sleep 60\n")
        stub.chmod(0o755)
        monkeypatch.setenv("PATH", str(stub.parent), prepend=os.pathsep)
        monkeypatch.setattr(install_detectron2, "GITHUB_TIMEOUT_SECONDS", 0.2)
    elif obstacle == "no git":
        monkeypatch.setenv("PATH", str(tmp_path / "empty"))
        reason = "git is not installed"
    else:
        (upstream / "setup.py").write_text("raise SystemExit('error: no compiler')\n")
        git(upstream, "commit", "--quiet", "--all", "--message", "broken")
        commit = git(upstream, "rev-parse", "HEAD")
        monkeypatch.setattr(install_detectron2, "GITHUB_COMMIT", commit)
        reason = "the build failed"

    directory = tmp_path / "wheels"
    assert run_installer("--wheel-dir", str(directory)) == 0
    assert [path.name for path in directory.iterdir()] == ["detectron2-0.6-py3-none-any.whl"]
    assert reason in capsys.readouterr().out

    assert run_installer("--source", "github", "--wheel-dir", str(directory)) == 1
    error = one_line(capsys.readouterr().err)
    assert reason in error
    assert "--source index" in error


def test_installed_detectron2_is_left_alone(monkeypatch, capsys):
    monkeypatch.setattr(install_detectron2, "installed_version", lambda: "0.6")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a command was run"))
    assert run_installer() == 0
    assert "detectron2 0.6 is already installed" in capsys.readouterr().out


class TestInAnEnvironment:
    """The whole command, in a virtual environment of its own."""

    @pytest.fixture
    def python(self, tmp_path):
        environment = tmp_path / "environment"
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        return environment / "bin" / "python"

    def run(self, python: Path, *arguments: str, **constants: object):
        """Run the installer with some of the constants of repacking replaced."""
        constants = {"CARRIER_SHA256": repack_detectron2.CARRIER_SHA256, **constants}
        code = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "from df2s2_d2.cli.program import main\n"
            "from df2s2_d2.installation import repack_detectron2\n"
            f"vars(repack_detectron2).update({constants!r})\n"
            "sys.exit(main(['install-detectron2', '--source', 'index', *sys.argv[2:]]))"
        )
        command = [python, "-c", code, str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    def test_install_keep_replace_and_remove(self, python, index):
        first = self.run(python, REQUIREMENTS=())
        assert first.returncode == 0, first.stderr
        assert "Installed detectron2 0.6" in first.stdout
        code = "import detectron2.utils.env as env; env.NAME; print(env.__file__)"
        env_file = Path(subprocess.check_output([python, "-c", code], text=True).strip())

        env_file.write_text("NAME = 'changed by hand'\n")
        again = self.run(python, REQUIREMENTS=())
        assert again.returncode == 0
        assert "already installed" in again.stdout
        assert "changed by hand" in env_file.read_text()

        forced = self.run(python, "--force", REQUIREMENTS=())
        assert forced.returncode == 0, forced.stderr
        assert "changed by hand" not in env_file.read_text()

        uninstall = [python, "-m", "pip", "uninstall", "--yes", "--quiet", "detectron2"]
        subprocess.run(uninstall, check=True)
        assert not env_file.exists()

    def test_missing_requirement_is_explained(self, python, index):
        result = self.run(python, REQUIREMENTS=("fvcore>=0.1.5",))
        assert result.returncode == 1
        error = one_line(result.stderr)
        assert "could not install detectron2-0.6-py3-none-any.whl" in error
        assert "fvcore" in error

    def test_missing_torch_is_explained(self, python, index, carrier_files, write_archive):
        package = {**carrier_files, "EZannot/detectron2/modeling/__init__.py": "import torch\n"}
        archive = write_archive(index / "ezannot-1.1.0-py3-none-any.whl", package)
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        result = self.run(python, REQUIREMENTS=(), CARRIER_SHA256=digest)
        assert result.returncode == 1
        error = one_line(result.stderr)
        assert "No module named 'torch'" in error
        assert "torchvision" in error
