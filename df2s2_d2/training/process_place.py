"""A process's place among all of a run, as torchrun or srun tells it by environment variables."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

# SLURM numbers the steps that it makes itself (batch script, interactive shell, ...) from here on.
_FIRST_RESERVED_STEP = 0xFFFFFFF0

# mpirun of Open MPI, and of MPICH and Intel MPI: they start processes that know nothing of RANK.
_MPI_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")

# All by which a process may be told that it is one of several.
PLACE_VARIABLES = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK"),
    *("MASTER_ADDR", "MASTER_PORT"),
    *("SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS"),
    *_MPI_SIZES,
)


@dataclass(frozen=True)
class ProcessPlace:
    """One of the processes of a run.

    Attributes:
        rank: among the processes of all machines.
        world_size: how many these are.
        local_rank: among the processes of this machine.
        local_world_size: how many these are; as many on every machine.
        init_method: where the processes meet, as ``torch.distributed.init_process_group`` takes it,
            or ``kept://HOST:PORT`` of a store that the launcher keeps.
    """

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int
    init_method: str

    def __post_init__(self):
        if self.world_size % self.local_world_size:
            raise ValueError(
                f"{self.world_size} processes cannot be {self.local_world_size} on every machine: "
                "start as many processes on each"
            )
        if not (
            0 <= self.rank < self.world_size
            and self.rank % self.local_world_size == self.local_rank
        ):
            # detectron2's groups of the processes of a machine are made by that rule.
            raise ValueError(
                f"The process of rank {self.rank} is number {self.local_rank} of "
                f"{self.local_world_size} on its machine, among {self.world_size} processes: the "
                "ranks of a machine have to follow each other, from 0 on (under srun: "
                "--distribution=block)"
            )


def place_from_environment(
    environ: Mapping[str, str], interactive: bool = False
) -> ProcessPlace | None:
    """Where torchrun or srun has put this process.

    torchrun's variables count before SLURM's: under srun it may have been torchrun that started
    the process.

    Args:
        environ: as ``os.environ``.
        interactive: whether somebody types the commands. The shell that srun opens on a machine
            carries the variables of a task, but what is typed there is started once.

    Returns:
        None if neither has started it, or as its only process.

    Raises:
        ValueError: which variables contradict each other, and what to do.
    """
    if "RANK" in environ or _number(environ, "WORLD_SIZE", default=1) > 1:
        place = _torchrun_place(environ)
        return place if place.world_size > 1 else None
    if _is_srun_task(environ) and not interactive:
        return _srun_place(environ)
    for name in _MPI_SIZES:
        if _number(environ, name, default=1) > 1:
            raise ValueError(
                f"{name} is {environ[name]}: mpirun has started several processes, which would all "
                "train for themselves; start them by torchrun, by srun or with --num-gpus"
            )
    if _number(environ, "SLURM_NTASKS", default=1) > 1 and not interactive:
        logging.getLogger(__name__).warning(
            "SLURM has room for %s tasks, but this process was not started by srun: it does not "
            "use the other tasks",
            environ["SLURM_NTASKS"],
        )
    return None


def rank_in_environment(environ: Mapping[str, str]) -> str:
    """The rank as the environment has it, however contradictory the rest is; "0" without any."""
    if "RANK" in environ:
        return environ["RANK"]
    return environ.get("SLURM_PROCID", "0") if _is_srun_task(environ) else "0"


def _torchrun_place(environ: Mapping[str, str]) -> ProcessPlace:
    for name, other in (
        ("RANK", "WORLD_SIZE"),
        ("WORLD_SIZE", "RANK"),
        ("LOCAL_RANK", "LOCAL_WORLD_SIZE"),
        ("LOCAL_WORLD_SIZE", "LOCAL_RANK"),
    ):
        if name in environ and other not in environ:
            raise ValueError(
                f"{name} is set in the environment and {other} is not: start the processes by "
                f"torchrun, which sets both, or unset {name}"
            )
    place = ProcessPlace(
        rank=_number(environ, "RANK"),
        world_size=_number(environ, "WORLD_SIZE", least=1),
        # A cluster that sets ranks itself, without torchrun, starts one process on a machine.
        local_rank=_number(environ, "LOCAL_RANK", default=0),
        local_world_size=_number(environ, "LOCAL_WORLD_SIZE", default=1, least=1),
        init_method="env://",
    )
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in environ]
    if missing and place.world_size > 1:
        raise ValueError(
            f"RANK and WORLD_SIZE are set in the environment and {' and '.join(missing)} not: "
            "start the processes by torchrun, which sets all of them"
        )
    machine = _number(environ, "GROUP_RANK", default=place.rank // place.local_world_size)
    if machine != place.rank // place.local_world_size:
        raise ValueError(
            f"Rank {place.rank} on machine {machine} (GROUP_RANK), with {place.local_world_size} "
            "processes on each (LOCAL_WORLD_SIZE), contradict each other: give torchrun the same "
            "--nproc-per-node on every machine"
        )
    return place


def _is_srun_task(environ: Mapping[str, str]) -> bool:
    """Whether this is one of several tasks of a step.

    A batch script and the shell of salloc also have SLURM_NTASKS, and a batch script SLURM_PROCID,
    though each is one process.
    """
    step = environ.get("SLURM_STEP_ID", environ.get("SLURM_STEPID", ""))
    return (
        step.isdecimal()
        and int(step) < _FIRST_RESERVED_STEP
        and "SLURM_PROCID" in environ
        and _number(environ, "SLURM_STEP_NUM_TASKS", default=1) > 1
    )


def _srun_place(environ: Mapping[str, str]) -> ProcessPlace:
    world_size = _number(environ, "SLURM_STEP_NUM_TASKS")
    tasks = _first(environ, "SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE")
    per_machine = expand_counts(tasks)
    if sum(per_machine) != world_size:
        raise ValueError(
            f"SLURM_STEP_NUM_TASKS is {world_size}, but the tasks of all machines, {tasks}, are "
            f"{sum(per_machine)}: start the training by srun itself, without variables of another "
            "step"
        )
    if len(set(per_machine)) > 1:
        raise ValueError(
            f"SLURM has put {tasks} tasks on the machines, and each has to have as many: give "
            "--ntasks-per-node instead of --ntasks"
        )
    host = "127.0.0.1"
    if len(per_machine) > 1:
        nodes = _first(environ, "SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST")
        host = expand_hosts(nodes)[0]
    host = environ.get("MASTER_ADDR", host)
    port = _number(environ, "MASTER_PORT", default=_port_of_step(environ))
    return ProcessPlace(
        rank=_number(environ, "SLURM_PROCID"),
        world_size=world_size,
        local_rank=_number(environ, "SLURM_LOCALID"),
        local_world_size=per_machine[0],
        init_method=f"tcp://{host}:{port}",
    )


def _port_of_step(environ: Mapping[str, str]) -> int:
    """The same for all tasks of a step, another for the next; below the ports that Linux lends."""
    job = _number(environ, "SLURM_JOB_ID", default=0)
    step = _number(environ, "SLURM_STEP_ID", default=0)
    return 12000 + (job * 31 + step) % 20000


def expand_counts(counts: str) -> list[int]:
    """SLURM's numbers of tasks machine by machine: "2(x3),1" is [2, 2, 2, 1].

    Raises:
        ValueError: the text is of another form.
    """
    expanded: list[int] = []
    for part in counts.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part.strip())
        if not match:
            raise ValueError(f"SLURM's tasks per node are {counts!r}, and not of the form 2(x3),1")
        expanded += [int(match[1])] * int(match[2] or 1)
    return expanded


def expand_hosts(hosts: str) -> list[str]:
    """SLURM's compressed names of machines: "gpu[01-02,7],login" is gpu01, gpu02, gpu7, login.

    Raises:
        ValueError: the text is of another form.
    """
    # A comma parts names only outside of brackets.
    names = re.findall(r"(?:[^,\[\]]|\[[^\[\]]*\])+", hosts)
    if ",".join(names) != hosts or not names:
        raise ValueError(f"SLURM's list of nodes is {hosts!r}, and not of the form node[01-03,7]")
    return [name for part in names for name in _expand_host(part, hosts)]


def _expand_host(name: str, hosts: str) -> list[str]:
    match = re.fullmatch(r"([^\[]*)\[([^\]]*)\](.*)", name)
    if not match:
        return [name]
    head, ranges, tail = match.groups()
    numbers: list[str] = []
    for part in ranges.split(","):
        bounds = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if not bounds:
            raise ValueError(
                f"SLURM's list of nodes is {hosts!r}, and not of the form node[01-03,7]"
            )
        first, last = bounds[1], bounds[2] or bounds[1]
        numbers += [str(i).zfill(len(first)) for i in range(int(first), int(last) + 1)]
    return [f"{head}{number}{rest}" for number in numbers for rest in _expand_host(tail, hosts)]


def _first(environ: Mapping[str, str], *names: str) -> str:
    for name in names:
        if name in environ:
            return environ[name]
    raise ValueError(
        f"SLURM_STEP_NUM_TASKS is set in the environment and {' or '.join(names)} is not: start "
        "the tasks by srun, which sets them"
    )


def _number(
    environ: Mapping[str, str], name: str, default: int | None = None, least: int = 0
) -> int:
    text = environ.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isdecimal() or int(text) < least:
        found = "not set" if text is None else repr(text)
        raise ValueError(
            f"{name} in the environment is {found}, and not a whole number of at least {least}"
        )
    return int(text)
