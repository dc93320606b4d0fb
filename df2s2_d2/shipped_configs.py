"""The configs that come with the package, by name: in a checkout as in an installed wheel."""

from __future__ import annotations

import difflib
import itertools
import os
import re
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
# In a wheel they are part of the package; in a checkout they lie beside it.
_FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")


def list_configs() -> dict[str, str]:
    """The shipped configs: name, such as "DF2S2/DF2S2_R50.yaml" -> what it is, in one sentence.

    Where a config is a row of a paper's table, the sentence says which, and gives its figures.
    """
    folder = shipped_folder()
    paths = sorted(folder.rglob("*.yaml"))
    return {path.relative_to(folder).as_posix(): _first_sentence(path) for path in paths}


def config_path(name: str) -> str:
    """Where a config is: at the path that its name is, or else among the shipped ones.

    Args:
        name: a path or an address, or the name of a shipped config, with or without "configs/"
            before it.

    Raises:
        FileNotFoundError: if it is neither; says which names are like it.
    """
    if "://" in name or os.path.isfile(name):
        return name
    shipped_name = name.removeprefix("./").removeprefix("configs/")
    names = list_configs()
    if shipped_name in names:
        return str(shipped_folder() / shipped_name)
    alike = difflib.get_close_matches(shipped_name, names, n=3, cutoff=0.8)
    # Who knows the file may not know its folder.
    alike += [known for known in names if Path(known).name == Path(name).name]
    hint = f"is it {' or '.join(dict.fromkeys(alike))}?" if alike else "`df2s2 configs` lists them"
    raise FileNotFoundError(
        f"The config file {name} does not exist, and no shipped config has this name: {hint}"
    )


def shipped_folder() -> Path:
    """Where the shipped configs lie: in the package, or beside it in a checkout."""
    return next(folder for folder in _FOLDERS if folder.is_dir())


def _first_sentence(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        comment = itertools.takewhile(lambda line: line.startswith("#"), file)
        text = " ".join(line.lstrip("#").strip() for line in comment)
    # Dots that stand for numbers left out, as in {600 ... 1400}, end no sentence.
    return re.split(r"\.\s+(?=[A-Z])", text)[0].removesuffix(".")
