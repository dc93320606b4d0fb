"""What all benchmarks share: timing, devices, precision, and the JSON they write."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from df2s2_d2.environment import code_version, processor_name

AUTOCAST_TYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that every benchmark has."""
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument("--repeats", type=int, default=20, help="timed runs of each candidate")
    parser.add_argument("--warmup", type=int, default=3, help="untimed runs of each candidate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the JSON")


def add_batch_arguments(parser: argparse.ArgumentParser, batch_sizes: list[int]) -> None:
    """Options of benchmarks that run whole detectors on batches."""
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=batch_sizes)
    parser.add_argument(
        "--precisions", nargs="+", default=["fp32"], choices=list(AUTOCAST_TYPES), metavar="NAME"
    )


def choose_device(name: str) -> torch.device:
    """The device of an option: "auto" is a GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda: torch finds no CUDA device here; use --device cpu")
    return torch.device(name)


def describe_environment(device: torch.device) -> dict[str, Any]:
    """What decides the figures besides the code: hardware, versions and numerical modes."""
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else processor_name(),
        "device_type": device.type,
        "cuda": torch.version.cuda if on_gpu else None,
        "cudnn": torch.backends.cudnn.version() if on_gpu else None,
        "cudnn_benchmark": torch.backends.cudnn.benchmark if on_gpu else None,
        "tf32_convolutions": torch.backends.cudnn.allow_tf32 if on_gpu else None,
        "cpu_threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": code_version(),
    }


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager:
    """Mixed precision for a key of :data:`AUTOCAST_TYPES`; "fp32" is none."""
    dtype = AUTOCAST_TYPES[precision]
    return torch.autocast(device.type, dtype=dtype) if dtype else contextlib.nullcontext()


def time_alternating(
    candidates: dict[str, Callable[[], Any]], repeats: int, warmup: int, device: torch.device
) -> dict[str, list[float]]:
    """Time functions in turns, so that drift of the machine meets all of them alike.

    Args:
        candidates: functions without arguments, by name.
        repeats: timed calls of each.
        warmup: untimed calls of each before.
        device: waited for before the clock is read.

    Returns:
        Seconds of every timed call, by name.
    """
    for _ in range(warmup):
        for run in candidates.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, run in candidates.items():
            synchronize(device)
            started = time.perf_counter()
            run()
            synchronize(device)
            seconds[name].append(time.perf_counter() - started)
    return seconds


def summarize_seconds(seconds: list[float]) -> dict[str, float]:
    """Median and extremes of repeated timings, in milliseconds."""
    return {
        "median_ms": 1000 * statistics.median(seconds),
        "fastest_ms": 1000 * min(seconds),
        "slowest_ms": 1000 * max(seconds),
    }


def relative_difference(first: list[float], second: list[float]) -> float:
    """How far apart the medians of two timings of the same code are: the noise of a comparison."""
    return abs(statistics.median(second) / statistics.median(first) - 1)


def peak_memory(run: Callable[[], Any], device: torch.device) -> float | None:
    """MB (10^6 bytes) of memory that a call takes on top of what is held before it.

    On a GPU by torch's count. On a CPU the resident memory of the process, which Linux alone
    tells; None elsewhere.
    """
    run()
    if device.type != "cuda":
        return _resident_peak(run)
    synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    synchronize(device)
    return (torch.cuda.max_memory_allocated(device) - before) / 1e6


def _resident_peak(run: Callable[[], Any]) -> float | None:
    try:
        # What earlier calls freed would otherwise be used again unnoticed.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before = resident_mb()
        run()
        return _status_mb("VmHWM") - before
    except (AttributeError, OSError):
        return None


def resident_mb() -> float:
    """MB of memory that this process has now; Linux only.

    Raises:
        OSError: on other systems.
    """
    return _status_mb("VmRSS")


def _status_mb(name: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError(f"/proc/self/status has no {name}")


def report(
    kind: str,
    arguments: argparse.Namespace,
    device: torch.device,
    results: list[dict[str, Any]] | dict[str, Any],
) -> dict[str, Any]:
    """Put a benchmark's results into the common form and write them to ``--output``.

    Args:
        kind: name of the benchmark; decides the form of its table.
        arguments: of the command line; they become "settings".
        device: that was measured.
        results: as the benchmark's own page in README.md describes.
    """
    settings = {key: value for key, value in vars(arguments).items() if key != "output"}
    # Names of files, not where they lie on the machine that measured.
    settings = {k: v.name if isinstance(v, Path) else v for k, v in settings.items()}
    document = {
        "benchmark": kind,
        "environment": describe_environment(device),
        "settings": settings,
        "results": results,
    }
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return document


def number(value: float | None) -> str:
    """Three significant digits; whole numbers above that; nothing for what was not measured."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
