from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzzing.fuzzing import bounded_memory


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    """No test costs more memory than is promised."""
    with bounded_memory():
        yield


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory):
    """One folder for all cases of a test, which write their files over each other's."""
    return tmp_path_factory.mktemp("fuzz")
