"""What came of a run: figures, protocol, schedule, time, memory, weights, code and hardware."""

from __future__ import annotations

import json
import shlex
import statistics
from pathlib import Path
from typing import Any

import torch
from detectron2.engine import DefaultTrainer

from df2s2_d2.environment import code_version, processor_name
from df2s2_d2.evaluation.results import read_wider_face_results
from df2s2_d2.formats.file_hash import file_sha256
from df2s2_d2.formats.json_file import read_json
from df2s2_d2.tables.index import SETTINGS
from df2s2_d2.tables.runs import Run

# Of the steps, left out of the speed: caches fill, and kernels are tried out.
_WARMUP_SHARE = 0.25


def collect_result(run: Run) -> dict[str, Any]:
    """Gather what a finished training and its test have left in the run's folder.

    Returns:
        Ready for JSON, without the folders of this machine. AP is a fraction of 1; what was not
        measured, or has no faces, is None.

    Raises:
        OSError, ValueError: if something is missing; names the file.
    """
    cfg = run.config
    test_file = run.folder / "inference" / cfg.DATASETS.TEST[0] / "results.json"
    ap, _ = read_wider_face_results(test_file)
    test = read_json(test_file)
    scale = run.choices.scale
    # With fewer processes than a config is meant for, there are more steps of fewer images.
    solver = DefaultTrainer.auto_scale_workers(cfg, run.choices.processes).SOLVER
    return {
        "table": run.table.name,
        "row": run.row.name,
        "seed": run.seed,
        "command": shlex.join(["df2s2", *run.command]),
        "scale": {"cost": scale.cost, "image": scale.image, "batch": scale.batch},
        "overrides": shlex.join(run.choices.overrides),
        "ap": {setting: ap[setting] for setting in SETTINGS},
        "coco": test.get("coco"),
        "test_images": test["counts"]["images"],
        "protocol": test["protocol"],
        "config_sha256": run.config_sha256,
        "training": {
            "batch_size": solver.IMS_PER_BATCH,
            "base_lr": solver.BASE_LR,
            **summarize_training(run.folder / "metrics.json"),
        },
        "weights": _describe_file(run.folder / "model_final.pth"),
        "code": list(dict.fromkeys([run.started["code"], code_version()])),
        "hardware": describe_hardware(cfg.MODEL.DEVICE, run.choices.processes),
        "torch": torch.__version__,
    }


def summarize_training(metrics_file: Path) -> dict[str, Any]:
    """Steps and batch of a training, and its speed and memory, however often it was interrupted.

    Args:
        metrics_file: metrics.json of the run.

    Raises:
        OSError, ValueError: if there is nothing in it.
    """
    lines = metrics_file.read_text(encoding="utf-8").splitlines()
    rows = list(map(json.loads, lines))
    records = [row for row in rows if "total_loss" in row]
    if not records:
        raise ValueError(f"{metrics_file} has no training steps")
    last = records[-1]
    # On a GPU the losses of most steps are not read, not even of the last one.
    steps = max(int(row["iteration"]) for row in rows if "lr" in row or "total_loss" in row) + 1
    steady = [r for r in records if r["iteration"] >= steps * _WARMUP_SHARE and "time" in r]
    seconds = statistics.median(r["time"] for r in steady) if steady else None
    waited = statistics.median(r["data_time"] for r in steady) if steady else None
    peaks = [r["peak_memory_mb"] for r in records if "peak_memory_mb" in r]
    return {
        "steps": steps,
        "final_loss": last["total_loss"],
        "seconds_per_step": seconds,
        "data_seconds_per_step": waited,
        "hours": seconds and seconds * steps / 3600,
        "peak_memory_mb": max(peaks, default=None),
    }


def describe_hardware(device: str, processes: int) -> dict[str, Any]:
    """What a run was computed on."""
    kind = torch.device(device).type
    is_gpu = kind == "cuda" and torch.cuda.is_available()
    return {
        "device_type": kind,
        "device": torch.cuda.get_device_name(device) if is_gpu else processor_name(),
        "processes": processes,
        "threads": torch.get_num_threads(),
    }


def _describe_file(path: Path) -> dict[str, Any]:
    return {"sha256": file_sha256(path), "bytes": path.stat().st_size}
