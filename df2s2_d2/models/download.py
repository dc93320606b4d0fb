"""Fetching the files of models that do not come with the package, when asked for."""

from __future__ import annotations

from pathlib import Path

from df2s2_d2.formats.file_hash import file_sha256
from df2s2_d2.models.index import ModelEntry, ModelFile


def download(model: ModelEntry, progress: bool = True) -> dict[str, Path]:
    """Fetch those files of a model that are not on this machine, and check all of them.

    A file appears under its name once all of it is there and its hash is right; one that was
    changed since is fetched anew.

    Args:
        model: of the index.
        progress: whether a bar is shown on standard error.

    Returns:
        All files of the model by kind.

    Raises:
        OSError: if an address cannot be reached, the file not be written, or a file beside the
            index is not there; names it.
        ValueError: if a file is not that of the index.
    """
    for file in model.files.values():
        if file.is_remote:
            if not (file.path.is_file() and _is_as_indexed(file)):
                _fetch(file, progress)
        elif not _is_as_indexed(file):
            raise ValueError(
                f"{file.path} is not the file that the index names, whose SHA-256 is "
                f"{file.sha256}: put that one there, or install the package anew"
            )
    return {kind: file.path for kind, file in model.files.items()}


def _is_as_indexed(file: ModelFile) -> bool:
    return file_sha256(file.path) == file.sha256


def _fetch(file: ModelFile, progress: bool) -> None:
    from torch.hub import download_url_to_file

    file.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        download_url_to_file(file.location, str(file.path), file.sha256, progress)
    except OSError as error:
        raise OSError(f"{file.location} could not be fetched: {error}") from error
    except RuntimeError as error:  # its word for a wrong hash
        raise ValueError(
            f"{file.location} is not the file that the index names, whose SHA-256 is "
            f"{file.sha256}: it was not kept"
        ) from error
