#!/usr/bin/env python3
"""Turn the benchmarks' JSON into Markdown tables.

python -m benchmarks.make_table output/gpu/inference.json   # print tables
python -m benchmarks.make_table --update                    # benchmarks/results into the pages
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import detection_tables, training_tables
from benchmarks.cluster_estimates import cluster_throughput_tables

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
    FOLDER.parent / "docs/scale.md": {"cluster_throughput.json": "Measured"},
    FOLDER.parent / "docs/serve.md": {"serving.json": "Measured"},
    FOLDER.parent / "docs/cluster.md": {
        "scaling_cpu.json": "Two processes on a CPU",
    },
}


def to_markdown(document: dict[str, Any]) -> str:
    """A line about the conditions and a table of the results of one benchmark."""
    tables = {
        "inference": detection_tables.inference_table,
        "training": training_tables.training_table,
        "complexity": detection_tables.complexity_table,
        "matching": training_tables.matching_table,
        "targets_and_losses": training_tables.targets_and_losses_table,
        "first_steps": training_tables.first_steps_table,
        "short_training": training_tables.short_training_table,
        "evaluation": detection_tables.evaluation_table,
        "input_pipeline": training_tables.input_pipeline_table,
        "soak": training_tables.soak_table,
        "serving": detection_tables.serving_table,
        "scaling": training_tables.scaling_table,
        "long_search": detection_tables.long_search_table,
        "precisions": detection_tables.precisions_table,
        "detectors": detection_tables.detectors_table,
        "runtimes": detection_tables.runtimes_table,
        "held_faces": detection_tables.held_faces_table,
    }
    benchmark, environment = document["benchmark"], document["environment"]
    settings, results = document["settings"], document["results"]
    if benchmark == "cluster_throughput":
        table = cluster_throughput_tables(results, settings)
    else:
        table = tables[benchmark](results)
    if benchmark == "complexity":  # the same on every machine
        return f"One image of {settings['height']} x {settings['width']} pixels\n\n{table}"
    machine = f"{environment['device']}, torch {environment['torch']}"
    if environment["device_type"] == "cpu":
        machine += f", {environment['cpu_threads']} threads"
    return f"{machine}\n\n{table}"


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
