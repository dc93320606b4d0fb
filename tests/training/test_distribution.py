"""Two processes on a CPU take the step of one with the whole batch."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage
from torch import nn

from df2s2_d2.training.acceleration import accelerate
from df2s2_d2.training.distribution import distribute
from df2s2_d2.training.optimizer import build_sgd
from df2s2_d2.training.step import build_step
from tests.modeling import scenes
from tests.tiny_detectors import calibrate, tiny_config, tiny_detector

FACES = [[20, 30, 60, 80], [70, 10, 76, 18]]
SETTINGS = {
    "accumulated": ["SOLVER.ACCUMULATE", 2],
    "static graph": [
        *("SOLVER.DDP_STATIC_GRAPH", True),
        *("SOLVER.ACTIVATION_CHECKPOINTING", True),
    ],
    "synchronised norm": ["MODEL.SHOT.HEAD.NORM", "naiveSyncBN"],
}


def config(name: str, folder: str):
    overrides = ["SOLVER.IMS_PER_BATCH", 4, "OUTPUT_DIR", folder, *SETTINGS.get(name, [])]
    # A change that can be seen after two steps.
    return tiny_config("DF2S2/DF2S2_R50.yaml", *overrides, "SOLVER.BASE_LR", 0.1)


def batches() -> list[list[dict]]:
    """Two, of which the processes take every other image."""
    return [
        [
            scenes.mapped_image((96, 96), FACES, seed=seed) | {"file_name": f"{seed}.jpg"}
            for seed in range(first, first + 4)
        ]
        for first in (0, 4)
    ]


def trained(name: str, folder: str, rank: int, world_size: int) -> dict[str, torch.Tensor]:
    cfg = config(name, folder)
    model = tiny_detector("DF2S2/DF2S2_R50.yaml", *SETTINGS[name])
    calibrate(model, [inputs["image"] for inputs in batches()[0]])
    model.train()
    accelerate(model, cfg)
    own = [batch[rank::world_size] for batch in batches()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distributed = distribute(model, cfg)
    step = build_step(cfg, distributed, own, build_sgd(cfg, model), None)
    with EventStorage():
        for iteration in (0, 1):
            step.iter = iteration
            step.run_step()
    return model.state_dict()


def message_of(error: type[Exception], function, *arguments) -> str:
    with pytest.raises(error) as info:
        function(*arguments)
    return str(info.value)


def fault(folder: str, rank: int) -> str:
    """The second process has an image that is not finite."""
    cfg = config("plain", folder)
    model = tiny_detector("DF2S2/DF2S2_R50.yaml")
    batch = batches()[0][rank::2]
    if rank:
        batch[1]["image"][0, 0, 0] = torch.nan
    step = build_step(cfg, distribute(model.train(), cfg), [batch], build_sgd(cfg, model), None)
    step.iter = 0
    return message_of(FloatingPointError, step.run_step)


def idle_layer(folder: str, rank: int, **solver) -> str:
    """A layer behind c2, which neither the neck nor the head reads."""
    cfg = config("plain", folder)
    cfg.MODEL.BOTTOM_UP.LATERAL_CHANNELS = 32
    cfg.MODEL.NECK.IN_FEATURES = ["c3", "c4", "c5"]
    cfg.MODEL.SHOT.IN_FEATURES = ["p3", "p4", "p5", "p6", "p7"]
    cfg.SOLVER.update(solver)
    model = build_model(cfg).train()
    own = [batch[rank::2] for batch in batches()]
    step = build_step(cfg, distribute(model, cfg), own, build_sgd(cfg, model), None)
    with EventStorage():
        for iteration in (0, 1):
            step.iter = iteration
            try:
                step.run_step()
            except ValueError as error:
                return f"step {iteration}: {error}"
    return ""


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    results = {name: trained(name, folder, rank, 2) for name in SETTINGS}
    norm = nn.Sequential(nn.Conv2d(1, 1, 1), nn.SyncBatchNorm(1))
    results["refused norm"] = message_of(ValueError, distribute, norm, config("plain", folder))
    both = config("accumulated", folder)
    both.SOLVER.DDP_STATIC_GRAPH = True
    results["refused graph"] = message_of(ValueError, build_step, both, norm, [], None, None)
    results["fault"] = fault(folder, rank)
    results["idle, static graph"] = idle_layer(folder, rank, DDP_STATIC_GRAPH=True)
    results["idle"] = idle_layer(folder, rank)
    torch.save(results, Path(folder, f"worker{rank}.pth"))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("workers")
    mp.spawn(work, args=(str(path),), nprocs=2)
    return path


@pytest.fixture(scope="module")
def workers(folder) -> list[dict]:
    return [torch.load(folder / f"worker{rank}.pth") for rank in range(2)]


@pytest.mark.parametrize("name", SETTINGS)
def test_two_processes_take_the_steps_of_one(workers, folder, name):
    expected = trained(name, str(folder), 0, 1)
    before = tiny_detector("DF2S2/DF2S2_R50.yaml", *SETTINGS[name]).state_dict()
    for weight, value in expected.items():
        # Statistics of detectron2's norm are without Bessel's correction, and not counted.
        if weight.endswith(("running_var", "num_batches_tracked")):
            continue
        for worker in workers:
            torch.testing.assert_close(
                worker[name][weight], value, rtol=1e-3, atol=1e-4, msg=f"{name}: {weight}"
            )
    assert not torch.allclose(
        expected["head.head.face_logits.weight"], before["head.head.face_logits.weight"], atol=1e-3
    )


def test_what_does_not_work_on_several_processes_is_refused(workers):
    for worker in workers:
        assert (
            "SyncBN, which torch computes on GPUs only: name it naiveSyncBN"
            in (worker["refused norm"])
        )
        assert "exclude each other" in worker["refused graph"]


def test_a_layer_that_nothing_reads_is_told_in_the_first_step(workers):
    for worker in workers:
        assert worker["idle"].startswith("step 0: 3 parameters of the model, the first ")
        assert "'backbone.bottom_up.laterals.0.weight', have no part" in worker["idle"]
        assert "MODEL.RESNETS.OUT_FEATURES" in worker["idle"]
        assert worker["idle, static graph"] == ""


def test_all_processes_name_the_images_of_the_one_at_fault(workers, folder):
    for worker in workers:
        assert "In iteration 0 the loss is not finite" in worker["fault"]
        assert "images 1.jpg, 3.jpg:" in worker["fault"]
    saved = torch.load(folder / "bad_batch_0000000.pth", weights_only=True)
    assert [inputs["file_name"] for inputs in saved] == ["1.jpg", "3.jpg"]
