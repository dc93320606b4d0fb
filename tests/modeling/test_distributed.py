"""Two workers compute the losses and gradients of one process with the whole batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from detectron2.modeling import build_model
from torch.nn.parallel import DistributedDataParallel

from tests.modeling import scenes

NORMALIZERS = ("global", "per_level", "literal")
FACES = [[[20, 30, 60, 80], [70, 10, 76, 18]], [[5, 90, 120, 126]]]
BATCHES = {
    "faces on both": [FACES[0], FACES[1]],
    "one worker without faces": [FACES[0] + FACES[1], []],
    "no face at all": [[], []],
}


def images(batch: str) -> list[dict]:
    return [
        # Of one size, since what lies beside an image in the batch's padding seeps in at its edge.
        scenes.mapped_image((128, 128), faces, [[90, 0, 128, 40]] if seed else [], seed=seed)
        for seed, faces in enumerate(BATCHES[batch])
    ]


def step(model: torch.nn.Module, batch: list[dict]) -> dict[str, float]:
    model.zero_grad()
    losses = model(batch)
    sum(losses.values()).backward()
    return {name: loss.item() for name, loss in losses.items()}


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix("module."): parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def build(cfg) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model(cfg).train()


def work(rank: int, configs: dict, folder: str) -> None:
    """One worker: every normaliser on its image of every batch, in DistributedDataParallel."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    results = {}
    for normalizer, cfg in configs.items():
        model = DistributedDataParallel(build(cfg))
        for batch in BATCHES:
            losses = step(model, [images(batch)[rank]])
            results[normalizer, batch] = losses, gradients(model)
    torch.save(results, Path(folder, f"worker{rank}.pth"))
    dist.destroy_process_group()


@pytest.fixture
def configs(tiny_config) -> dict:
    return {
        normalizer: tiny_config(
            "DF2S2/DF2S2_R50_PAL.yaml",
            *("MODEL.SHOT.LOSS.NORMALIZER", normalizer),
            *("MODEL.FIRST_SHOT.LOSS.NORMALIZER", normalizer),
        )
        for normalizer in NORMALIZERS
    }


def test_two_workers_equal_one(configs, tmp_path):
    mp.spawn(work, args=(configs, str(tmp_path)), nprocs=2)
    workers = [torch.load(tmp_path / f"worker{rank}.pth") for rank in range(2)]
    for normalizer, cfg in configs.items():
        model = build(cfg)
        for batch in BATCHES:
            expected = step(model, images(batch))
            first, second = (worker[normalizer, batch] for worker in workers)
            for name, loss in expected.items():
                mean = (first[0][name] + second[0][name]) / 2
                assert mean == pytest.approx(loss, rel=1e-4, abs=1e-6), (normalizer, batch, name)
            for name, gradient in gradients(model).items():
                scale = max(gradient.abs().max().item(), 1e-6)
                for worker in (first, second):
                    torch.testing.assert_close(
                        worker[1][name], gradient, rtol=0, atol=1e-3 * scale, msg=name
                    )
