"""Results of the benchmarks of finding faces, as Markdown tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.common import number
from df2s2_d2.tables.markdown import markdown_table


def inference_table(results: list[dict[str, Any]]) -> str:
    stages = list(results[0]["stages_ms"])
    header = ["config", "image", "model", "precision", "batch", "median ms", "images/s"]
    header += ["x RetinaNet fp32", "noise", "memory MB"]
    header += [*(f"{stage} ms" for stage in stages), "boxes into NMS"]
    rows = []
    for row in results:
        rows.append([Path(row["config"]).stem, " x ".join(map(str, row["size"])), row["model"]])
        rows[-1] += [row["precision"], row["batch_size"], number(row["median_ms"])]
        rows[-1] += [number(row["images_per_second"]), f"{row['speedup']:.2f}"]
        rows[-1] += [f"{row['noise']:.1%}"]
        rows[-1] += [number(row["working_memory_mb"])]
        rows[-1] += [number(row["stages_ms"][stage]) for stage in stages]
        rows[-1] += [number(row["nms_inputs_per_image"])]
    return markdown_table(header, rows)


def complexity_table(results: list[dict[str, Any]]) -> str:
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
    return markdown_table(header, rows)


def evaluation_table(results: dict[str, Any]) -> str:
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
        rows[-1] += [number(row["arrays_bytes_per_detection"]), number(row["coco_seconds"])]
    table, command = markdown_table(header, rows), results["command"]
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


def detectors_table(results: dict[str, Any]) -> str:
    networks = [
        [row["detector"], number(row["parameters"] / 1e6), number(row["macs"] / 1e9)]
        + ([number(row["bytes"] / 1e6), f"`{row['sha256'][:12]}`"] if row["sha256"] else ["", ""])
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
        speed[-1] += [row["engine"], number(row["median_ms"])]
        speed[-1] += [number(row["times"].get(base)) for base in bases]
        speed[-1] += [f"{row['noise']:.1%}"]
    return "\n\n".join(
        (
            markdown_table(["network", "M parameters", "GMAC", "MB", "sha256"], networks),
            f"Easy / Medium / Hard AP on {results['accuracy'][0]['images']} photographs, "
            f"score > {protocol['score_threshold']}, NMS {protocol['nms_threshold']}, "
            f"{protocol['max_detections']} boxes, {protocol['merge']}:",
            markdown_table(
                ["network", "engine", *scales],
                [[*names, *(row[s] for s in scales)] for names, row in figures.items()],
            ),
            f"Fastest engine of {small}: "
            f"{', '.join(sorted({row['engine'] for row in fastest.values()}))}; load of the "
            f"machine before the timing: {results['load_before_timing']:.1f}",
            markdown_table(
                ["image", "threads", "network", "engine", "median ms"]
                + [f"x {base}" for base in bases]
                + ["noise"],
                speed,
            ),
        )
    )


def runtimes_table(results: dict[str, Any]) -> str:
    accuracy = []
    for row in results["accuracy"]:
        aps = (row[f"AP_{setting}"] for setting in ("easy", "medium", "hard"))
        size = row["bytes"] and row["bytes"] / 1e6
        accuracy.append([row["runtime"], row["precision"], number(size)])
        accuracy[-1] += [" / ".join(f"{ap:.4f}" for ap in aps), row["faces"]]
        accuracy[-1] += [row["faces_in_one_only"], f"{row['largest_score_difference']:.1e}"]
    speed = []
    for row in results["speed"]:
        speed.append([row["detector"], " x ".join(map(str, row["size"])), row["threads"]])
        speed[-1] += [row["runtime"], row["precision"], number(row["median_ms"])]
        speed[-1] += [f"{row['times_faster']:.2f}", number(row["new_size_ms"])]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    header = ["runtime", "precision", "MB", "Easy / Medium / Hard AP", "faces", "in one only"]
    header += ["largest difference of a score"]
    return "\n\n".join(
        (
            f"{versions}; {results['accuracy'][0]['images']} photographs; load of the machine "
            f"before the timing: {results['load_before_timing']:.1f}",
            markdown_table(header, accuracy),
            markdown_table(
                ["detector", "image", "threads", "runtime", "precision", "median ms"]
                + ["x PyTorch fp32's speed", "ms in a new size"],
                speed,
            ),
        )
    )


def precisions_table(results: list[dict[str, Any]]) -> str:
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
    return markdown_table(header, rows)


def held_faces_table(results: list[dict[str, Any]]) -> str:
    header = ["longest gap s", "faces in frames", "exposed", "share", "pixels hidden"]
    header += ["people", "tracks", "ms a frame"]
    rows = []
    for row in results:
        exposed, count = row["exposed"], row["face_frames"]
        rows.append([number(row["max_gap"]), f"{count:,}", f"{exposed:,}"])
        rows[-1] += [f"{exposed / count:.2%}", f"{row['hidden_share']:.1%}"]
        rows[-1] += [row["people"], row["tracks"], number(row["ms_a_frame"])]
    return markdown_table(header, rows)


def long_search_table(results: dict[str, Any]) -> str:
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
        rows.append([name, number(part["processor_minutes"]), count])
        rows[-1] += [f"{x:.0f}" for x in (*part["memory_mb"], part["peak_mb"])] + [end]
    return markdown_table(header, rows)


def serving_table(results: list[dict[str, Any]]) -> str:
    header = ["", "images together", "clients", "images/s", "median ms", "95 % within ms"]
    rows = []
    for row in results:
        rows.append([row["what"], row["batch_size"], row["clients"] or ""])
        figures = ("images_per_second", "median_ms", "ms_of_95_percent")
        rows[-1] += [number(row[figure]) for figure in figures]
    return markdown_table(header, rows)
