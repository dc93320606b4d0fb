"""LazyConfig files: configs that are Python, of detectron2's newer kind, shipped or one's own.

Loading one runs it. So nothing here looks for such a file by itself: who names one trusts it, as
with any script. What strangers may send, checkpoints and YAML, never leads to one.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from detectron2.config import LazyConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from df2s2_d2.shipped_configs import shipped_folder

SECTIONS = ("model", "optimizer", "lr_multiplier", "dataloader", "train")

_FOLDER = "lazy"
_ABSENT = object()


def list_lazy_configs() -> dict[str, str]:
    """The shipped LazyConfigs: name, such as "lazy/DF2S2_R50.py" -> what it is, in one sentence."""
    paths = sorted((shipped_folder() / _FOLDER).glob("*.py"))
    return {f"{_FOLDER}/{path.name}": _first_sentence(path) for path in paths}


def load_lazy_config(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Run a LazyConfig file and give back the sections that it describes.

    Args:
        name: a path, or the name of a shipped one.
        overrides: ``key=value`` over it, in the syntax of Hydra, such as "train.max_iter=10";
            ``+key=value`` adds a key.

    Raises:
        FileNotFoundError: if there is no such file; says which shipped names are like it.
        ValueError: naming the file, line or override and what is wrong.
    """
    path = lazy_config_path(name)
    with _naming(path):
        config = LazyConfig.load(path)
    if missing := [section for section in SECTIONS if section not in config]:
        raise ValueError(
            f"LazyConfig {name} has no section {' and no '.join(missing)}: it needs "
            f"{', '.join(SECTIONS)}, as lazy/DF2S2_R50.py has them"
        )
    for override in overrides:
        key, is_assigned, _ = override.partition("=")
        if not is_assigned:
            raise ValueError(f"Override {override!r}: write KEY=VALUE, such as train.max_iter=10")
        if not key.startswith("+") and not _has(config, key):
            raise ValueError(f"Override {override!r}: LazyConfig {name} has no {key}")
        try:
            LazyConfig.apply_overrides(config, [override])
        except Exception as error:  # of Hydra's parser and of OmegaConf, of many types
            what = " ".join(str(error).split())
            raise ValueError(f"Override {override!r}: {what}") from error
    return config


def lazy_config_path(name: str) -> str:
    """Where a LazyConfig is: at the path that its name is, or else among the shipped ones.

    Raises:
        FileNotFoundError: if it is neither.
        ValueError: if it is not Python.
    """
    if not name.endswith(".py"):
        raise ValueError(
            f"The config {name!r} is no LazyConfig, a file *.py: `df2s2 train` takes YAML"
        )
    if os.path.isfile(name):
        return name
    shipped = name.removeprefix("./").removeprefix("configs/")
    names = list_lazy_configs()
    if shipped in names:
        return str(shipped_folder() / shipped)
    wanted = Path(name).name
    alike = [known for known in names if Path(known).name == wanted]
    alike = alike or difflib.get_close_matches(f"{_FOLDER}/{wanted}", names, n=3)
    raise FileNotFoundError(
        f"The LazyConfig {name} does not exist; the shipped ones are {', '.join(names)}"
        + (f": is it {' or '.join(alike)}?" if alike else "")
    )


def _has(config: DictConfig, key: str) -> bool:
    try:
        return OmegaConf.select(config, key, default=_ABSENT) is not _ABSENT
    except OmegaConfBaseException:
        return False


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Whatever the code of a config stumbles over becomes one error that says where."""
    importer = builtins.__import__
    try:
        yield
    except Exception as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
        place = f"LazyConfig {path}" + (f", line {lines[-1]}" if lines else "")
        cause = error.__cause__ or error  # of a syntax error, which detectron2 wraps
        what = " ".join(str(cause).split())
        raise ValueError(f"{place}: {type(cause).__name__}: {what}") from error
    finally:
        # detectron2 replaces it for relative imports, and leaves it so after an error.
        builtins.__import__ = importer


def _first_sentence(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.partition("\n\n")[0].split()).removesuffix(".")
