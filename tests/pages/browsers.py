"""A headless browser, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def browse(page: Path, *options: str) -> str:
    """Open a page, and give back what the browser prints; skips the test without a browser.

    Args:
        page: whose path needs no quoting in an address.
        options: such as ``--screenshot=FILE`` or ``--dump-dom``.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no headless browser: none of {', '.join(BROWSERS)} is on the PATH")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    done = subprocess.run(
        [*command, *options, page.as_uri()], check=True, capture_output=True, timeout=300, text=True
    )
    return done.stdout
