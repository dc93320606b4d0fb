"""The papers' tables: which config and which test a row is, and what the paper has measured.

``papers.json`` holds them. A row that no config expresses says why, and has the paper's figures
only.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from df2s2_d2.formats.json_file import read_json

PACKAGED = Path(__file__).with_name("papers.json")
SETTINGS = ("easy", "medium", "hard")

_NAME = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        name: unique in the table, such as "fus-seg-aug"; a part of file names.
        label: what the paper calls it.
        paper: average precision in percent by setting, as the paper has it; empty if it has none.
        config: name of a shipped config; "" if none expresses the row.
        overrides: keys over the config that make it the row.
        test: name of the protocol that it is tested by, see ``TEST_PROTOCOLS``.
        not_expressed: why no config expresses it; "" if one does.
        note: what differs from the paper all the same, or what it leaves open.
    """

    name: str
    label: str
    paper: Mapping[str, float]
    config: str = ""
    overrides: Mapping[str, Any] | None = None
    test: str = ""
    not_expressed: str = ""
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table of a paper.

    Attributes:
        name: such as "df2s2-2".
        title: one line.
        source: where the paper has it.
        rows: in the paper's order.
        note: what holds for all rows.
    """

    name: str
    title: str
    source: str
    rows: tuple[Row, ...]
    note: str = ""

    @property
    def trained_rows(self) -> tuple[Row, ...]:
        """Those that a config expresses."""
        return tuple(row for row in self.rows if row.config)

    def choose(self, names: Sequence[str]) -> tuple[Row, ...]:
        """The rows of these names, in the table's order; all that can be trained if there are none.

        Raises:
            ValueError: if there is no such row, or it cannot be trained; says why.
        """
        rows = {row.name: row for row in self.rows}
        for name in names:
            if name not in rows:
                raise ValueError(f"{self.name} has no row {name!r}{_hint(name, rows)}")
            if not rows[name].config:
                reason = rows[name].not_expressed
                raise ValueError(f"{self.name}: no config is the row {name!r}: {reason}")
        return tuple(row for row in self.trained_rows if not names or row.name in names)


def find_table(name: str) -> Table:
    """The table of that name.

    Raises:
        ValueError: if there is none; lists the known ones.
    """
    tables = read_tables()
    if name not in tables:
        raise ValueError(f"There is no table {name!r}{_hint(name, tables)}")
    return tables[name]


def read_tables(path: Path = PACKAGED) -> dict[str, Table]:
    """All tables by name.

    Raises:
        OSError, ValueError: if the index cannot be read; names file, table, row and what is wrong.
    """
    document = read_json(path)
    try:
        return {name: _table(name, fields) for name, fields in document.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no index of tables: {error!r}") from error


def _table(name: str, fields: dict[str, Any]) -> Table:
    rows = tuple(_row(name, row) for row in fields["rows"])
    names = [row.name for row in rows]
    if not rows or len(set(names)) < len(names):
        raise ValueError(f"{name}: its rows are {names}, and have to have names of their own")
    return Table(name, fields["title"], fields["source"], rows, fields.get("note", ""))


def _row(table: str, fields: dict[str, Any]) -> Row:
    row = Row(**fields)
    if not _NAME.fullmatch(row.name):
        raise ValueError(f"{table}: {row.name!r} is no name of a row: a-z, 0-9, hyphens and dots")
    if not row.paper.keys() <= set(SETTINGS):
        raise ValueError(f"{table}, {row.name}: 'paper' has {list(row.paper)}, not {SETTINGS}")
    is_complete = bool(row.config and row.test)
    if is_complete == bool(row.not_expressed) or bool(row.config) != bool(row.test):
        raise ValueError(
            f"{table}, {row.name}: a row has either 'config' and 'test' or 'not_expressed'"
        )
    return row


def _hint(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f": is it {close[0]!r}?" if close else f": it is one of {', '.join(known)}"
