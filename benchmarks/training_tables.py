"""Results of the benchmarks of training, as Markdown tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.common import number
from df2s2_d2.tables.markdown import markdown_table


def training_table(results: list[dict[str, Any]]) -> str:
    stages = list(next(row["stages_ms"] for row in results if row["stages_ms"]))
    header = ["config", "image", "faces", "batch", "precision", "model", "step", "median ms"]
    header += ["images/s", "x RetinaNet", "noise", "memory MB"]
    header += [*(f"{stage} ms" for stage in stages), "host waits in matching and losses"]
    rows = []
    for row in results:
        rows.append([Path(row["config"]).stem, f"{row['size']} x {row['size']}", row["faces"]])
        rows[-1] += [row["batch_size"], row["precision"], row["model"], row["variant"]]
        rows[-1] += [number(row["median_ms"]), number(row["images_per_second"])]
        rows[-1] += [f"{row['speedup']:.2f}", f"{row['noise']:.1%}"]
        rows[-1] += [number(row["working_memory_mb"])]
        times = row["stages_ms"] or {}
        rows[-1] += [number(times.get(stage)) for stage in stages]
        rows[-1] += [number(row["synchronizations"])]
    return markdown_table(header, rows)


def matching_table(results: list[dict[str, Any]]) -> str:
    header = ["faces", "anchors", "windows s", "dense s", "dense / windows", "noise"]
    header += ["windows MB", "dense MB", "labels agreeing"]
    rows = []
    for row in results:
        dense, windows = row["dense_seconds"], row["windows_seconds"]
        rows.append([row["faces"], row["anchors"], f"{windows:.4f}"])
        rows[-1] += [f"{dense:.4f}", f"{dense / windows:.1f}"] if dense else ["not run", ""]
        rows[-1] += [f"{row['noise']:.1%}", number(row["windows_memory_mb"])]
        rows[-1] += [number(row["dense_memory_mb"])]
        agreeing = row["labels_agreeing"]
        rows[-1] += ["" if agreeing is None else f"{agreeing:.4%}"]
    return markdown_table(header, rows)


def targets_and_losses_table(results: dict[str, Any]) -> str:
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
            rows[-1] += [number(ours)]
            rows[-1] += [number(theirs), f"{theirs / ours:.1f}"] if theirs else ["not run", ""]
        rows[-1] += [number(row["with_masks_ms"]), number(row["both_ours_memory_mb"])]
        rows[-1] += [number(row["both_theirs_memory_mb"]), number(row["with_masks_memory_mb"])]
    steps = results["steps"]
    step_rows = [
        [row["faces"], number(row["median_ms"]), f"{row['times_first']:.2f}"]
        + [number(row["memory_mb"]), f"{steps['noise']:.1%}"]
        for row in steps["rows"]
    ]
    first = steps["rows"][0]["faces"]
    step_header = ["faces an image", "whole step ms", f"x {first} faces", "MB", "noise"]
    return f"{markdown_table(header, rows)}\n\n{markdown_table(step_header, step_rows)}"


def input_pipeline_table(results: list[dict[str, Any]]) -> str:
    stages = list(results[0]["stages_ms"])
    header = ["photographs", "mapper", "images/s a core", "x df2s2_d2's time", "noise"]
    header += [*(f"{stage} ms" for stage in stages), "GPUs fed"]
    rows = []
    for row in results:
        rows.append([row["photographs"], row["mapper"], number(row["images_per_second"])])
        rows[-1] += [f"{row['times_slower']:.2f}", f"{row['noise']:.1%}"]
        rows[-1] += [number(row["stages_ms"][stage]) for stage in stages]
        rows[-1] += [number(row["gpus_fed"])]
    return markdown_table(header, rows)


def scaling_table(results: dict[str, Any]) -> str:
    header = ["config", "image", "images a process", "gradients MB", "processes", "how"]
    header += ["step ms", "images/s", "x one alone", "processor ms an image", "noise"]
    rows = []
    for row in results["rows"]:
        size = results["size"]
        rows.append([Path(results["config"]).stem, f"{size} x {size}", results["batch_size"]])
        rows[-1] += [number(results["gradient_mb"]), row["processes"], row["kind"]]
        rows[-1] += [number(row["median_ms"]), number(row["images_per_second"])]
        rows[-1] += [f"{row['speedup']:.2f}", number(row["processor_ms_per_image"])]
        rows[-1] += [f"{results['noise']:.1%}"]
    return markdown_table(header, rows)


def soak_table(results: dict[str, Any]) -> str:
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
    return f"Disturbed by {faults}; {text}\n\n{markdown_table(header, rows)}"


def short_training_table(results: dict[str, Any]) -> str:
    first, last = results["losses"][0], results["losses"][-1]
    rows = [
        ["iterations", last["iteration"] + 1],
        ["total loss, first and last", f"{first['total_loss']:.3f} → {last['total_loss']:.3f}"],
        ["images/s", number(results["images_per_second"])],
        ["peak memory MB", number(results["peak_memory_mb"])],
        ["protocol", results["protocol"]],
    ]
    rows += [[name, f"{value:.3f}"] for name, value in results["accuracy"].items()]
    return markdown_table(["figure", "value"], rows)


def first_steps_table(results: list[dict[str, Any]]) -> str:
    rows = []
    for row in results:
        failure = (row["error"] or "").strip().rpartition("\n")[2]
        cells = [f"`{Path(row['config']).stem}`", row["what"], number(row["seconds"])]
        rows.append([*cells, failure[:200]])
    return markdown_table(["config", "attempt", "s", "failure"], rows)
