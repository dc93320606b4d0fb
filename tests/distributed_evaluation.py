"""Evaluation by several processes, without a GPU: what a spawned test process runs."""

from __future__ import annotations

import json
import zlib

import numpy as np
import torch
import torch.distributed as dist
from detectron2.data import DatasetCatalog
from detectron2.evaluation import inference_on_dataset
from detectron2.structures import Boxes, Instances
from detectron2.utils import comm

from df2s2_d2.training import Trainer
from tests.small_runs import registered, smallest_config


class NoisyOracle:
    """Stands for a detector: annotated faces, shifted at random but the same for an image."""

    def __init__(self, dataset_name: str):
        self.records = {record["image_id"]: record for record in DatasetCatalog.get(dataset_name)}
        self.seen: list[str] = []

    def __call__(self, inputs: list[dict]) -> list[dict]:
        return [{"instances": self.detect(one["image_id"])} for one in inputs]

    def detect(self, image_id: str) -> Instances:
        self.seen.append(image_id)
        rng = np.random.default_rng(zlib.crc32(image_id.encode()))
        faces = np.array([face["bbox"] for face in self.records[image_id]["annotations"]])
        boxes = faces.reshape(-1, 4).repeat(2, axis=0)
        size = boxes[:, 2:] - boxes[:, :2]
        boxes = boxes + rng.normal(0, 0.15, (len(boxes), 2)).repeat(2, axis=1) * np.tile(size, 2)
        return Instances(
            (1000, 1000),
            pred_boxes=Boxes(torch.as_tensor(boxes, dtype=torch.float32)),
            scores=torch.as_tensor(rng.uniform(0.1, 1, len(boxes)), dtype=torch.float32),
        )


def evaluate(output_dir: str, data_sets: dict[str, dict]) -> dict[str, dict]:
    """Evaluate the oracle on each data set.

    Returns:
        Name -> the results, and the images that this process has looked at.
    """
    cfg = smallest_config(OUTPUT_DIR=output_dir)
    found = {}
    with registered(**data_sets):
        for name in data_sets:
            oracle = NoisyOracle(name)
            loader = Trainer.build_test_loader(cfg, name)
            results = inference_on_dataset(oracle, loader, Trainer.build_evaluator(cfg, name))
            found[name] = {"results": results, "seen": oracle.seen}
    return found


def run_worker(rank: int, world_size: int, folder: str, data_sets: dict[str, dict]) -> None:
    """One of several processes; each writes what :func:`evaluate` gives into a file of its own."""
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world_size
    )
    comm.create_local_process_group(world_size)
    found = evaluate(folder, data_sets)
    with open(f"{folder}/worker_{rank}.json", "w") as file:
        json.dump(found, file)
    comm.synchronize()
    dist.destroy_process_group()
