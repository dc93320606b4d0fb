"""Fetching the files of models that do not come with the package, when asked for."""

from __future__ import annotations

from pathlib import Path

from df2s2_d2.models.index import ModelEntry, ModelFile


def download(model: ModelEntry, progress: bool = True) -> dict[str, Path]:
    """Fetch those files of a model that are not on this machine.

    A file appears under its name once all of it is there and its hash is right.

    Args:
        model: of the index.
        progress: whether a bar is shown on standard error.

    Returns:
        All files of the model by kind.

    Raises:
        OSError: if an address cannot be reached or the file not be written; names it.
        ValueError: if what was fetched is not the file of the index.
    """
    for file in model.files.values():
        if file.is_remote and not file.path.is_file():
            _fetch(file, progress)
    return {kind: file.path for kind, file in model.files.items()}


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
