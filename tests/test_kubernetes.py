"""The job for Kubernetes: what its pods would run, by what the training operator tells them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from torch.distributed import run as torchrun

from df2s2_d2 import load_config
from df2s2_d2.cli.commands import load_command
from df2s2_d2.cli.program import build_parser, parse_arguments

ROOT = Path(__file__).resolve().parents[1]

# The image has the newest torch that is tested; the oldest that is supported has not all options.
pytestmark = pytest.mark.skipif(
    "--shutdown-timeout" not in torchrun.get_args_parser().format_help(),
    reason="torchrun of this torch has no --shutdown-timeout",
)


@pytest.fixture
def job() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "tools/kubernetes_train.yaml").read_text(encoding="utf-8"))


def container(replica: dict[str, Any]) -> dict[str, Any]:
    (found,) = replica["template"]["spec"]["containers"]
    return found


def test_pods_meet_by_what_the_operator_sets(job, monkeypatch):
    replicas = job["spec"]["pytorchReplicaSpecs"]
    assert {name: replica["replicas"] for name, replica in replicas.items()} == {
        "Master": 1,
        "Worker": 1,
    }
    for rank, name in enumerate(replicas):
        # The name of the container that the operator looks for.
        assert container(replicas[name])["name"] == "pytorch"
        assert container(replicas[name])["command"] == ["torchrun"]
        for key, value in {
            "PET_NNODES": 2,
            "PET_NPROC_PER_NODE": job["spec"]["nprocPerNode"],
            "PET_NODE_RANK": rank,
            "PET_MASTER_ADDR": "r50-master-0",
            "PET_MASTER_PORT": 23456,
        }.items():
            monkeypatch.setenv(key, str(value))
        arguments = torchrun.parse_args(container(replicas[name])["args"])
        config, program, program_arguments = torchrun.config_from_args(arguments)
        assert (config.min_nodes, config.max_nodes, config.nproc_per_node) == (2, 2, 4)
        assert config.rdzv_endpoint == "r50-master-0:23456"
        assert config.rdzv_configs["rank"] == rank
        assert program_arguments[program_arguments.index("-m") + 1] == "df2s2_d2"


def test_the_training_is_one_that_resumes(job):
    for replica in job["spec"]["pytorchReplicaSpecs"].values():
        arguments = container(replica)["args"]
        command = arguments[arguments.index("df2s2_d2") + 1 :]
        assert command[0] == "train"
        parsed = parse_arguments(build_parser(load_command("train"), "train"), command[1:])
        assert parsed.resume
        cfg = load_config(parsed.config_file, parsed.opts)
        mounts = {mount["mountPath"] for mount in container(replica)["volumeMounts"]}
        for path in (cfg.OUTPUT_DIR, cfg.MODEL.BOTTOM_UP.WEIGHTS):
            assert f"/{path.split('/')[1]}" in mounts
        variables = {row["name"]: row["value"] for row in container(replica)["env"]}
        assert variables["DETECTRON2_DATASETS"] in mounts
        assert replica["restartPolicy"] == "OnFailure"
        # Kubernetes kills later than torchrun does.
        grace = replica["template"]["spec"]["terminationGracePeriodSeconds"]
        assert torchrun.parse_args(arguments).shutdown_timeout < grace


def test_the_job_is_of_the_image_and_its_user(job):
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for replica in job["spec"]["pytorchReplicaSpecs"].values():
        user = replica["template"]["spec"]["securityContext"]["runAsUser"]
        assert f"useradd --uid {user} " in dockerfile
        assert container(replica)["image"] == "df2s2:cuda"
