"""Make the pictures of the page for the documentation.

python -m tests.serving.screenshots
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from PIL import Image

from df2s2_d2.inference.predictor import Predictor
from df2s2_d2.serving.app import create_app
from df2s2_d2.serving.service import Model
from tests.serving.chromium import Tab, open_tab
from tests.serving.services import running

DOCS = Path(__file__).resolve().parents[2] / "docs"
PHOTOGRAPHS = [DOCS / f"photographs/{name}.jpg" for name in ("astronaut", "grace_hopper")]


def main() -> None:
    """Write serve.jpg and serve_phone.jpg into docs/."""
    predictor = Predictor("faces-small", image_format="RGB")
    app = create_app(Model("faces-small", predictor.find, 0.01, 8))
    with (
        running(app) as address,
        tempfile.TemporaryDirectory() as profile,
        open_tab(Path(profile)) as tab,
    ):
        tab.resize(1000, 700)
        tab.open(address)
        tab.evaluate("document.getElementById('model').textContent !== '…'", until=True)
        tab.choose_files("#files", *PHOTOGRAPHS)
        tab.evaluate("document.getElementById('status').textContent === '1 face'", until=True)
        _save(tab, DOCS / "serve.jpg")
        tab.resize(390, 700)
        tab.evaluate(
            """document.getElementById('look').value = 'pixelate';
            document.getElementById('look').dispatchEvent(new Event('change'))"""
        )
        _save(tab, DOCS / "serve_phone.jpg")


def _save(tab: Tab, path: Path) -> None:
    Image.open(io.BytesIO(tab.screenshot())).convert("RGB").save(path, quality=88)


if __name__ == "__main__":
    main()
