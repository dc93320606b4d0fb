"""The files of results of a table's runs."""

from __future__ import annotations

from pathlib import Path
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
    """One result.

    Raises:
        OSError, ValueError: if the file is none; names it.
    """
    result = read_json(path)
    try:
        if result["ap"].keys() < set(SETTINGS) or not isinstance(result["row"], str):
            raise ValueError("it has no row, or not all figures")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no result of a table's run: {error!r}") from error
    return result
