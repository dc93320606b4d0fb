#!/usr/bin/env python3
"""Turn the benchmarks' JSON into Markdown tables.

python -m benchmarks.make_table output/gpu/inference.json   # print tables
python -m benchmarks.make_table --update                    # benchmarks/results into the pages
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "results"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
# What a page shows between those marks, in this order: a file of results/ and its heading.
PAGES = {
    FOLDER / "README.md": {
        "first_steps_gpu.json": "First steps on a GPU",
        "inference_gpu.json": "Inference on a GPU",
        "inference_compiled_gpu.json": "Inference on a GPU, compiled",
        "inference_cpu.json": "Inference on a CPU",
        "training_gpu.json": "Training steps on a GPU",
        "training_cpu.json": "Training steps on a CPU",
        "short_training_gpu.json": "A short training on a GPU",
        "matching_gpu.json": "Matching on a GPU",
        "matching_cpu.json": "Matching on a CPU",
        "targets_and_losses_cpu.json": "Targets and losses on a CPU",
        "input_pipeline.json": "Input pipeline on a CPU",
        "evaluation.json": "Evaluation on a CPU",
        "detectors.json": "The small detector beside others on a CPU",
        "soak.json": "A disturbed training",
    },
}


def to_markdown(document: dict[str, Any]) -> str:
    """A line about the conditions and a table of the results of one benchmark."""
    tables = {
        "inference": _inference_table,
        "training": _training_table,
        "complexity": _complexity_table,
        "matching": _matching_table,
        "targets_and_losses": _targets_and_losses_table,
        "first_steps": _first_steps_table,
        "short_training": _short_training_table,
        "evaluation": _evaluation_table,
        "input_pipeline": _input_pipeline_table,
        "soak": _soak_table,
        "detectors": _detectors_table,
    }
    environment, settings = document["environment"], document["settings"]
    table = tables[document["benchmark"]](document["results"])
    if document["benchmark"] == "complexity":  # the same on every machine
        return f"One image of {settings['height']} x {settings['width']} pixels\n\n{table}"
    machine = f"{environment['device']}, torch {environment['torch']}"
    if environment["device_type"] == "cpu":
        machine += f", {environment['cpu_threads']} threads"
    return f"{machine}\n\n{table}"


def _inference_table(results: list[dict[str, Any]]) -> str:
    stages = list(results[0]["stages_ms"])
    header = ["config", "image", "model", "precision", "batch", "median ms", "images/s"]
    header += ["x RetinaNet fp32", "noise", "memory MB"]
    header += [*(f"{stage} ms" for stage in stages), "boxes into NMS"]
    rows = []
    for row in results:
        rows.append([Path(row["config"]).stem, " x ".join(map(str, row["size"])), row["model"]])
        rows[-1] += [row["precision"], row["batch_size"], _number(row["median_ms"])]
        rows[-1] += [_number(row["images_per_second"]), f"{row['speedup']:.2f}"]
        rows[-1] += [f"{row['noise']:.1%}"]
        rows[-1] += [_number(row["working_memory_mb"])]
        rows[-1] += [_number(row["stages_ms"][stage]) for stage in stages]
        rows[-1] += [_number(row["nms_inputs_per_image"])]
    return _table(header, rows)


def _training_table(results: list[dict[str, Any]]) -> str:
    stages = list(next(row["stages_ms"] for row in results if row["stages_ms"]))
    header = ["config", "image", "faces", "batch", "precision", "model", "step", "median ms"]
    header += ["images/s", "x RetinaNet", "noise", "memory MB"]
    header += [*(f"{stage} ms" for stage in stages), "host waits in matching and losses"]
    rows = []
    for row in results:
        rows.append([Path(row["config"]).stem, f"{row['size']} x {row['size']}", row["faces"]])
        rows[-1] += [row["batch_size"], row["precision"], row["model"], row["variant"]]
        rows[-1] += [_number(row["median_ms"]), _number(row["images_per_second"])]
        rows[-1] += [f"{row['speedup']:.2f}", f"{row['noise']:.1%}"]
        rows[-1] += [_number(row["working_memory_mb"])]
        times = row["stages_ms"] or {}
        rows[-1] += [_number(times.get(stage)) for stage in stages]
        rows[-1] += [_number(row["synchronizations"])]
    return _table(header, rows)


def _matching_table(results: list[dict[str, Any]]) -> str:
    header = ["faces", "anchors", "windows s", "dense s", "dense / windows", "noise"]
    header += ["windows MB", "dense MB", "labels agreeing"]
    rows = []
    for row in results:
        dense, windows = row["dense_seconds"], row["windows_seconds"]
        rows.append([row["faces"], row["anchors"], f"{windows:.4f}"])
        rows[-1] += [f"{dense:.4f}", f"{dense / windows:.1f}"] if dense else ["not run", ""]
        rows[-1] += [f"{row['noise']:.1%}", _number(row["windows_memory_mb"])]
        rows[-1] += [_number(row["dense_memory_mb"])]
        agreeing = row["labels_agreeing"]
        rows[-1] += ["" if agreeing is None else f"{agreeing:.4%}"]
    return _table(header, rows)


def _targets_and_losses_table(results: dict[str, Any]) -> str:
    header = ["faces an image", "images", "pixels", "noise"]
    stages = ("targets", "losses", "both")
    for stage in stages:
        header += [f"{stage} ms", f"RetinaNet's {stage} ms", "x"]
    header += ["with masks ms", "MB", "RetinaNet's MB", "with masks MB"]
    rows = []
    for row in results["parts"]:
        rows.append([row["faces"], row["batch_size"], row["size"], f"{row['noise']:.1%}"])
        for stage in stages:
            ours, theirs = row[f"{stage}_ours_ms"], row[f"{stage}_theirs_ms"]
            rows[-1] += [_number(ours)]
            rows[-1] += [_number(theirs), f"{theirs / ours:.1f}"] if theirs else ["not run", ""]
        rows[-1] += [_number(row["with_masks_ms"]), _number(row["both_ours_memory_mb"])]
        rows[-1] += [_number(row["both_theirs_memory_mb"]), _number(row["with_masks_memory_mb"])]
    steps = results["steps"]
    step_rows = [
        [row["faces"], _number(row["median_ms"]), f"{row['times_first']:.2f}"]
        + [_number(row["memory_mb"]), f"{steps['noise']:.1%}"]
        for row in steps["rows"]
    ]
    first = steps["rows"][0]["faces"]
    step_header = ["faces an image", "whole step ms", f"x {first} faces", "MB", "noise"]
    return f"{_table(header, rows)}\n\n{_table(step_header, step_rows)}"


def _evaluation_table(results: dict[str, Any]) -> str:
    header = ["detections", "arrays s", "loops s", "loops / arrays", "largest difference of AP"]
    header += ["arrays bytes/detection", "COCO's AP s"]
    rows = []
    for row in results["growth"]:
        arrays, loops = row["arrays_seconds"], row["loops_seconds"]
        rows.append([f"{row['detections']:,}", f"{arrays:.3f}"])
        if loops is None:
            rows[-1] += ["not run", "", ""]
        else:
            rows[-1] += [f"{loops:.1f}", f"{loops / arrays:.0f}"]
            rows[-1] += [f"{row['largest_difference']:.0e}"]
        rows[-1] += [_number(row["arrays_bytes_per_detection"]), _number(row["coco_seconds"])]
    table, command = _table(header, rows), results["command"]
    if command:
        table += (
            f"\n\nThe whole tool, from an archive of {command['detections']:,} detections to its "
            f"table: {command['command_seconds']:.2f} s; {command['read_seconds']:.2f} s of them "
            "read the archive."
        )
    first, *others = results["fddb"]
    table += (
        f"\n\nBy FDDB's protocol {first['detections']:,} detections of a detector that keeps "
        f"everything take {first['seconds']:.2f} s"
    )
    for row in others:
        table += f"; {row['detections']:,}, {row['times_the_first']:.1f} times as long"
    return f"{table}."


def _soak_table(results: dict[str, Any]) -> str:
    alone, disturbed, differences = (results[k] for k in ("alone", "disturbed", "differences"))
    faults = ", ".join(f"{x['ended_by']} at step {x['at']}" for x in disturbed["starts"][:-1])
    header = ["", "left alone", "disturbed"]
    names = ["starts", "steps", "steps_taken_again", "images", "faces"]
    names += ["faceless_images", "broken_images"]
    rows = []
    for name in names:
        values = [run[name] for run in (alone, disturbed)]
        rows.append([name.replace("_", " "), *(len(x) if name == "starts" else x for x in values)])
    for name in alone["memory_mb"]:
        values = [f"{run['memory_mb'][name]:.0f}" for run in (alone, disturbed)]
        rows.append([f"MB {name.replace('_', ' ')}", *values])
    for name in alone["figures"]:
        rows.append([name, *(f"{run['figures'][name]:.6f}" for run in (alone, disturbed))])
    text = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in differences.items())
    return f"Disturbed by {faults}; {text}\n\n{_table(header, rows)}"


def _input_pipeline_table(results: list[dict[str, Any]]) -> str:
    stages = list(results[0]["stages_ms"])
    header = ["photographs", "mapper", "images/s a core", "x df2s2_d2's time", "noise"]
    header += [*(f"{stage} ms" for stage in stages), "GPUs fed"]
    rows = []
    for row in results:
        rows.append([row["photographs"], row["mapper"], _number(row["images_per_second"])])
        rows[-1] += [f"{row['times_slower']:.2f}", f"{row['noise']:.1%}"]
        rows[-1] += [_number(row["stages_ms"][stage]) for stage in stages]
        rows[-1] += [_number(row["gpus_fed"])]
    return _table(header, rows)


def _detectors_table(results: dict[str, Any]) -> str:
    networks = [
        [row["detector"], _number(row["parameters"] / 1e6), _number(row["macs"] / 1e9)]
        + ([_number(row["bytes"] / 1e6), f"`{row['sha256'][:12]}`"] if row["sha256"] else ["", ""])
        for row in results["networks"]
    ]
    figures: dict[tuple[str, str], dict[str, str]] = {}
    for row in results["accuracy"]:
        aps = (row[f"AP_{setting}"] for setting in ("easy", "medium", "hard"))
        by_scales = figures.setdefault((row["detector"], row["engine"]), {})
        by_scales[row["scales"]] = " / ".join(f"{ap:.3f}" for ap in aps)
    protocol = results["accuracy"][0]["protocol"]
    scales = list(next(iter(figures.values())))
    bases = list(dict.fromkeys(base for row in results["speed"] for base in row["times"]))
    small, fastest, speed = results["networks"][0]["detector"], {}, []
    for row in results["speed"]:
        setting = (*row["size"], row["threads"])
        if row["detector"] == small:
            fastest[setting] = min(row, fastest.get(setting, row), key=lambda x: x["median_ms"])
        speed.append([" x ".join(map(str, row["size"])), row["threads"], row["detector"]])
        speed[-1] += [row["engine"], _number(row["median_ms"])]
        speed[-1] += [_number(row["times"].get(base)) for base in bases]
        speed[-1] += [f"{row['noise']:.1%}"]
    return "\n\n".join(
        (
            _table(["network", "M parameters", "GMAC", "MB", "sha256"], networks),
            f"Easy / Medium / Hard AP on {results['accuracy'][0]['images']} photographs, "
            f"score > {protocol['score_threshold']}, NMS {protocol['nms_threshold']}, "
            f"{protocol['max_detections']} boxes, {protocol['merge']}:",
            _table(
                ["network", "engine", *scales],
                [[*names, *(row[s] for s in scales)] for names, row in figures.items()],
            ),
            f"Fastest engine of {small}: "
            f"{', '.join(sorted({row['engine'] for row in fastest.values()}))}; load of the "
            f"machine before the timing: {results['load_before_timing']:.1f}",
            _table(
                ["image", "threads", "network", "engine", "median ms"]
                + [f"x {base}" for base in bases]
                + ["noise"],
                speed,
            ),
        )
    )


def _short_training_table(results: dict[str, Any]) -> str:
    first, last = results["losses"][0], results["losses"][-1]
    rows = [
        ["iterations", last["iteration"] + 1],
        ["total loss, first and last", f"{first['total_loss']:.3f} → {last['total_loss']:.3f}"],
        ["images/s", _number(results["images_per_second"])],
        ["peak memory MB", _number(results["peak_memory_mb"])],
        ["protocol", results["protocol"]],
    ]
    rows += [[name, f"{value:.3f}"] for name, value in results["accuracy"].items()]
    return _table(["figure", "value"], rows)


def _first_steps_table(results: list[dict[str, Any]]) -> str:
    rows = []
    for row in results:
        failure = (row["error"] or "").strip().rpartition("\n")[2]
        cells = [f"`{Path(row['config']).stem}`", row["what"], _number(row["seconds"])]
        rows.append([*cells, failure.replace("|", "\\|")[:200]])
    return _table(["config", "attempt", "s", "failure"], rows)


def _complexity_table(results: list[dict[str, Any]]) -> str:
    header = ["config", "parameters, training", "parameters, inference", "GMAC"]
    rows = [
        [
            f"`{row['config']}`",
            f"{row['parameters'] / 1e6:.1f} M",
            f"{row['inference_parameters'] / 1e6:.1f} M",
            f"{row['macs'] / 1e9:.1f}",
        ]
        for row in results
    ]
    return _table(header, rows)


def _number(value: float | None) -> str:
    """Three significant digits; whole numbers above that; nothing for what was not measured."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def results_section(folder: Path, sections: dict[str, str]) -> str:
    """A page's section: a table for every measured benchmark, a plain word for the others."""
    parts = []
    for name, heading in sections.items():
        file = folder / name
        text = "Not yet measured."
        if file.exists():
            text = to_markdown(json.loads(file.read_text(encoding="utf-8")))
        parts.append(f"### {heading}\n\n{text}\n")
    return "\n".join(parts)


def updated_page(page: str, folder: Path, sections: dict[str, str]) -> str:
    """A page's text with the section between its two markers made anew."""
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{results_section(folder, sections)}{END}{after}"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, help="JSON of benchmarks")
    parser.add_argument("--update", action="store_true", help="rewrite the results on the pages")
    args = parser.parse_args(arguments)
    for file in args.files:
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            print(f"### {file.stem}\n\n{to_markdown(document)}\n")
        except (OSError, ValueError, KeyError) as error:
            sys.exit(f"make_table: {file} is not a readable result of a benchmark: {error!r}")
    if args.update:
        for path, sections in PAGES.items():
            page = path.read_text(encoding="utf-8")
            path.write_text(updated_page(page, RESULTS, sections), encoding="utf-8")


if __name__ == "__main__":
    main()
