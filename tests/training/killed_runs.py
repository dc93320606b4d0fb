"""Train a tiny detector twice, once undisturbed and once killed again and again, and compare.

    python -m tests.training.killed_runs FOLDER --steps 30 --kills 10 --workers 2

FOLDER gets the output of both runs, and a drawn data set unless one is given. Exits with 1 unless
every step of the killed run had the loss, to the last bit, of the same step of the undisturbed one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import time
from pathlib import Path

import torch
from detectron2.engine import HookBase
from detectron2.utils.env import seed_all_rng

from df2s2_d2.training import Trainer
from tests.small_runs import registered, smallest_config, wider_face_files

ROOT = Path(__file__).resolve().parents[2]


class LossLog(HookBase):
    """Adds a line to a file at every step: its number and its loss to the last bit."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def after_step(self) -> None:
        loss = self.trainer.storage.history("total_loss").latest()
        with self._path.open("a") as file:
            file.write(f"{self.trainer.iter} {loss.hex()}\n")


def logged_losses(path: Path) -> dict[int, str]:
    """Step -> loss; of steps that were done again, that of the last time."""
    if not path.exists():
        return {}
    lines = path.read_text().splitlines(keepends=True)
    return {int(step): loss for step, loss in (x.split() for x in lines if x.endswith("\n"))}


def train(folder: Path, data: Path, **overrides) -> None:
    """Train, or go on, in a folder, as a process of its own does."""
    torch.set_num_threads(1)  # threads do not survive a fork
    files = {f"killed_{split}": wider_face_files(data, split) for split in ("train", "val")}
    cfg = smallest_config(
        **{
            "DATASETS__TRAIN": ("killed_train",),
            "DATASETS__TEST": ("killed_val",),
            "INPUT__MIN_SIZE_TRAIN": (96,),
            "INPUT__MIN_SIZE_TEST": 64,
            "INPUT__PHOTOMETRIC_DISTORTION": True,
            "SOLVER__CHECKPOINT_PERIOD": 2,
            "SOLVER__CHECKPOINT_KEEP": 2,
            "OUTPUT_DIR": str(folder),
            **overrides,
        }
    )
    with registered(**files):
        seed_all_rng(cfg.SEED if cfg.SEED >= 0 else None)
        trainer = Trainer(cfg)
        trainer.register_hooks([LossLog(folder / "losses.txt")])
        # Before the hooks that save: a step that was saved and not logged would not be done again.
        trainer._hooks.insert(0, trainer._hooks.pop())
        trainer.resume_or_load(resume=True)
        trainer.train()


def train_to_the_end(folder: Path, data: Path, kills: list[tuple[int, float]], **overrides) -> int:
    """Train in child processes.

    Args:
        kills: at which step to kill one, at the earliest, and how many seconds later.

    Returns:
        The exit code of the last process.
    """
    folder.mkdir(parents=True)
    log = folder / "losses.txt"
    fork = multiprocessing.get_context("fork")
    for step, delay in [*kills, (None, 0)]:
        process = fork.Process(target=train, args=(folder, data), kwargs=overrides)
        process.start()
        if step is not None:
            done = len(log.read_text().splitlines()) if log.exists() else 0
            while process.is_alive() and not (
                step in logged_losses(log) and len(log.read_text().splitlines()) > done
            ):
                time.sleep(0.01)
            time.sleep(delay)
            process.kill()  # which does nothing to one that has ended
        process.join()
    return process.exitcode


def draw_data(root: Path) -> Path:
    sys.path.insert(0, str(ROOT / "datasets"))
    from sample_faces.dataset import make_sample_dataset

    make_sample_dataset(root, num_train=5, num_val=2, num_test=1, image_size=128)
    return root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, help="a data set in WIDER FACE's layout")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--test-period", type=int, default=4, help="0 = there are no tests")
    parser.add_argument("--seed", type=int, default=0, help="of the moments to kill at")
    args = parser.parse_args()

    data = args.data or draw_data(args.folder / "data")
    overrides = {"SOLVER__MAX_ITER": args.steps, "DATALOADER__NUM_WORKERS": args.workers}
    overrides["TEST__EVAL_PERIOD"] = args.test_period
    if not args.test_period:
        overrides["DATASETS__TEST"] = ()
    generator = random.Random(args.seed)
    steps = sorted(generator.randrange(args.steps - 1) for _ in range(args.kills))
    kills = [(step, generator.uniform(0, 0.5)) for step in steps]
    runs = {"undisturbed": [], "killed": kills}
    codes = [train_to_the_end(args.folder / k, data, v, **overrides) for k, v in runs.items()]
    expected, found = (logged_losses(args.folder / name / "losses.txt") for name in runs)
    different = sorted(s for s in expected | found if expected.get(s) != found.get(s))
    print(f"killed at {kills}; exit codes {codes}; {len(expected)} steps, different: {different}")
    sys.exit(any(codes) or bool(different) or len(expected) != args.steps)


if __name__ == "__main__":
    main()
