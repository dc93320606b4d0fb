#!/usr/bin/env python3
"""Train a config for some iterations and record losses, speed, peak memory and AP.

DETECTRON2_DATASETS=DIR python -m benchmarks.short_training --output output/short_training.json
python -m benchmarks.short_training --output FILE --iterations 500 SOLVER.IMS_PER_BATCH 32
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from detectron2.utils.logger import setup_logger

from benchmarks.common import choose_device, report
from benchmarks.make_table import to_markdown
from df2s2_d2 import load_config
from df2s2_d2.training import Trainer, check_inputs, protocol_of

WARMUP_SHARE = 0.25  # of the iterations, left out of the speed


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The records of detectron2's metrics.json, one per line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def summarize_run(
    metrics: list[dict[str, float]], batch_size: int, device: torch.device
) -> dict[str, Any]:
    """Losses over time, speed after the warm-up, and the figures of the test at the end."""
    training = [record for record in metrics if "total_loss" in record]
    start = training[-1]["iteration"] * WARMUP_SHARE
    steady = [record for record in training if record["iteration"] >= start and "time" in record]
    seconds = statistics.median(record["time"] for record in steady)
    on_gpu = device.type == "cuda"
    return {
        "losses": [
            {key: v for key, v in record.items() if key == "iteration" or "loss" in key}
            for record in training
        ],
        "seconds_per_iteration": seconds,
        "data_seconds_per_iteration": statistics.median(r["data_time"] for r in steady),
        "images_per_second": batch_size / seconds,
        "peak_memory_mb": torch.cuda.max_memory_allocated(device) / 1e6 if on_gpu else None,
        "accuracy": {key: v for key, v in metrics[-1].items() if "/AP" in key},
    }


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", default="configs/DF2S2/small/demo_R18.yaml")
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the JSON")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="of the config")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the command line; return what was written."""
    args = parse_arguments(arguments)
    device = choose_device(args.device)
    iterations = args.iterations
    # Left set, it would change batch size and iterations to suit the number of GPUs.
    schedule = ["SOLVER.REFERENCE_WORLD_SIZE", 0]
    schedule += ["SOLVER.MAX_ITER", iterations, "TEST.EVAL_PERIOD", 0, "SEED", args.seed]
    schedule += ["SOLVER.STEPS", (iterations * 2 // 3, iterations * 9 // 10)]
    schedule += ["SOLVER.WARMUP_ITERS", iterations // 8, "SOLVER.AMP.ENABLED", True]
    with tempfile.TemporaryDirectory() as folder:
        run = ["MODEL.DEVICE", str(device), "OUTPUT_DIR", folder]
        cfg = load_config(args.config_file, [*schedule, *args.overrides, *run])
        check_inputs(cfg)
        setup_logger()
        torch.manual_seed(args.seed)
        trainer = Trainer(cfg)
        trainer.resume_or_load(resume=False)
        trainer.train()
        metrics = read_metrics(Path(folder) / "metrics.json")
    results = {
        **summarize_run(metrics, cfg.SOLVER.IMS_PER_BATCH, device),
        "protocol": protocol_of(cfg).describe(),
    }
    document = report("short_training", args, device, results)
    print(to_markdown(document))
    return document


if __name__ == "__main__":
    main()
