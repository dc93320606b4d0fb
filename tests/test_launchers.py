"""Two processes train and test from the command line, started in every way that there is."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from detectron2.utils.env import seed_all_rng

from df2s2_d2.training import Trainer
from tests.fake_srun import NUM_TASKS
from tests.launcher_environments import is_set_by_launchers
from tests.small_runs import (
    ROOT,
    SMALLEST_CONFIG,
    registered,
    smallest_config,
    smallest_options,
    wider_face_files,
)

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")

# Nothing at random but the order of images, and no statistics of a process's own images: each
# process then contributes to a step what it would contribute alone.
SETTINGS = {
    "MODEL__RESNETS__NORM": "LN",
    "INPUT__CROP__ENABLED": False,
    "INPUT__RANDOM_FLIP": "none",
    "INPUT__RESIZE_SQUARE_TRAIN": 128,
    "DATALOADER__ASPECT_RATIO_GROUPING": False,
    "SOLVER__IMS_PER_BATCH": 4,
}


def arguments(folder: Path, **settings) -> list[str]:
    """Of train_net.py; `settings` with "__" for "."."""
    options = smallest_options(OUTPUT_DIR=str(folder), **SETTINGS, **settings)
    return ["--config-file", SMALLEST_CONFIG, *map(str, options)]


class Run:
    """A command, and what it has written so far."""

    def __init__(self, *command: str, log: Path, data: Path, **variables: str):
        environ = {k: v for k, v in os.environ.items() if not is_set_by_launchers(k)}
        self._log = log
        with log.open("w") as file:  # a pipe would stop a process that nobody reads
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**environ, "DETECTRON2_DATASETS": str(data), **variables},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def signal_when_there_is(self, path: Path, signum: int) -> None:
        """Signal all processes of the command, as schedulers and terminals do."""
        while not path.exists() and self.process.poll() is None:
            time.sleep(0.05)
        os.killpg(self.process.pid, signum)

    def finish(self) -> tuple[int, str]:
        """Its exit code and output."""
        try:
            return self.process.wait(600), self._log.read_text()
        finally:
            with suppress(ProcessLookupError):  # all of its processes have ended
                os.killpg(self.process.pid, signal.SIGKILL)


def stopped_after(output: str) -> int:
    """The iteration after which a run says that it was stopped."""
    return int(re.search(r"stopped after iteration (\d+), all of it saved", output)[1])


def reports(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]


def test_torchrun_trains_and_tests_as_one_process_does(sample_dataset, tmp_path):
    settings = {"SOLVER__MAX_ITER": 1}
    command = (sys.executable, *TORCHRUN, "train_net.py", *arguments(tmp_path / "two", **settings))
    code, output = Run(*command, log=tmp_path / "log", data=sample_dataset).finish()
    assert code == 0, output
    assert output.count("World size: 2") == 1, "the second process logs into a file"
    assert "destroy_process_group" not in output, "torch's warning of a group that was left behind"

    files = {f"one_process_{s}": wider_face_files(sample_dataset, s) for s in ("train", "val")}
    train, val = files
    cfg = smallest_config(
        **SETTINGS,
        **settings,
        DATASETS__TRAIN=(train,),
        DATASETS__TEST=(val,),
        OUTPUT_DIR=str(tmp_path / "one"),
    )
    with registered(**files):
        seed_all_rng(cfg.SEED)
        trainer = Trainer(cfg)
        trainer.resume_or_load(resume=False)
        trainer.train()
    (two, _), (one, _) = reports(tmp_path / "two"), reports(tmp_path / "one")
    for name in ("loss_cls", "loss_box_reg", "loss_mask", "total_loss"):
        assert two[name] == pytest.approx(one[name], rel=1e-5)
    # The step that they have made together was the same as well.
    a, b = (
        torch.load(tmp_path / name / "model_final.pth", weights_only=True)["model"]
        for name in ("two", "one")
    )
    assert all(torch.allclose(a[name], b[name], rtol=1e-4, atol=1e-6) for name in b)


def test_slurm_job_stops_before_its_time_limit_and_resumes(sample_dataset, tmp_path):
    """Tasks of srun, then processes of --num-gpus, go on with each other's checkpoints."""
    (tmp_path / "srun").write_text(f'#!/bin/sh\nexec {sys.executable} tests/fake_srun.py "$@"\n')
    (tmp_path / "scontrol").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/scontrol_arguments\n')
    for command in ("srun", "scontrol"):
        (tmp_path / command).chmod(0o755)
    folder = tmp_path / "output"
    settings = arguments(folder, SOLVER__MAX_ITER=10000, TEST__EVAL_PERIOD=2)
    job = Run(
        "bash",
        "tools/slurm_train.sh",
        *settings,
        log=tmp_path / "job_log",
        data=sample_dataset,
        PATH=f"{tmp_path}:{os.environ['PATH']}",
        PYTHON=sys.executable,
        SLURM_JOB_ID="1234",
        SLURM_NTASKS=str(NUM_TASKS),
        SLURM_CPUS_PER_TASK="1",
        SIGNAL_WHEN=str(folder / "inference/wider_face_val/results.json"),
    )
    code, output = job.finish()
    assert code == 128 + signal.SIGUSR1, output
    assert (tmp_path / "scontrol_arguments").read_text() == "requeue 1234\n"
    assert output.count("World size: 2") == 1
    step = stopped_after(output)
    assert step >= 2, "behind the first test"
    assert (folder / "last_checkpoint").read_text() == f"model_{step:07d}.pth"

    settings += ["SOLVER.CHECKPOINT_PERIOD", "1", "DATALOADER.NUM_WORKERS", "1"]
    command = (sys.executable, "train_net.py", "--num-gpus", "2", "--resume", *settings)
    resumed = Run(*command, log=tmp_path / "resumed_log", data=sample_dataset)
    resumed.signal_when_there_is(folder / f"model_{step + 1:07d}.pth", signal.SIGTERM)
    code, output = resumed.finish()
    assert code == 128 + signal.SIGTERM, output
    assert "Traceback" not in output
    assert f"Starting training from iteration {step + 1}" in output
    assert stopped_after(output) > step


@pytest.mark.parametrize("code", [0, 1, 143])
def test_slurm_job_that_has_ended_otherwise_is_not_requeued(tmp_path, code):
    """It is complete, has failed, or was cancelled."""
    (tmp_path / "srun").write_text(f'#!/bin/sh\necho "$@"; exit {code}\n')
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho requeued\n")
    for command in ("srun", "scontrol"):
        (tmp_path / command).chmod(0o755)
    script = ("bash", "tools/slurm_train.sh", "--config-file", "a b.yaml")
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_CPUS_PER_TASK": "1"}
    job = Run(*script, log=tmp_path / "log", data=tmp_path, SLURM_JOB_ID="1", **variables)
    found, output = job.finish()
    assert found == code
    assert "--resume --config-file a b.yaml" in output
    assert "requeued" not in output
