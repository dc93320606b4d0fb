#!/usr/bin/env bash
# Everything that needs a GPU, on a machine with an NVIDIA GPU and without network: what it lacks is
# installed from wheels, then benchmarks/gpu_plan.py does the parts of its plan.
#
#   benchmarks/run_on_gpu.sh RESULTS [options of gpu_plan]     (all parts: ten minutes)
#   benchmarks/run_on_gpu.sh RESULTS --parts device first_steps tests inference training
#   benchmarks/run_on_gpu.sh RESULTS --parts model test_x1 test_x2 weights --weights resnet50.pth
#   DRY_RUN=1 benchmarks/run_on_gpu.sh RESULTS                 (a rehearsal on the CPU)
#
# Environment variables:
#   PYTHON                a Python with torch for the GPU                         (python3)
#   WHEELS                folder of wheels, see README.md; used if detectron2 is missing   (.whl)
#   SITE                  where they are installed               (a folder removed at the end)
#   DETECTRON2_DATASETS   data in the layout of WIDER FACE               (a drawn sample)
#   DRY_RUN               1: next to nothing of every part, on the CPU
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

if (($# == 0)); then
  echo "usage: benchmarks/run_on_gpu.sh RESULTS [options of benchmarks/gpu_plan.py]" >&2
  exit 2
fi
PYTHON=${PYTHON:-python3}
WHEELS=${WHEELS:-.whl}
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
SITE=${SITE:-$SCRATCH/site}
export PYTHONPATH="$PWD:$SITE${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
# Caches of matplotlib and the like stay out of a home folder that may not be writable.
export MPLCONFIGDIR="$SCRATCH/matplotlib"
export DETECTRON2_DATASETS="${DETECTRON2_DATASETS:-$SCRATCH/data}"

if ! "$PYTHON" -c 'import detectron2' 2> /dev/null; then
  if [[ ! -d $WHEELS ]]; then
    echo "detectron2 is missing, and there is no folder $WHEELS: see benchmarks/README.md" >&2
    exit 1
  fi
  "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade \
    --target "$SITE" "$WHEELS"/*.whl || exit 1
fi

dry=()
[[ ${DRY_RUN:-} == 1 ]] && dry=(--dry-run)
"$PYTHON" -m benchmarks.gpu_plan "$1" --scratch "$SCRATCH/scratch" "${dry[@]}" "${@:2}"
