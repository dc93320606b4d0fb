from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from df2s2_d2.serving.app import create_app
from tests.inference.conftest import checkpoint, checkpoint_config, save_checkpoint
from tests.serving.services import model

__all__ = ["checkpoint", "checkpoint_config", "save_checkpoint"]


@pytest.fixture
def client() -> Iterator[TestClient]:
    """Of a service with the default limits."""
    with TestClient(create_app(model())) as client:
        yield client
