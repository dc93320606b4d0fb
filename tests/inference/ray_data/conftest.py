"""Photographs to share out among workers, and what a Predictor finds in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from df2s2_d2 import Predictor
from df2s2_d2.inference.media.result_files import face_rows
from df2s2_d2.inference.ray_data import FindFaces

SCORE_THRESHOLD = 0.3
# One size of each image is enough.
OVERRIDES = ("TEST.AUG.ENABLED", False)


@pytest.fixture(scope="session")
def predictor(checkpoint) -> Predictor:
    return Predictor(checkpoint, overrides=OVERRIDES, image_format="RGB")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """Folder of six images of noise in two sizes, and a text that is named like one."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(6):
        size = (96, 128) if number % 2 else (120, 90)
        image = rng.integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(image).resize((size[1] * 2, size[0] * 2)).save(folder / f"{number}.png")
    (folder / "text.jpg").write_text("text")
    return folder


@pytest.fixture(scope="session")
def shared_finder(checkpoint, pictures) -> FindFaces:
    return FindFaces(
        checkpoint,
        overrides=OVERRIDES,
        batch_size=2,
        score_threshold=SCORE_THRESHOLD,
        root=str(pictures),
    )


@pytest.fixture(scope="session")
def expected_rows(predictor, pictures) -> Callable[[str], list[list[float]]]:
    """Function that gives the rows (n, 5) that a Predictor finds in an image, by its name."""
    rows = {
        path.name: face_rows(predictor(path), SCORE_THRESHOLD).tolist()
        for path in pictures.glob("*.png")
    }
    assert all(0 < len(faces) for faces in rows.values())
    return lambda path: rows[Path(path).name]
