"""A row with a seed as one training: its keys, its folder, and whether it is still the same one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from df2s2_d2 import load_config
from df2s2_d2.environment import code_version
from df2s2_d2.formats.json_file import read_json
from df2s2_d2.inference.config_changes import config_changes
from df2s2_d2.tables.index import Row, Table
from df2s2_d2.tables.results import read_result, results_folder
from df2s2_d2.tables.scale import Scale
from df2s2_d2.training.durable_files import write_durably

# What decides where a run lies and which one it is, so that nobody else may.
_OWN_KEYS = ("OUTPUT_DIR", "SEED", "MODEL.WEIGHTS")
# Keys that say how a run is computed, and not what comes of it: they may change when it goes on.
_FREE_KEYS = ("DATALOADER.NUM_WORKERS", "OUTPUT_DIR", "SOLVER.CHECKPOINT_KEEP")
_RECORD = "run.json"


@dataclass(frozen=True)
class Choices:
    """What is the same for all runs that a command asks for.

    Attributes:
        output: folder for everything, by table.
        data: root of the data sets, as ``DETECTRON2_DATASETS``.
        scale: of trainings and tests.
        weights: folder that takes the place of that of MODEL.BOTTOM_UP.WEIGHTS; None = as it is.
        overrides: ``[key, value, ...]``, over everything else.
        processes: GPUs, or processes on the CPU, of each run.
    """

    output: Path
    data: Path
    scale: Scale = Scale()
    weights: Path | None = None
    overrides: tuple[str, ...] = ()
    processes: int = 1

    def __post_init__(self) -> None:
        if len(self.overrides) % 2:
            raise ValueError(f"{' '.join(self.overrides)}: give a value for each key")
        for key in self.overrides[::2]:
            if key in _OWN_KEYS:
                raise ValueError(f"{key} is set for each run of a table, and not by --opts")


@dataclass(frozen=True)
class Run:
    """The training and the test of a row with a seed.

    Attributes:
        table: that the row is of.
        row: with a config.
        seed: of everything that is random.
        choices: of the command.
    """

    table: Table
    row: Row
    seed: int
    choices: Choices

    @property
    def name(self) -> str:
        """Unique among the runs of a table."""
        return f"{self.row.name}.seed-{self.seed}"

    @property
    def _base(self) -> Path:
        return self.choices.output / self.table.name

    @property
    def folder(self) -> Path:
        """OUTPUT_DIR of its training."""
        return self._base / "runs" / self.name

    @property
    def claims(self) -> Path:
        """Where processes say which of them has the run."""
        return self._base / "claims" / self.name

    @property
    def result(self) -> Path:
        """What came of it; there is no such file until it is finished."""
        return results_folder(self.choices.output, self.table.name) / f"{self.name}.json"

    @property
    def is_finished(self) -> bool:
        return self.result.is_file()

    @cached_property
    def overrides(self) -> list[Any]:
        """``[key, value, ...]`` that make the config this run; a later key goes over a former."""
        keys: dict[str, Any] = {
            **(self.row.overrides or {}),
            "TEST.PROTOCOL": self.row.test,
            # One test, of the weights after the last step: none is chosen by the test's images.
            "TEST.EVAL_PERIOD": 0,
            "SOLVER.CHECKPOINT_KEEP": 1,
        }
        base = load_config(self.row.config, _pairs(keys))
        if self.choices.weights is not None and base.MODEL.BOTTOM_UP.WEIGHTS:
            file = self.choices.weights / Path(base.MODEL.BOTTOM_UP.WEIGHTS).name
            keys["MODEL.BOTTOM_UP.WEIGHTS"] = str(file)
        keys |= self.choices.scale.overrides(base, self.choices.processes)
        return [*_pairs({**keys, "SEED": self.seed}), *self.choices.overrides]

    @cached_property
    def config(self) -> CfgNode:
        """All keys of it.

        Raises:
            OSError, ValueError: naming the key and what is wrong with it.
        """
        cfg = load_config(self.row.config, self.overrides)
        if len(cfg.DATASETS.TEST) != 1:
            raise ValueError(
                f"DATASETS.TEST is {list(cfg.DATASETS.TEST)}: a table has the figures of one data "
                "set"
            )
        (name,) = cfg.DATASETS.TEST
        if MetadataCatalog.get(name).get("evaluator_type") == "fddb":
            raise ValueError(
                f"DATASETS.TEST is {name}, which has no settings Easy, Medium and Hard: a table "
                "has the AP of these"
            )
        return cfg

    @property
    def command(self) -> list[str]:
        """What to type after ``df2s2`` for the same training in a folder of one's own."""
        words = ["train", "--config-file", self.row.config]
        if self.choices.processes != 1:
            words += ["--num-gpus", str(self.choices.processes)]
        return [*words, *map(str, self.overrides)]

    @property
    def arguments(self) -> list[str]:
        """What to type after ``df2s2``, to train in the run's folder and to go on."""
        return [*self.command[:3], "--resume", *self.command[3:], "OUTPUT_DIR", str(self.folder)]

    @property
    def config_sha256(self) -> str:
        """Of all keys that decide what comes of it."""
        cfg = self.config.clone()
        cfg.DATALOADER.NUM_WORKERS, cfg.OUTPUT_DIR, cfg.SOLVER.CHECKPOINT_KEEP = 0, "", 0
        return hashlib.sha256(cfg.dump().encode()).hexdigest()

    def start(self) -> None:
        """Make its folder, and write there what it is, unless that stands there already.

        Raises:
            OSError: if it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._record.is_file():
            content = {"config": self.config.dump(), "data": self._data, "code": code_version()}
            write_durably(str(self._record), json.dumps(content, indent=1).encode())

    def check_unchanged(self) -> None:
        """Check that it is the run that was started in its folder, or finished, if any was.

        Raises:
            OSError, ValueError: naming what has changed.
        """
        changes = {}
        if self._record.is_file():
            started = self.started
            before, after = map(CfgNode.load_cfg, (started["config"], self.config.dump()))
            keys = config_changes(before, after)
            changes = {key: change for key, change in keys.items() if key not in _FREE_KEYS}
            if started["data"] != self._data:
                changes["--data"] = f"{started['data']} -> {self._data}"
        elif self.is_finished and read_result(self.result)["config_sha256"] != self.config_sha256:
            changes["its config"] = "is another one"
        if changes:
            told = ", ".join(f"{key} {change}" for key, change in changes.items())
            raise ValueError(
                f"{self.name} in {self._base} is another run ({told}): name another --output, or "
                f"remove {self.folder} and {self.result} to start it anew"
            )

    def check_comparable(self) -> None:
        """Check that it starts from the weights, and learns from the data, of its other seeds.

        Their results are one row of the table; what else differs makes rows of their own.

        Raises:
            OSError, ValueError: naming what differs.
        """
        for record in sorted(self.folder.parent.glob(f"{self.row.name}.seed-*/{_RECORD}")):
            other = _read_record(record)
            weights = _bottom_up_weights(other["config"])
            for option, before, now in (
                ("--data", other["data"], self._data),
                ("MODEL.BOTTOM_UP.WEIGHTS", weights, self.config.MODEL.BOTTOM_UP.WEIGHTS),
            ):
                if before != now:
                    raise ValueError(
                        f"{self.name} would not be comparable with {record.parent.name} in "
                        f"{self._base} ({option} {before} -> {now}): name another --output"
                    )

    @property
    def started(self) -> dict[str, str]:
        """``config``, ``data`` and ``code`` as they were when it was started.

        Raises:
            OSError, ValueError: if the file cannot be read; names it.
        """
        return _read_record(self._record)

    @property
    def _record(self) -> Path:
        return self.folder / _RECORD

    @property
    def _data(self) -> str:
        return os.path.realpath(self.choices.data)


def plan_runs(
    table: Table, rows: Sequence[str], seeds: Sequence[int], choices: Choices
) -> list[Run]:
    """All runs, seed by seed, so that a whole table is there first; checked before any starts.

    Raises:
        OSError, ValueError: if a row, a config or a key is wrong, or a run is not the one that was
            started in its folder.
    """
    chosen = table.choose(rows)
    runs = [Run(table, row, seed, choices) for seed in dict.fromkeys(seeds) for row in chosen]
    for run in runs:
        _ = run.config
        run.check_unchanged()
        run.check_comparable()
    return runs


@cache  # every seed of a row asks for those of all others
def _bottom_up_weights(config: str) -> str:
    return CfgNode.load_cfg(config).MODEL.BOTTOM_UP.WEIGHTS


def _read_record(path: Path) -> dict[str, str]:
    content = read_json(path)
    try:
        return {key: str(content[key]) for key in ("config", "data", "code")}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is no record of a run: {error!r}") from error


def _pairs(keys: dict[str, Any]) -> list[Any]:
    return [part for pair in keys.items() for part in pair]
