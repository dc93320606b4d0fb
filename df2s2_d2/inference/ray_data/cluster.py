"""A Ray cluster: how it is reached, and how many workers it has room for."""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ray

# Through the object store of a cluster go the weights, and numbers of parts.
_STORE_BYTES = 1 << 29


@dataclass(frozen=True)
class Pool:
    """The workers of a run.

    Attributes:
        size: how many there can be at once.
        wanted: how many there shall be, if the cluster grows.
        num_cpus, num_gpus: of each; a GPU may be shared.
    """

    size: int
    wanted: int
    num_cpus: int
    num_gpus: float

    @classmethod
    def choose(
        cls, machines: Iterable[Mapping[str, float]], wanted: int | None, may_use_gpus: bool
    ) -> Pool:
        """One worker on each GPU with its share of the cores, or, without GPUs, on each core.

        More workers than GPUs share these evenly.

        Args:
            machines: the resources of each, by Ray's names.
            wanted: number of workers; None for as many as there is room for.
            may_use_gpus: whether the detector may run on them.

        Raises:
            ValueError: if there is room for none.
        """
        machines = list(machines)
        with_gpus = [x for x in machines if x.get("GPU", 0) >= 1] if may_use_gpus else []
        if with_gpus:
            gpus = sum(int(machine["GPU"]) for machine in with_gpus)
            sharing = math.ceil((wanted or gpus) / gpus)
            room, of_gpu = gpus * sharing, 1 / sharing
            # A worker decodes its images itself: no machine gives one more than another.
            cores = min(int(x.get("CPU", 0) // (x["GPU"] * sharing)) for x in with_gpus)
        else:
            room, of_gpu, cores = sum(int(machine.get("CPU", 0)) for machine in machines), 0, 1
        if not room:
            raise ValueError(
                "The Ray cluster has no core and no GPU for workers: start it by `ray start "
                "--num-cpus N` on its machines"
            )
        wanted = wanted or room
        return cls(min(room, wanted), wanted, cores, of_gpu)


def machines() -> list[dict[str, float]]:
    """The resources of each machine of the cluster."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


@contextlib.contextmanager
def connected(address: str) -> Iterator[None]:
    """Be connected to a cluster; one that is local ends with the context.

    Nothing is reported to anybody, and no dashboard is started. A process that is connected already
    stays so.

    Args:
        address: "local", "auto" or HOST:PORT.

    Raises:
        OSError: if no cluster answers there.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    options: dict[str, Any] = {"address": address}
    if address == "local":
        options |= {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise OSError(
            f"No Ray cluster answers at {address} ({' '.join(str(error).split())[:200]}): start "
            "one by `ray start --head`, or take this machine alone by --ray local"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
