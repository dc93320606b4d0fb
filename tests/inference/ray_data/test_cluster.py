"""How many workers a cluster has room for, and how it is reached."""

from __future__ import annotations

import pytest
import ray

from df2s2_d2.inference.ray_data import cluster
from df2s2_d2.inference.ray_data.cluster import Pool, connected

GPU_NODE = {"CPU": 64.0, "GPU": 8.0}


@pytest.mark.parametrize(
    ("machines", "wanted", "may_use_gpus", "pool"),
    [
        # a worker a core
        ([{"CPU": 2.0}], None, True, Pool(2, 2, 1, 0)),
        ([{"CPU": 16.0}, {"CPU": 4.0}, {}], None, True, Pool(20, 20, 1, 0)),
        ([{"CPU": 16.0}], 3, True, Pool(3, 3, 1, 0)),
        ([GPU_NODE], None, False, Pool(64, 64, 1, 0)),
        # a worker a GPU, with its share of the cores of the machine that has the fewest
        ([{"CPU": 16.0}, GPU_NODE], None, True, Pool(8, 8, 8, 1)),
        ([{"CPU": 12.0, "GPU": 4.0}, GPU_NODE], None, True, Pool(12, 12, 3, 1)),
        ([{"CPU": 1.0, "GPU": 2.0}], 1, True, Pool(1, 1, 0, 1)),
        # workers that share GPUs
        ([GPU_NODE], 32, True, Pool(32, 32, 2, 0.25)),
        ([GPU_NODE], 10, True, Pool(10, 10, 4, 0.5)),
        # a cluster that may grow
        ([{"CPU": 2.0}], 5, True, Pool(2, 5, 1, 0)),
    ],
)
def test_workers_are_as_many_as_there_is_room_for(machines, wanted, may_use_gpus, pool):
    assert Pool.choose(machines, wanted, may_use_gpus) == pool


def test_a_cluster_without_room_is_refused():
    with pytest.raises(ValueError, match="has no core and no GPU for workers"):
        Pool.choose([{"memory": 1.0}], None, True)


def test_no_answer_is_one_sentence(monkeypatch):
    asked = {}

    def init(**options):
        asked.update(options)
        raise ConnectionError("Could not find any running\nRay instance.")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    monkeypatch.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")
    with pytest.raises(OSError) as caught, connected("auto"):
        pytest.fail("there is no cluster")
    assert str(caught.value) == (
        "No Ray cluster answers at auto (Could not find any running Ray instance.): start one by "
        "`ray start --head`, or take this machine alone by --ray local"
    )
    assert asked["address"] == "auto" and "include_dashboard" not in asked
    assert cluster.os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_a_process_that_is_connected_stays_so(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "shutdown", lambda: pytest.fail("it is another's"))
    with connected("local"):
        pass
