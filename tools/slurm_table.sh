#!/usr/bin/env bash
# The rows of a paper's table on a SLURM cluster: each job of the array takes one after another, and
# outlives its time limit.
#
#     sbatch --array 0-4 tools/slurm_table.sh df2s2-2 --seeds 1 2 3 --data DIR
#
# Arguments are those of `df2s2 table`; --num-gpus is added. What a cluster asks for goes between
# sbatch and the script, as with slurm_train.sh. All jobs need one file system.
#
#SBATCH --job-name=table
#SBATCH --output=slurm-%x-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
# Five minutes before the time limit: more than a step, or an image of a test, and a checkpoint take.
#SBATCH --signal=B:USR1@300
#SBATCH --requeue

set -uo pipefail

# Made by `make venv`; PYTHON=... names another one.
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS=1

# In the background, because bash acts on a signal only between commands; the signal is passed on.
"$python" -m df2s2_d2 table "$@" --num-gpus "${SLURM_GPUS_ON_NODE:-1}" &
table=$!
trap 'kill -USR1 "$table"' USR1
trap 'kill -TERM "$table"' TERM
wait "$table"
code=$?
# Interrupted by the signal, wait has told that; what the command ends with comes now.
while kill -0 "$table" 2> /dev/null; do
  wait "$table"
  code=$?
done

# 138 = 128 + SIGUSR1: stopped before the time limit, everything saved.
if [ "$code" -eq 138 ]; then
  echo "Time is up: job $SLURM_JOB_ID goes back to the queue and will resume"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
