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
    FOLDER.parent / "docs/runtimes.md": {"runtimes.json": "Measured"},
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
        "held_faces.json": "Faces that a hidden video shows, of a drawn detector",
        "held_faces_small.json": "Faces that a hidden video shows, of faces-small",
        "long_search.json": "A long search",
        "precisions.json": "Half precision beside single precision on a CPU",
    },
    FOLDER.parent / "docs/serve.md": {"serving.json": "Measured"},
    FOLDER.parent / "docs/cluster.md": {
        "scaling_cpu.json": "Two processes on a CPU",
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
        "serving": _serving_table,
        "scaling": _scaling_table,
        "long_search": _long_search_table,
        "precisions": _precisions_table,
        "detectors": _detectors_table,
        "runtimes": _runtimes_table,
        "held_faces": _held_faces_table,
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


def _scaling_table(results: dict[str, Any]) -> str:
    header = ["config", "image", "images a process", "gradients MB", "processes", "how"]
    header += ["step ms", "images/s", "x one alone", "processor ms an image", "noise"]
    rows = []
    for row in results["rows"]:
        size = results["size"]
        rows.append([Path(results["config"]).stem, f"{size} x {size}", results["batch_size"]])
        rows[-1] += [_number(results["gradient_mb"]), row["processes"], row["kind"]]
        rows[-1] += [_number(row["median_ms"]), _number(row["images_per_second"])]
        rows[-1] += [f"{row['speedup']:.2f}", _number(row["processor_ms_per_image"])]
        rows[-1] += [f"{results['noise']:.1%}"]
    return _table(header, rows)


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


def _long_search_table(results: dict[str, Any]) -> str:
    header = ["", "processor minutes", "images or files", *(f"MB, tenth {i}" for i in range(1, 11))]
    header += ["peak MB", "result"]
    predictor, detect = results["predictor"], results["detect"]
    counts = {"Predictor": predictor["images"], "df2s2 detect": detect["files"]}
    ends = [f"{predictor['boxes']} boxes in {predictor['sizes']} sizes"]
    ends += [
        f"{detect['images_with_results']} images, {detect['broken']} files broken, exit code "
        f"{detect['exit_code']}"
    ]
    rows = []
    for part, end, (name, count) in zip((predictor, detect), ends, counts.items(), strict=True):
        rows.append([name, _number(part["processor_minutes"]), count])
        rows[-1] += [f"{x:.0f}" for x in (*part["memory_mb"], part["peak_mb"])] + [end]
    return _table(header, rows)


def _precisions_table(results: list[dict[str, Any]]) -> str:
    names = list(results[0]["ap"])
    rows = [
        [
            row["config"],
            row["precision"],
            row["images"],
            row["detections"],
            *(f"{row['ap'][name]:.4f}" for name in names),
            *(f"{row['difference'][name]:+.4f}" for name in names),
        ]
        for row in results
    ]
    header = [
        "config",
        "precision",
        "images",
        "detections",
        *names,
        *(f"{name} apart" for name in names),
    ]
    return _table(header, rows)


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


def _runtimes_table(results: dict[str, Any]) -> str:
    accuracy = []
    for row in results["accuracy"]:
        aps = (row[f"AP_{setting}"] for setting in ("easy", "medium", "hard"))
        size = row["bytes"] and row["bytes"] / 1e6
        accuracy.append([row["runtime"], row["precision"], _number(size)])
        accuracy[-1] += [" / ".join(f"{ap:.4f}" for ap in aps), row["faces"]]
        accuracy[-1] += [row["faces_in_one_only"], f"{row['largest_score_difference']:.1e}"]
    speed = []
    for row in results["speed"]:
        speed.append([row["detector"], " x ".join(map(str, row["size"])), row["threads"]])
        speed[-1] += [row["runtime"], row["precision"], _number(row["median_ms"])]
        speed[-1] += [f"{row['times_faster']:.2f}", _number(row["new_size_ms"])]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    header = ["runtime", "precision", "MB", "Easy / Medium / Hard AP", "faces", "in one only"]
    header += ["largest difference of a score"]
    return "\n\n".join(
        (
            f"{versions}; {results['accuracy'][0]['images']} photographs; load of the machine "
            f"before the timing: {results['load_before_timing']:.1f}",
            _table(header, accuracy),
            _table(
                ["detector", "image", "threads", "runtime", "precision", "median ms"]
                + ["x PyTorch fp32's speed", "ms in a new size"],
                speed,
            ),
        )
    )


def _held_faces_table(results: list[dict[str, Any]]) -> str:
    header = ["longest gap s", "faces in frames", "exposed", "share", "pixels hidden"]
    header += ["people", "tracks", "ms a frame"]
    rows = []
    for row in results:
        exposed, count = row["exposed"], row["face_frames"]
        rows.append([_number(row["max_gap"]), f"{count:,}", f"{exposed:,}"])
        rows[-1] += [f"{exposed / count:.2%}", f"{row['hidden_share']:.1%}"]
        rows[-1] += [row["people"], row["tracks"], _number(row["ms_a_frame"])]
    return _table(header, rows)


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


def _serving_table(results: list[dict[str, Any]]) -> str:
    header = ["", "images together", "clients", "images/s", "median ms", "95 % within ms"]
    rows = []
    for row in results:
        rows.append([row["what"], row["batch_size"], row["clients"] or ""])
        figures = ("images_per_second", "median_ms", "ms_of_95_percent")
        rows[-1] += [_number(row[figure]) for figure in figures]
    return _table(header, rows)


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
