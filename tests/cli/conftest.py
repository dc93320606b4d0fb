from __future__ import annotations

from tests.inference.conftest import checkpoint, checkpoint_config, save_checkpoint

__all__ = ["checkpoint", "checkpoint_config", "save_checkpoint"]
