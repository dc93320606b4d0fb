"""Starts the processes of a run, or takes those that torchrun or srun has started."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch
from detectron2.utils import comm
from torch import distributed
from torch import multiprocessing as mp

from df2s2_d2.training.process_place import (
    ProcessPlace,
    place_from_environment,
    rank_in_environment,
)
from df2s2_d2.training.signals import STOP_SIGNALS, StopTraining, exit_code

# On one machine any free port, so that two runs of it do not meet.
AUTOMATIC_URL = "auto"

# Before the place of a store that the launcher keeps: its processes are clients of it, all of them.
_KEPT = "kept://"

# Within it, what the first process says of bad input, and its end, reach the launcher.
_SECONDS_FOR_THE_FIRST = 10.0

# Processes end together; one that has not when another has failed is ended, twice as late killed.
_SECONDS_TO_END = 10.0

_POLL_SECONDS = 1.0


def launch(
    main: Callable[[argparse.Namespace], object],
    args: argparse.Namespace,
    device_of: Callable[[argparse.Namespace], str],
) -> None:
    """Run ``main(args)`` in all processes of a run.

    These are the processes that torchrun or srun has started, this one among them, or else
    ``--num-gpus`` processes of this machine, which are started. They form detectron2's process
    groups: by NCCL on GPUs, by gloo on the CPU.

    Args:
        main: defined at the top level of a module.
        args: detectron2's; ``timeout``, in minutes, for which processes wait for each other; and
            ``program``, which stands before messages. ``dist_url`` "auto" is a free port.
        device_of: gives the device, ``MODEL.DEVICE``, of the arguments.

    Raises:
        SystemExit: bad input, told by one sentence; or the code of a process that has failed.
    """
    with one_sentence_errors(args.program, is_first=rank_in_environment(os.environ) == "0"):
        place = place_from_environment(os.environ, interactive=_is_interactive())
        if place is None:
            _check_machines(args)
        else:
            _check_agreement(args, place)
        device = device_of(args)
        several = place is not None or max(args.num_gpus, 1) * args.num_machines > 1
        _check_device(device, several)
        if place is None and torch.device(device).type == "cuda":
            _check_gpus(args.num_gpus, torch.cuda.device_count())
        if args.timeout <= 0:
            raise ValueError(f"--timeout is {args.timeout:g}, and has to be more than 0 minutes")
    if place is not None:
        _run_in_group(place, main, args, device)
    elif several:
        _spawn(max(args.num_gpus, 1), main, args, device)
    else:
        main(args)


@contextmanager
def one_sentence_errors(program: str, is_first: bool | None = None) -> Iterator[None]:
    """Bad input, an OSError or ValueError in any process, ends all of them with one sentence.

    It is printed once, whether one process has met it or all have.

    Args:
        program: stands before the sentence.
        is_first: before processes have formed a group, whether this one is to print; None for
            processes of a group, which tell each other.
    """
    problem = None
    try:
        yield
    except (OSError, ValueError) as error:
        problem = f"{program}: {error}"
    if is_first is None and comm.get_world_size() > 1:
        problem = next(filter(None, comm.all_gather(problem)), None)
        if problem is None:
            return
        if comm.is_main_process():
            print(problem, file=sys.stderr, flush=True)
        # A launcher kills all processes as soon as one has ended: not before it is printed.
        comm.all_gather(None)
        distributed.destroy_process_group()
        sys.exit(1)
    if problem is None:
        return
    if is_first is False:
        # By then the launcher has ended this process too, unless it alone has the problem.
        time.sleep(_SECONDS_FOR_THE_FIRST)
    sys.exit(problem)


def _is_interactive() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _check_machines(args: argparse.Namespace) -> None:
    if args.num_gpus < 0 or args.num_machines < 1:
        raise ValueError(
            f"--num-gpus is {args.num_gpus} and --num-machines {args.num_machines}: give the "
            "processes of each machine, and at least one machine"
        )
    if not 0 <= args.machine_rank < args.num_machines:
        raise ValueError(
            f"--machine-rank is {args.machine_rank}, but with --num-machines {args.num_machines} "
            f"it is one of 0 to {args.num_machines - 1}"
        )
    if args.num_machines > 1 and args.dist_url == AUTOMATIC_URL:
        raise ValueError(
            "Several machines need --dist-url tcp://HOST:PORT, the same on all of them: the name "
            "of the machine of --machine-rank 0 and a free port of it"
        )


def _check_agreement(args: argparse.Namespace, place: ProcessPlace) -> None:
    # Left at their defaults, the options say nothing.
    if args.num_gpus not in (1, place.local_world_size):
        raise ValueError(
            f"--num-gpus is {args.num_gpus}, but torchrun or srun has started "
            f"{place.local_world_size} processes on this machine: let it start as "
            "many as there are GPUs, and leave --num-gpus out"
        )
    if args.num_machines not in (1, place.world_size // place.local_world_size):
        raise ValueError(
            f"--num-machines is {args.num_machines}, but torchrun or srun has started processes "
            f"on {place.world_size // place.local_world_size}: leave --num-machines out"
        )


def _check_device(device: str, several: bool) -> None:
    kind = torch.device(device)
    if kind.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"MODEL.DEVICE is {device!r}, but this machine has no GPU that PyTorch can use: append "
            "MODEL.DEVICE cpu"
        )
    if several and kind.index is not None:
        raise ValueError(
            f"MODEL.DEVICE is {device!r}, one device for several processes: say 'cuda', and each "
            "takes its own"
        )


def _spawn(num_processes: int, main: Callable, args: argparse.Namespace, device: str) -> None:
    url = args.dist_url
    if url == AUTOMATIC_URL:
        # Taken at once and kept until the end: between finding a free port and listening to it, it
        # may be lent to somebody else.
        store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        url = f"{_KEPT}127.0.0.1:{store.port}"
    context = mp.start_processes(
        _spawned, (num_processes, url, main, args, device), nprocs=num_processes, join=False
    )
    with _forwarding_signals(context.pids()):
        try:
            # Awake now and then: a signal that comes just before a wait without end is noted by
            # Python, and forwarded only after it.
            while not context.join(timeout=_POLL_SECONDS, grace_period=_SECONDS_TO_END):
                pass
        except mp.ProcessExitedException as error:
            # It has said what there is to say; a negative code is the signal that killed it.
            code = error.exit_code
            sys.exit(exit_code(-code) if code < 0 else code)


def _spawned(
    local_rank: int,
    num_processes: int,
    url: str,
    main: Callable,
    args: argparse.Namespace,
    device: str,
) -> None:
    place = ProcessPlace(
        rank=args.machine_rank * num_processes + local_rank,
        world_size=args.num_machines * num_processes,
        local_rank=local_rank,
        local_world_size=num_processes,
        init_method=url,
    )
    # What this process starts is to be started as in any other run: a spawned process would spawn,
    # and its loaders import everything anew, and would not be shielded from signals.
    mp.set_start_method(None, force=True)
    if "OMP_NUM_THREADS" not in os.environ:
        # torch takes all cores in each process; torchrun and srun see to that themselves.
        torch.set_num_threads(max(1, torch.get_num_threads() // num_processes))
    try:
        _run_in_group(place, main, args, device)
    except KeyboardInterrupt:
        # Else multiprocessing takes it for success.
        sys.exit(exit_code(signal.SIGINT))


@contextmanager
def _forwarding_signals(pids: list[int]) -> Iterator[None]:
    """What is sent to this process is meant for those that work; it only waits for them."""

    def forward(signum: int, _frame) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signum)

    previous = {signum: signal.signal(signum, forward) for signum in STOP_SIGNALS}
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def _run_in_group(
    place: ProcessPlace, main: Callable, args: argparse.Namespace, device: str
) -> None:
    gpu = None
    if torch.device(device).type == "cuda":
        with one_sentence_errors(args.program, is_first=place.rank == 0):
            gpu = choose_gpu(place, torch.cuda.device_count())
        torch.cuda.set_device(gpu)
    _meet(place, args, gpu)
    try:
        main(args)
    except StopTraining:
        # All is saved. When the first process has ended, its launcher may end the others by
        # SIGTERM, and their codes would tell of that instead of what has stopped the training.
        for signum in STOP_SIGNALS:
            signal.signal(signum, signal.SIG_IGN)
        _leave()
        raise
    _leave()


def choose_gpu(place: ProcessPlace, num_visible: int) -> int:
    """The number of a process's GPU, among those that it sees.

    Raises:
        ValueError: there are too few.
    """
    if num_visible == 1:  # as with srun's --gpus-per-task, which gives each task its own
        return 0
    _check_gpus(place.local_world_size, num_visible)
    return place.local_rank


def _check_gpus(num_processes: int, num_visible: int) -> None:
    if num_processes > num_visible:
        raise ValueError(
            f"{num_processes} processes on this machine, but {num_visible} GPUs: start as many "
            "processes as there are GPUs"
        )


def check_gpu_of_its_own(gpu: int) -> None:
    """Check that no two processes have one GPU; all of them have to call this.

    Args:
        gpu: its number in this process.

    Raises:
        ValueError: two have.
    """
    # Numbers do not tell: srun may show each process another GPU as number 0.
    own = socket.gethostname(), str(torch.cuda.get_device_properties(gpu).uuid)
    if comm.all_gather(own).count(own) > 1:
        raise ValueError(
            f"Several processes of {own[0]} have the same GPU, {own[1]}: start as many processes "
            "as there are GPUs"
        )


def _meet(place: ProcessPlace, args: argparse.Namespace, gpu: int | None) -> None:
    """Make the group of all processes, and detectron2's of those of each machine."""
    timeout = timedelta(minutes=args.timeout)
    try:
        meeting = {"init_method": place.init_method}
        if place.init_method.startswith(_KEPT):
            host, port = place.init_method.removeprefix(_KEPT).split(":")
            meeting = {"store": distributed.TCPStore(host, int(port), timeout=timeout)}
        distributed.init_process_group(
            "gloo" if gpu is None else "nccl",
            rank=place.rank,
            world_size=place.world_size,
            timeout=timeout,
            **meeting,
        )
    except (RuntimeError, ValueError) as error:  # also of torch's stores
        sys.exit(
            f"{args.program}: Process {place.rank} of {place.world_size} did not "
            f"find the others at {place.init_method} within {args.timeout:g} minutes: "
            f"{str(error).splitlines()[0]}"
        )
    if gpu is not None:
        with one_sentence_errors(args.program):
            check_gpu_of_its_own(gpu)
    comm.create_local_process_group(place.local_world_size)
    comm.synchronize()


def _leave() -> None:
    # Together: a launcher kills all processes as soon as one has ended with a code.
    comm.synchronize()
    distributed.destroy_process_group()
