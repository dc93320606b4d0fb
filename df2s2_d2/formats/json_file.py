"""JSON of whatever origin: one error of one kind for all that can be wrong with a file."""

from __future__ import annotations

import json
import os
import reprlib
from pathlib import Path
from typing import Any

_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxdict, _BRIEF.maxstring, _BRIEF.maxother = 3, 8, 60, 60


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file.

    Args:
        path: of a text in UTF-8, with or without a byte order mark.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no JSON, or nested or written so that Python does not read it; names
            the file and, where there is one, the place in it.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        place = f"{path}, line {error.lineno}, column {error.colno}"
        raise ValueError(f"{place}: expected JSON, found a fault in it ({error.msg}).") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected JSON in UTF-8, found other data ({error}).") from None
    except RecursionError:
        raise ValueError(
            f"{path}: expected JSON, found lists or objects nested too deeply to be read."
        ) from None
    except ValueError as error:  # of a whole number with thousands of digits
        raise ValueError(
            f"{path}: expected JSON, found a number that is too long ({error})."
        ) from None


def as_id(value: Any) -> int | str | None:
    """What names an image; None if the value cannot. Some programs write whole numbers as 1.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def is_number_below(value: Any, limit: float) -> bool:
    """Whether a value of JSON is a number, and no other kind, of a magnitude below the limit."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < limit


def shorten(value: Any) -> str:
    """A value of JSON for an error message, however large or nested it is."""
    return _BRIEF.repr(value)[:80]
