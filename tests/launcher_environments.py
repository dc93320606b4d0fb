"""Environment variables as launchers set them for a process."""

from __future__ import annotations

# The second process of the second of two machines.
TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "GROUP_RANK": "1",
    "MASTER_ADDR": "gpu01",
    "MASTER_PORT": "29500",
}

# The second task of the second of two machines, as srun sets it in a job of sbatch.
SRUN = {
    "SLURM_JOB_ID": "1234",
    "SLURM_JOB_NODELIST": "gpu[01-02]",
    "SLURM_LOCALID": "1",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "gpu[01-02]",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    "SLURM_TASKS_PER_NODE": "2(x2)",
}

# What a batch script, which is one process, has in a job of four tasks.
BATCH_SCRIPT = {
    "SLURM_JOB_ID": "1234",
    "SLURM_JOB_NODELIST": "gpu[01-02]",
    "SLURM_LOCALID": "0",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "0",
    "SLURM_TASKS_PER_NODE": "2(x2)",
}


def is_set_by_launchers(name: str) -> bool:
    """Whether an environment variable would be taken for a launcher's."""
    return name in TORCHRUN or name.startswith(("SLURM_", "OMPI_", "PMI_"))
