#!/usr/bin/env python3
"""Make MODEL_ZOO.md of the index of the papers' tables and of the files of results.

    python -m benchmarks.model_zoo            # write it
    python -m benchmarks.model_zoo --check    # exit with 1 if it is not what the files say

Results of `df2s2 table` are shown once OUTPUT/TABLE/results lies in benchmarks/results/tables, in a
folder of its own for every table and scale. benchmarks/results/recorded has what was measured by
other commands, which stand beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.make_table import RESULTS, to_markdown
from benchmarks.models import OURS
from df2s2_d2 import load_config
from df2s2_d2.models import list_models
from df2s2_d2.tables.index import SETTINGS, Row, Table, find_table, read_tables
from df2s2_d2.tables.markdown import (
    duration,
    markdown_table,
    mean_and_deviation,
    paper_figures,
    table_to_markdown,
)
from df2s2_d2.tables.results import read_results

PAGE = RESULTS.parents[1] / "MODEL_ZOO.md"
_INTRODUCTION = """\
# Measured figures

Made by `python -m benchmarks.model_zoo` of the papers' tables and of the files in
`benchmarks/results/`. AP is Easy / Medium / Hard of WIDER FACE: a fraction of 1 where the command
beside it has measured it, in percent where it stands beside a paper's.
"""
_PAPERS = """\
## The papers' tables

`df2s2 table NAME` trains, tests and prints one, at any share of its cost ([how](docs/tables.md)).
*AP here* is that of the whole schedule on all of WIDER FACE, *parameters* are those at inference,
and *ms* is the median of one image in fp32, off the fast path: {inference}.
"""
_TRAINED = """\
## Tables at a share of their cost

Rows of one table are comparable with each other, and not with the paper. They were trained on 1,554
photographs that are not WIDER FACE's, with 7,120 faces, and tested on 200 images of its validation
split that were squeezed to 416 x 416 pixels.
"""


def page(results: Path = RESULTS) -> str:
    """The text of MODEL_ZOO.md.

    Args:
        results: folder of the files.
    """
    runs = [read_results(folder) for folder in _folders(results / "tables")]
    whole = [result for group in runs for result in group if _is_whole(result)]
    parts = [_INTRODUCTION]
    parts += [_recorded(section) for section in _sections(results / "recorded")]
    shares = [group for group in runs if group and not all(map(_is_whole, group))]
    if shares:
        parts.append(_TRAINED)
        parts += [_at_a_share(group) for group in shares]
    complexity = _read(results / "complexity.json")
    inference = _inference(results)
    parts.append(_PAPERS.format(inference=_described(inference)))
    zoo = _Zoo(whole, complexity["results"], inference["results"])
    parts += [zoo.section(table) for table in read_tables().values()]
    parts.append(f"## Parameters and operations\n\n{to_markdown(complexity)}\n")
    return "\n".join(parts)


class _Zoo:
    """What is known of a config, by the files of results."""

    def __init__(
        self,
        trained: Sequence[Mapping[str, Any]],
        complexity: Sequence[Mapping[str, Any]],
        inference: Sequence[Mapping[str, Any]],
    ) -> None:
        self._trained = trained
        self._parameters = {f"{r['config']}.yaml": r["inference_parameters"] for r in complexity}
        self._milliseconds = {
            row["config"].removeprefix("configs/"): row["median_ms"]
            for row in inference
            if (row["model"], row["batch_size"], row["precision"]) == (OURS, 1, "fp32")
        }
        self._models = {model.config: model for model in list_models().values()}

    def section(self, table: Table) -> str:
        header = ["row", "config", "steps x images", "AP paper", "AP here", "training", "memory"]
        header += ["ms", "parameters", "weights"]
        rows = [self._cells(table, row) for row in table.trained_rows]
        others = [row for row in table.rows if not row.config]
        lines = [f"### `{table.name}`: {table.title}", "", markdown_table(header, rows)]
        notes = [table.note, *(f"{row.label}: {row.note}." for row in table.rows if row.note)]
        notes += [_cited(others)] if others else []
        lines += ["", *(f"- {note}" for note in notes if note)]
        return "\n".join(lines).rstrip() + "\n"

    def _cells(self, table: Table, row: Row) -> list[Any]:
        solver = load_config(row.config).SOLVER
        trained = [r for r in self._trained if (r["table"], r["row"]) == (table.name, row.name)]
        means = (mean_and_deviation([r["ap"][s] for r in trained]) for s in SETTINGS)
        hours = [r["training"]["hours"] for r in trained]
        memory = [r["training"]["peak_memory_mb"] for r in trained]
        # What a row changes of its config may change what is counted and timed.
        is_config = not row.overrides
        parameters = self._parameters.get(row.config) if is_config else None
        milliseconds = self._milliseconds.get(row.config) if is_config else None
        changes = "".join(f", `{key} {value}`" for key, value in (row.overrides or {}).items())
        return [
            row.label,
            f"[`{Path(row.config).stem}`](configs/{row.config}){changes}",
            f"{solver.MAX_ITER:,} x {solver.IMS_PER_BATCH}",
            paper_figures(row),
            " / ".join(means) if trained else "not trained here",
            duration(sum(hours) / len(hours)) if trained and all(hours) else None,
            f"{max(memory) / 1000:.1f} GB" if trained and all(memory) else None,
            milliseconds and f"{milliseconds:.0f}",
            parameters and f"{parameters / 1e6:.1f} M",
            self._weights(row),
        ]

    def _weights(self, row: Row) -> str:
        model = None if row.overrides else self._models.get(row.config)
        if model is None:
            return "not published"
        return f"`{model.name}` (SHA-256 {model.files['weights'].sha256})"


def _cited(rows: Sequence[Row]) -> str:
    cited = "; ".join(f"{row.label} {paper_figures(row)}" for row in rows)
    reasons = "; ".join(dict.fromkeys(row.not_expressed for row in rows))
    return f"Without a config: {cited}. Reason: {reasons}."


def _is_whole(result: Mapping[str, Any]) -> bool:
    """Whether a run is what the paper has trained and tested."""
    scale = result["scale"]
    is_scaled = scale["cost"] != 1 or any(scale[k] not in (None, 1) for k in ("image", "batch"))
    return not is_scaled and not result["overrides"] and result["test_images"] == 3226


def _at_a_share(results: Sequence[Mapping[str, Any]]) -> str:
    table = find_table(results[0]["table"])
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        groups.setdefault(_settings(result), []).append(result)
    commands = "\n".join(_command(table, group) + settings for settings, group in groups.items())
    needs = "# needs such photographs in WIDER FACE's layout below $DETECTRON2_DATASETS"
    return f"{table_to_markdown(table, results)}\n```sh\n{needs}\n{commands}\n```\n"


def _command(table: Table, results: Sequence[Mapping[str, Any]]) -> str:
    """What repeats runs of a table, without their settings."""
    trained = {result["row"] for result in results}
    rows = " ".join(row.name for row in table.rows if row.name in trained)
    seeds = " ".join(map(str, sorted({result["seed"] for result in results})))
    return f"df2s2 table {table.name} --rows {rows} --seeds {seeds}"


def _settings(result: Mapping[str, Any]) -> str:
    """The options of ``df2s2 table`` that a run had."""
    scale, processes = result["scale"], result["hardware"]["processes"]
    options = {
        "scale": scale["cost"] if scale["cost"] != 1 else None,
        "image-scale": scale["image"],
        "batch-scale": scale["batch"],
        "num-gpus": processes if processes != 1 else None,
    }
    given = "".join(f" --{name} {value}" for name, value in options.items() if value is not None)
    return given + (f" --opts {result['overrides']}" if result["overrides"] else "")


def _recorded(section: Mapping[str, Any]) -> str:
    parts = [f"## {section['title']}"]
    for block in section["blocks"]:
        if "text" in block:
            parts.append(block["text"])
        elif "commands" in block:
            parts.append("\n".join(["```sh", *block["commands"], "```"]))
        else:
            rows = [[_shown(cell) for cell in row] for row in block["rows"]]
            parts.append(markdown_table(block["columns"], rows))
    return "\n\n".join(parts) + "\n"


def _shown(cell: Any) -> Any:
    if not isinstance(cell, Mapping):
        return cell
    # The last digit of figures near 0 would be all there is.
    digits = 3 if min(cell["ap"]) >= 0.002 else 4
    text = " / ".join(f"{value:.{digits}f}" for value in cell["ap"])
    return f"**{text}**" if cell.get("best") else text


def _inference(results: Path) -> dict[str, Any]:
    """Timings of inference, on a GPU where there are any."""
    on_gpu = results / "inference_gpu.json"
    return _read(on_gpu if on_gpu.is_file() else results / "inference_cpu.json")


def _described(inference: Mapping[str, Any]) -> str:
    environment = inference["environment"]
    sizes = ", ".join(
        f"{Path(config).stem} {height} x {width}"
        for config, height, width in inference["settings"]["settings"]
    )
    threads = environment["cpu_threads"]
    on_cpu = f", {threads} threads" if environment["device_type"] == "cpu" else ""
    return f"{environment['device']}{on_cpu}, {sizes} pixels"


def _sections(folder: Path) -> list[dict[str, Any]]:
    return sorted(map(_read, folder.glob("*.json")), key=lambda section: section["order"])


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir())


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    args = parser.parse_args(arguments)
    text = page()
    if not args.check:
        PAGE.write_text(text, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != text:
        sys.exit(f"{PAGE.name} is not what the files say: python -m benchmarks.model_zoo")


if __name__ == "__main__":
    main()
