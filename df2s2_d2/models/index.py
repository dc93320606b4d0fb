"""The index of trained detectors: what a name stands for, and where its files lie.

Nothing here downloads: a model that is not on this machine is fetched by ``df2s2 models download``.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from df2s2_d2.formats.whole_outputs import write_whole

# Rows of one's own, which come before those of the package.
INDEX_VARIABLE = "DF2S2_MODEL_INDEX"

_PACKAGED = Path(__file__).with_name("index.json")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class ModelFile:
    """One file of a model.

    Attributes:
        location: an absolute path, or an address with ``://``.
        sha256: of its bytes, in hexadecimal.
        size: in bytes.
    """

    location: str
    sha256: str
    size: int

    @property
    def is_remote(self) -> bool:
        return "://" in self.location

    @property
    def path(self) -> Path:
        """Where the file lies on this machine, once it is there."""
        if not self.is_remote:
            return Path(self.location)
        name = self.location.rpartition("/")[2]
        return download_folder() / f"{self.sha256[:16]}-{name}"


@dataclass(frozen=True)
class ModelEntry:
    """A row of the index.

    Attributes:
        name: what it is called, such as "faces-small".
        description: one line.
        config: name of the config that it was trained by.
        files: by format; "weights" is what a Predictor loads, "onnx" the exported detector.
        license: of the weights.
        protocol: how the average precision was measured.
        ap: average precision by setting, fractions of 1; empty if it was not measured.
    """

    name: str
    description: str
    config: str
    files: Mapping[str, ModelFile]
    license: str
    protocol: str
    ap: Mapping[str, float]


def download_folder() -> Path:
    """Where downloaded models are kept: beside PyTorch's own, below ``$TORCH_HOME``."""
    home = os.environ.get("TORCH_HOME")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home or Path(cache) / "torch") / "hub" / "checkpoints" / "df2s2_d2"


def list_models() -> dict[str, ModelEntry]:
    """All models by name: those of ``$DF2S2_MODEL_INDEX``, and those that come with the package.

    Raises:
        OSError, ValueError: if the index cannot be read; names file, row and what is wrong.
    """
    own = os.environ.get(INDEX_VARIABLE)
    models = read_index(Path(own)) if own else {}
    return {**read_index(_PACKAGED), **models}


def find_model(name: str) -> ModelEntry:
    """The model of that name.

    Raises:
        ValueError: if there is none; lists the known ones.
    """
    models = list_models()
    if name not in models:
        raise ValueError(f"There is no model called {name!r}{suggestion(name)}")
    return models[name]


def suggestion(name: str) -> str:
    """What to add to a message about a model that is not known."""
    known = list(list_models())
    close = difflib.get_close_matches(name, known, n=1)
    return f": did you mean {close[0]!r}?" if close else f": known are {', '.join(known)}"


def local_file(weights: str, kind: str = "weights") -> str:
    """What to open for ``weights``: the file of the model of that name, or else the path itself.

    Args:
        weights: a model's name, or a path; a file called like a model is given as ``./NAME``.
        kind: which of the model's files.

    Raises:
        FileNotFoundError: if the model has yet to be downloaded; says how.
        ValueError: if the model has no such file.
    """
    if not _NAME.fullmatch(weights) or weights not in (models := list_models()):
        return weights
    files = models[weights].files
    if kind not in files:
        raise ValueError(f"The model {weights!r} has no {kind} file: it has {', '.join(files)}")
    file = files[kind]
    if file.is_remote and not file.path.is_file():
        raise FileNotFoundError(
            f"The model {weights!r} is not on this machine: fetch it by "
            f"'df2s2 models download {weights}' ({file.size / 1e6:.1f} MB)"
        )
    return str(file.path)


def read_index(path: Path) -> dict[str, ModelEntry]:
    """Read an index: JSON, rows by name.

    Args:
        path: of the file; relative locations in it are relative to its folder.

    Raises:
        OSError, ValueError: names file, row and what is wrong.
    """
    return _entries(_rows(path), path)


def check_name(name: str) -> None:
    """Check that a model may be called that.

    Raises:
        ValueError: if not; says what a name is.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r}: a name is made of a-z, 0-9 and single hyphens")


def add_row(path: Path, name: str, row: Mapping[str, Any]) -> None:
    """Write a row into an index, which is made if there is none; one of that name is replaced.

    Args:
        path: of the index.
        name: of the model.
        row: as it will stand there.

    Raises:
        OSError, ValueError: if there is something else, or the row is wrong.
    """
    rows = {**(_rows(path) if path.exists() else {}), name: row}
    _entries(rows, path)
    text = json.dumps(rows, indent=2, ensure_ascii=False)
    write_whole(path, f"{text}\n".encode())


def _rows(path: Path) -> dict[str, Any]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no index of models: {error}") from error
    if not isinstance(rows, dict):
        raise ValueError(f"{path} is no index of models: expected an object of rows by name")
    return rows


def _entries(rows: Mapping[str, Any], path: Path) -> dict[str, ModelEntry]:
    return {name: _entry(name, row, path) for name, row in rows.items()}


def _entry(name: str, row: Any, path: Path) -> ModelEntry:
    try:
        check_name(name)
        files = {kind: _file(file, path.parent) for kind, file in row["files"].items()}
        if "weights" not in files:
            raise ValueError("'files' lacks 'weights'")
        return ModelEntry(
            name=name,
            files=files,
            ap={setting: float(value) for setting, value in row.get("ap", {}).items()},
            **{key: str(row[key]) for key in ("description", "config", "license", "protocol")},
        )
    except KeyError as error:
        raise ValueError(f"{path}: the row {name!r} lacks {error}") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: the row {name!r} is wrong: {error}") from error


def _file(row: dict[str, Any], folder: Path) -> ModelFile:
    location, digest, size = row["file"], row["sha256"], row["size"]
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(f"{digest!r} is no SHA-256 in hexadecimal")
    if not isinstance(size, int) or size <= 0:
        raise ValueError(f"{size!r} is no size in bytes")
    if "://" not in location:
        location = str((folder / location).resolve())
    elif not location.startswith("https://"):
        raise ValueError(f"{location!r} is no https:// address")
    return ModelFile(location, digest, size)
