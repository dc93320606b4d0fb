"""A table as Markdown: what was measured here beside what the paper has."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from df2s2_d2.evaluation.protocol import Protocol
from df2s2_d2.tables.index import SETTINGS, Row, Table

Results = Sequence[Mapping[str, Any]]

# What the paper's figures are of; fewer images are told.
_VALIDATION_IMAGES = 3226


def table_to_markdown(table: Table, results: Results) -> str:
    """The rows of a table, each with the mean and the deviation over its seeds.

    A row whose runs had different schedules or tests is there once for each: their figures are of
    different things, and have no mean.

    Args:
        table: as the paper has it.
        results: of its runs, with different seeds.

    Returns:
        Heading, table, and what the figures depend on. AP in percent, as the paper has it.
    """
    header = ["row", "config", *(setting.title() for setting in SETTINGS), "paper", "seeds"]
    header += ["training", "memory"]
    rows = [
        _cells(row, comparable)
        for row in table.rows
        for comparable in _comparable([r for r in results if r["row"] == row.name]) or [[]]
    ]
    lines = [f"### {table.title}", "", f"{table.source}. {table.note}".strip(), ""]
    lines += [markdown_table(header, rows), "", *_remarks(table, results)]
    return "\n".join(lines).rstrip() + "\n"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Cells between bars; what is None is an empty one."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    return "" if value is None else str(value).replace("|", "\\|")


def paper_figures(row: Row) -> str:
    """Easy / Medium / Hard of the paper in percent, "" if it has none."""
    if not row.paper:
        return ""
    return " / ".join(f"{row.paper[s]:.1f}" if s in row.paper else "–" for s in SETTINGS)


def figures_in_percent(ap: Mapping[str, float | None]) -> str:
    """Easy / Medium / Hard of a run in percent; a setting without faces has none."""
    return " / ".join(mean_and_deviation([ap[setting]]) for setting in SETTINGS)


def mean_and_deviation(fractions: Sequence[float | None]) -> str:
    """The mean in percent and, of two values or more, the standard deviation of one of them.

    "–" if there is no value.
    """
    values = [100 * fraction for fraction in fractions if fraction is not None]
    if not values:
        return "–"
    text = f"{statistics.fmean(values):.1f}"
    return f"{text} ± {statistics.stdev(values):.1f}" if len(values) > 1 else text


def duration(hours: float) -> str:
    """Hours in words."""
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    return f"{60 * hours:.0f} min" if hours < 2 else f"{hours:.1f} h"


def _cells(row: Row, results: Results) -> list[Any]:
    config = f"`{row.config}`" if row.config else "–"
    if row.overrides:
        config += "".join(f", `{key} {value}`" for key, value in row.overrides.items())
    if not results:
        return [row.label, config, *[None] * len(SETTINGS), paper_figures(row), None, None, None]
    measured = [
        mean_and_deviation([result["ap"][setting] for result in results]) for setting in SETTINGS
    ]
    hours = _mean(result["training"]["hours"] for result in results)
    memory = _mean(result["training"]["peak_memory_mb"] for result in results)
    return [
        row.label,
        config,
        *measured,
        paper_figures(row),
        ", ".join(str(result["seed"]) for result in results),
        None if hours is None else duration(hours),
        None if memory is None else f"{memory / 1000:.1f} GB",
    ]


def _comparable(results: Results) -> list[Results]:
    """Results of one row in groups that differ in nothing but their seeds, by the lowest seed."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for result in sorted(results, key=lambda r: r["seed"]):
        groups.setdefault((_schedule(result), _test(result)), []).append(result)
    return list(groups.values())


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _remarks(table: Table, results: Results) -> list[str]:
    """What has to be known to compare the figures."""
    remarks = [
        f"- {'; '.join(labels)}: {reason}."
        for reason, labels in _by_reason(table.rows, lambda row: row.not_expressed).items()
    ]
    remarks += [
        f"- {'; '.join(labels)}: {note}."
        for note, labels in _by_reason(table.rows, lambda row: row.note).items()
    ]
    if not results:
        return [*remarks, "- Not trained here."]
    return [
        *remarks,
        "- AP in percent, of the weights after the last step; ± is the deviation of seeds.",
        *_differing("Schedule", results, _schedule),
        *_differing("Test", results, _test),
        *_differing("Hardware", results, _hardware),
        *_differing("Code", results, lambda result: ", ".join(result["code"])),
    ]


def _by_reason(rows: Iterable[Row], reason: Callable[[Row], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        if reason(row):
            found.setdefault(reason(row), []).append(row.label)
    return found


def _differing(
    title: str, results: Results, describe: Callable[[Mapping[str, Any]], str]
) -> list[str]:
    """A line if all runs have it in common, else one for each variant, with its runs."""
    runs: dict[str, list[str]] = {}
    for result in results:
        runs.setdefault(describe(result), []).append(f"{result['row']}, seed {result['seed']}")
    if len(runs) == 1:
        return [f"- {title}: {next(iter(runs))}."]
    return [f"- {title} of {'; '.join(names)}: {text}." for text, names in runs.items()]


def _schedule(result: Mapping[str, Any]) -> str:
    scale, training = result["scale"], result["training"]
    parts = [f"{training['steps']:,} steps of {training['batch_size']}"]
    if scale["cost"] != 1 or any(scale[name] not in (None, 1) for name in ("image", "batch")):
        parts.append(f"`--scale {scale['cost']:g}`")
        parts += [f"`--{name}-scale {scale[name]:g}`" for name in ("image", "batch") if scale[name]]
    if result["overrides"]:
        parts.append(f"`{result['overrides']}`")
    return ", ".join(parts)


def _test(result: Mapping[str, Any]) -> str:
    images = f"{result['test_images']:,} images"
    if result["test_images"] != _VALIDATION_IMAGES:
        images += f" (the paper's figures are of {_VALIDATION_IMAGES:,})"
    fields = {**result["protocol"], "weights": "", "weights_sha256": ""}
    protocol = Protocol(**{**fields, "scales": tuple(fields["scales"])})
    return f"{images}, {protocol.describe()}"


def _hardware(result: Mapping[str, Any]) -> str:
    hardware = result["hardware"]
    count = f"{hardware['processes']} x " if hardware["processes"] > 1 else ""
    threads = f", {hardware['threads']} threads" if hardware["device_type"] == "cpu" else ""
    return f"{count}{hardware['device']}{threads}, torch {result['torch']}"
