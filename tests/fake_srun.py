"""Stands for srun and its ``--signal``: two tasks on this machine, with srun's environment.

As soon as the file $SIGNAL_WHEN exists, the last task gets SIGUSR1. (SLURM sends it to all; one is
to be enough.) Like srun, this ends with the highest code of all tasks.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

NUM_TASKS = 2


def task_environment(task: int) -> dict[str, str]:
    return {
        **os.environ,
        "SLURM_LOCALID": str(task),
        "SLURM_PROCID": str(task),
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": str(NUM_TASKS),
        "SLURM_STEP_TASKS_PER_NODE": str(NUM_TASKS),
    }


def main() -> int:
    arguments = sys.argv[1:]
    while arguments[0].startswith("--"):
        arguments.pop(0)
    tasks = [
        subprocess.Popen(arguments, env=task_environment(task), stdin=subprocess.DEVNULL)
        for task in range(NUM_TASKS)
    ]
    while not os.path.exists(os.environ["SIGNAL_WHEN"]) and tasks[-1].poll() is None:
        time.sleep(0.1)
    tasks[-1].send_signal(signal.SIGUSR1)
    return max(task.wait() for task in tasks)


if __name__ == "__main__":
    sys.exit(main())
