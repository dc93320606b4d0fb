#!/usr/bin/env python3
"""Use minutes on a GPU: the parts of a plan one after another, each with a time limit of its own.

    python -m benchmarks.gpu_plan results/                           # all of it: ten minutes
    python -m benchmarks.gpu_plan results/ --parts training model test_x1 test_x2
    python -m benchmarks.gpu_plan results/ --dry-run      # on the CPU, next to nothing of each

Each part is a fork of this process, which has imported everything once and touched no GPU. One that
fails, crashes or takes too long ends alone: its output and traceback are in PART.log, the exit
codes in summary.json, which is written after each part, and the others go on. Exits with 1 if one
failed. benchmarks/run_on_gpu.sh installs what a machine lacks, then runs this.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch._dynamo

from benchmarks import make_table
from benchmarks.gpu_parts import Part, Plan, parts

# What a part leaves for its last words after its time is over, and the plan for the summary.
_GRACE_SECONDS = 15
_LOG_BYTES = 1_000_000
# Exit code of a training that its time limit has stopped, with a checkpoint of its last step.
_STOPPED = 128 + signal.SIGTERM


def do_part(name: str, part: Part, plan: Plan, seconds: float) -> dict[str, Any]:
    """Do a part in a process of its own.

    Args:
        seconds: what is left of the plan's time.

    Returns:
        How it ended, ready for JSON.
    """
    limit, started = min(part.seconds, seconds), time.monotonic()
    log = plan.output / f"{name}.log"
    if limit <= 0:
        return {"part": name, "exit_code": None, "seconds": 0.0, "end": "no time was left"}
    process = multiprocessing.get_context("fork").Process(target=_inside, args=(part, plan, log))
    process.start()
    _lead_group(process.pid)
    process.join(limit)
    is_late = process.is_alive()
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.is_alive():
            _signal_group(process.pid, number)
            process.join(_GRACE_SECONDS)
    _signal_group(process.pid, signal.SIGKILL)  # what it may have started itself
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    if len(text) > _LOG_BYTES:
        log.write_text(text[-_LOG_BYTES:], encoding="utf-8")
    return {
        "part": name,
        "exit_code": process.exitcode,
        "seconds": round(time.monotonic() - started, 1),
        "end": f"took more than {limit:.0f} s" if is_late else "",
        "log_end": text[-6000:] if process.exitcode else "",
    }


def _inside(part: Part, plan: Plan, log: Path) -> None:
    _lead_group(os.getpid())
    with log.open("wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, closefd=False)
    try:
        part.do(plan)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    finally:
        sys.stdout.flush()


def _lead_group(pid: int) -> None:
    """Give a process a group of its own, so that it can be ended with all that it starts.

    Both it and who started it do so, since either may be the first that needs it.
    """
    with suppress(ProcessLookupError):
        os.setpgid(pid, pid)


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def write_summary(plan: Plan, done: list[dict[str, Any]]) -> list[str]:
    """Write how all parts ended so far.

    Returns:
        The names of those that failed.
    """
    fine = {"model": (0, _STOPPED)}
    failed = [r["part"] for r in done if r["exit_code"] not in fine.get(r["part"], (0,))]
    text = json.dumps({"failed": failed, "parts": done}, indent=1)
    (plan.output / "summary.json").write_text(text + "\n", encoding="utf-8")
    return failed


def write_tables(output: Path) -> None:
    """results.md of all benchmarks that have come to figures."""
    names = ("first_steps", "inference", "inference_compiled", "training", "matching")
    tables = [
        f"### {name}\n\n{make_table.to_markdown(json.loads(path.read_text(encoding='utf-8')))}\n"
        for name in names
        if (path := output / f"{name}.json").is_file()
    ]
    (output / "results.md").write_text("\n".join(tables), encoding="utf-8")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path, help="folder of results, flat")
    parser.add_argument("--parts", nargs="+", choices=list(parts(0)), metavar="PART")
    parser.add_argument(
        "--limit", type=float, default=590, metavar="SECONDS", help="of all parts together"
    )
    parser.add_argument(
        "--model-seconds", type=float, default=440, metavar="SECONDS", help="of the part 'model'"
    )
    parser.add_argument("--batch-size", type=int, default=32, help="of the part 'model'")
    parser.add_argument("--weights", default="", metavar="FILE", help="ImageNet ResNet-50")
    parser.add_argument("--scratch", type=Path, default=Path("output/gpu_scratch"))
    parser.add_argument("--dry-run", action="store_true", help="a rehearsal on the CPU")
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help="of the model")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 1 if a part failed.
    """
    args = parse_arguments(arguments)
    args.output.mkdir(parents=True, exist_ok=True)
    if args.dry_run:
        # Compiling for a CPU takes longer than all of the rehearsal.
        torch._dynamo.config.disable = True
    plan = Plan(
        args.output.resolve(),
        args.scratch.resolve(),
        args.dry_run,
        args.weights,
        1 if args.dry_run else args.batch_size,
        tuple(args.opts),
    )
    began, done = time.monotonic(), []
    failed: list[str] = []
    # A rehearsal looks for mistakes, whatever else the machine is doing.
    patience = 100 if args.dry_run else 1
    for name, part in parts(args.model_seconds).items():
        if args.parts and name not in args.parts:
            continue
        left = args.limit * patience - _GRACE_SECONDS - (time.monotonic() - began)
        print(f"== {name}", flush=True)
        done.append(do_part(name, Part(part.seconds * patience, part.do), plan, left))
        failed = write_summary(plan, done)
        row = done[-1]
        told = f"FAILED with {row['exit_code']} {row['end']}" if name in failed else "done"
        print(f"   {told} after {row['seconds']} s", flush=True)
    write_tables(plan.output)
    print(f"Failed: {', '.join(failed)}" if failed else "All parts passed.")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
