"""Fixtures that tests of several parts share."""

from __future__ import annotations

import importlib
import logging
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

# Tests that run side by side have a core each. Libraries read this once, when they are loaded.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

_REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    """Commands that a test runs in this process turn on logs, which others would then collect."""
    loggers = [logging.getLogger(name) for name in ("df2s2_d2", "detectron2", "fvcore")]
    before = [(logger.level, logger.propagate, logger.handlers[:]) for logger in loggers]
    yield
    for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.propagate, logger.handlers = propagate, handlers


@pytest.fixture(autouse=True)
def known_random_state() -> None:
    """A test draws the same numbers whichever tests its process has run before."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with annotations and photographs of the real benchmarks.

    It lies beside the repository, or in ``$DF2S2_SHARED/data``. Tests that need it are skipped
    where it is absent, unless ``DF2S2_REQUIRE_REAL_DATA=1`` asks for a failure instead.
    """
    data = Path(os.getenv("DF2S2_SHARED") or _REPOSITORY.parent / "shared") / "data"
    if not data.is_dir():
        reason = f"no real data: {data} does not exist (DF2S2_SHARED names another folder)"
        if os.getenv("DF2S2_REQUIRE_REAL_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return data


@pytest.fixture(scope="session")
def sample_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a tiny drawn data set in WIDER FACE's layout, as ``$DETECTRON2_DATASETS`` names."""
    root = tmp_path_factory.mktemp("sample")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(_REPOSITORY / "datasets")
        program = importlib.import_module("sample_faces.dataset")
        program.make_sample_dataset(root, num_train=4, num_val=3, num_test=2, crowd_faces=30)
    return root


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved during the test, in order."""
    saved = []
    save = Figure.savefig

    def savefig(self, *args, **kwargs):
        saved.append(self)
        return save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return saved


def pytest_sessionfinish() -> None:
    """Forget the tensors that data loading workers have sent while torch can still let go of them.

    torch keeps a reference to each, and the interpreter takes torch apart first.
    """
    reductions = sys.modules.get("torch.multiprocessing.reductions")
    if reductions is not None:
        reductions.shared_cache.clear()
