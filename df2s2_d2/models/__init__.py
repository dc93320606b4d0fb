"""Trained detectors by name: those that come with the package, and those to be downloaded."""

from df2s2_d2.models.index import (
    ModelEntry,
    ModelFile,
    find_model,
    list_models,
    local_file,
    suggestion,
)

__all__ = ["ModelEntry", "ModelFile", "find_model", "list_models", "local_file", "suggestion"]
