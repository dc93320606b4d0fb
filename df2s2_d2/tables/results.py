"""The files of results of a table's runs."""

from __future__ import annotations

from pathlib import Path
from types import NoneType
from typing import Any

from df2s2_d2.formats.json_file import read_json
from df2s2_d2.tables.index import SETTINGS


def results_folder(output: Path, table: str) -> Path:
    """Where the results of a table's runs lie."""
    return output / table / "results"


def read_results(folder: Path) -> list[dict[str, Any]]:
    """All results of a folder, in the order of their names.

    Raises:
        OSError, ValueError: if a file is no result; names it.
    """
    return [read_result(path) for path in sorted(folder.glob("*.json"))]


def read_result(path: Path) -> dict[str, Any]:
    """One result; AP of a setting without faces is None.

    Raises:
        OSError, ValueError: if the file is none; names it.
    """
    result = read_json(path)
    try:
        if not isinstance(result["row"], str) or not isinstance(result["seed"], int):
            raise ValueError("it has no row, or no seed")
        if any(type(result["ap"][name]) not in (int, float, NoneType) for name in SETTINGS):
            raise ValueError(f"its figures are {result['ap']}")
        for name in ("scale", "protocol", "training", "hardware"):
            if not isinstance(result[name], dict):
                raise ValueError(f"its {name} is {result[name]!r}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no result of a table's run: {error!r}") from error
    return result
