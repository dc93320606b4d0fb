#!/usr/bin/env bash
# A training on a SLURM cluster that outlives its time limit, and preemption: it saves, goes back to
# the queue and continues after its last step.
#
#     sbatch tools/slurm_train.sh --config-file configs/DF2S2/DF2S2_R50.yaml OUTPUT_DIR output/r50
#
# Arguments are those of train_net.py; --resume is added, which starts anew in an empty OUTPUT_DIR.
# Submit it from the project's folder, on a file system that all nodes share. What a cluster asks
# for (partition, account, GPU type) goes between sbatch and the script, over the lines below:
#
#     sbatch --partition gpu --nodes 4 --time 2:00:00 tools/slurm_train.sh --config-file ...
#
#SBATCH --job-name=train_net
#SBATCH --output=slurm-%x-%j.log
#SBATCH --open-mode=append
#SBATCH --nodes=2
# One task is one process on one GPU, as many on each node.
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
# For the processes that load images (DATALOADER.NUM_WORKERS of each task) beside the one that trains.
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
# Five minutes before the time limit all tasks get SIGUSR1: more than a step, or an image of a test,
# and a checkpoint take. Without "B:" it is the tasks that get it, and not this script.
#SBATCH --signal=USR1@300
# Preempted jobs and those of a node that fails start again, from their last checkpoint.
#SBATCH --requeue

set -uo pipefail

# Made by `make venv`; PYTHON=... names another one.
python=${PYTHON:-.venv/bin/python}

# Tensor work is on the GPU, and each loader is a process: more threads would take turns only.
export OMP_NUM_THREADS=1

# --kill-on-bad-exit: when one process fails, the others wait for it until --timeout; end them.
# --distribution=block: the ranks of a node follow each other, as detectron2's groups need them.
# --cpus-per-task: srun does not take it over from sbatch in all versions of SLURM.
srun --kill-on-bad-exit=1 --distribution=block --cpus-per-task="$SLURM_CPUS_PER_TASK" \
  "$python" train_net.py --resume "$@"
code=$?

# 138 = 128 + SIGUSR1: stopped before the time limit, everything saved. After SIGTERM (143), the job
# was cancelled, and is to stay so, or preempted, and SLURM itself puts it back into the queue. Any
# other code is a fault, which would only come again.
if [ "$code" -eq 138 ]; then
  echo "Time is up: job $SLURM_JOB_ID goes back to the queue and will resume"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
