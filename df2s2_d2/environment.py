"""Which code runs on which hardware: what has to stand beside a measured figure."""

from __future__ import annotations

import contextlib
import platform
import subprocess
from pathlib import Path

import df2s2_d2


def processor_name() -> str:
    """What the machine's processor calls itself."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def code_version() -> str:
    """The commit of the checkout that runs, with "-dirty" where it differs; else the version."""
    folder = Path(__file__).resolve().parents[1]
    command = ["git", "-C", folder, "describe", "--always", "--dirty"]
    command += ["--exclude=*", "--abbrev=40"]  # the full hash, whatever tags there are
    # A wheel may lie in somebody else's checkout.
    if (folder / ".git").exists():
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            done = subprocess.run(command, capture_output=True, check=True, text=True)
            return done.stdout.strip()
    return f"version {df2s2_d2.__version__}"
