"""Installs detectron2 into the Python environment that runs this.

detectron2 is not on the package index under its own name: its authors publish it on GitHub. Many
networks reach a package index but not GitHub, so there are two sources: upstream's repository at a
pinned commit, and a plain Python wheel built from the copy of detectron2 inside a pinned,
hash-checked package of the configured index.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from df2s2_d2.installation.repack_detectron2 import (
    CARRIER,
    CARRIER_VERSION,
    build_wheel,
    check_hash,
)

# detectron2 makes no releases any more; a commit is the only fixed point its repository offers.
GITHUB_REPOSITORY = "https://github.com/facebookresearch/detectron2"
GITHUB_COMMIT = "02b5c4e295e990042a714712c21dc79b731e8833"
GITHUB_TIMEOUT_SECONDS = 10
# Without build isolation pip uses these from the environment. Isolation is off because upstream's
# setup.py imports torch, and has to see the very torch that the extension will be loaded into.
GITHUB_BUILD_TOOLS = ("setuptools", "wheel", "ninja")

CARRY_A_WHEEL = (
    "build a wheel on a machine with network by `df2s2 install-detectron2 --wheel-dir DIR`, copy "
    "it here and install it by `python -m pip install DIR/detectron2-*.whl`"
)


class InstallError(OSError):
    """A step failed; the message says which one and what to do about it."""


def installed_version() -> str | None:
    """Return the version of detectron2 in this environment, or None."""
    try:
        return importlib.metadata.version("detectron2")
    except importlib.metadata.PackageNotFoundError:
        return None


def run_pip(*arguments: str) -> None:
    """Run this environment's pip quietly.

    Raises:
        InstallError: pip failed; the message is pip's own last error line.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    result = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    if result.returncode:
        lines = [line.strip() for line in result.stdout.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()]
        raise InstallError((errors or lines or [f"pip exited with {result.returncode}"])[-1])


def require_github() -> None:
    """Check in a few seconds that git can read upstream's repository.

    Raises:
        InstallError: it cannot.
    """
    try:
        subprocess.run(
            ["git", "ls-remote", "--quiet", GITHUB_REPOSITORY, "HEAD"],
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=GITHUB_TIMEOUT_SECONDS,
            check=True,
        )
    except FileNotFoundError:
        raise InstallError("git is not installed.") from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise InstallError(f"{GITHUB_REPOSITORY} cannot be reached from here.") from None


def wheel_from_github(directory: Path) -> Path:
    """Compile upstream's pinned commit into a wheel.

    Args:
        directory: where to put the wheel.

    Returns:
        Path of the wheel, which fits this platform, Python and torch only.

    Raises:
        InstallError: GitHub is out of reach, or the build fails.
    """
    if importlib.util.find_spec("torch") is None:
        raise InstallError(
            f"{sys.executable} has no torch, which detectron2's build needs: install torch first "
            "(`make venv` installs everything in order)."
        )
    require_github()
    say(f"Building detectron2 from {GITHUB_REPOSITORY} at {GITHUB_COMMIT[:12]} (some minutes)…")
    source = f"git+{GITHUB_REPOSITORY}@{GITHUB_COMMIT}"
    with tempfile.TemporaryDirectory() as scratch:
        try:
            run_pip("install", *GITHUB_BUILD_TOOLS)
            run_pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", scratch, source)
        except InstallError as error:
            raise InstallError(
                f"the build failed ({error}); it needs a C++ compiler and, where a GPU is used, "
                "the CUDA toolkit that torch was built with."
            ) from None
        (built,) = Path(scratch).glob("detectron2-*.whl")
        directory.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(built, directory / built.name))


def wheel_from_index(directory: Path) -> Path:
    """Build a plain-Python wheel of detectron2 from the copy in the pinned package of the index.

    Args:
        directory: where to put the wheel.

    Returns:
        Path of the wheel, which fits every platform.

    Raises:
        InstallError: the package cannot be downloaded or is not the pinned one.
    """
    say(f"Taking detectron2 from the package {CARRIER} {CARRIER_VERSION} of pip's index…")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            run_pip(
                "download",
                "--no-deps",
                "--only-binary=:all:",
                f"--dest={scratch}",
                f"{CARRIER}=={CARRIER_VERSION}",
            )
        except InstallError as error:
            raise InstallError(
                f"pip could not download {CARRIER} {CARRIER_VERSION} ({error}). Check the "
                f"network and pip's index settings (`pip config list`), or {CARRY_A_WHEEL}."
            ) from None
        (archive,) = Path(scratch).glob("*.whl")
        try:
            check_hash(archive)
        except ValueError as error:
            raise InstallError(
                f"{error}, so nothing was installed from it. Use another index, or {CARRY_A_WHEEL}."
            ) from None
        return build_wheel(archive, directory)


def obtain_wheel(source: str, directory: Path) -> Path:
    """Make a wheel of detectron2.

    Args:
        source: ``github``, ``index``, or ``auto`` for the first of them that works.
        directory: where to put the wheel.

    Returns:
        Path of the wheel.

    Raises:
        InstallError: no source worked; the message is about the last one tried.
    """
    if source != "index":
        try:
            return wheel_from_github(directory)
        except InstallError as error:
            if source == "github":
                raise InstallError(
                    f"{error} `--source index` takes detectron2 from the package index instead."
                ) from None
            say(f"detectron2 does not come from GitHub: {error}")
    return wheel_from_index(directory)


def install(wheel: Path, replace: bool) -> None:
    """Install a wheel of detectron2 with what it requires, and check that it can be imported.

    Args:
        wheel: the wheel.
        replace: whether it takes the place of an installed detectron2 of the same version.

    Raises:
        InstallError: pip failed, or detectron2 does not work with what else is installed.
    """
    try:
        if replace:
            run_pip("install", "--force-reinstall", "--no-deps", str(wheel))
        run_pip("install", str(wheel))
    except InstallError as error:
        raise InstallError(
            f"pip could not install {wheel.name} and what it requires ({error}). Check the network "
            "and pip's index settings (`pip config list`), then run this again."
        ) from None
    check = subprocess.run(
        [sys.executable, "-c", "import detectron2.modeling"], capture_output=True, text=True
    )
    if check.returncode:
        reason = (check.stderr.strip().splitlines() or [f"exit code {check.returncode}"])[-1]
        raise InstallError(
            f"detectron2 is installed but cannot be imported ({reason}). Install a matching pair "
            "of torch and torchvision first (`make venv` installs everything in order)."
        )


def say(sentence: str) -> None:
    """Print a sentence at once, also into a pipe: steps take minutes."""
    print(sentence, flush=True)


def install_detectron2(source: str = "auto", force: bool = False) -> None:
    """Install detectron2, unless it is installed, and say what was done.

    Args:
        source: see :func:`obtain_wheel`.
        force: whether an installed one is replaced.

    Raises:
        InstallError: a step failed.
    """
    present = installed_version()
    if present and not force:
        say(f"detectron2 {present} is already installed in {sys.prefix} (--force replaces it).")
        return
    with tempfile.TemporaryDirectory() as scratch:
        wheel = obtain_wheel(source, Path(scratch))
        install(wheel, replace=present is not None)
    say(f"Installed detectron2 {installed_version()} in {sys.prefix}.")
