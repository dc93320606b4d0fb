#!/usr/bin/env bash
# Everything that needs a GPU, in one command, on a machine with an NVIDIA GPU and without network:
# the tests marked `gpu`, a short training in mixed precision, and the benchmarks.
#
#   benchmarks/run_on_gpu.sh [OUTPUT]        (default: output/gpu)
#
# The steps do not depend on each other: one that fails is reported and the others go on; the exit
# code is 1 if any failed. All of it ends within LIMIT seconds. OUTPUT then holds, in one flat
# folder: summary.json, run.log, results.md and a JSON of each benchmark:
# {inference,inference_compiled,training,matching,short_training}.json.
#
# Environment variables:
#   PYTHON                a Python with torch for the GPU                         (python3)
#   WHEELS                folder of wheels, see README.md; used if detectron2 is missing   (.whl)
#   SITE                  where they are installed               (a folder removed at the end)
#   LIMIT                 seconds for everything                                  (530)
#   DETECTRON2_DATASETS   data in the layout of WIDER FACE               (a drawn sample)
#   SAMPLE_IMAGES         training images of the drawn sample                     (300)
#   CONFIG                of the short training       (configs/DF2S2/small/demo_R18.yaml, or
#                         configs/DF2S2/DF2S2_R50.yaml if BOTTOM_UP_WEIGHTS is given)
#   BOTTOM_UP_WEIGHTS     ImageNet weights of the config's ResNet, torchvision's file    (none)
#   ITERATIONS            of the short training                                   (400)
#   TRAINING_OPTIONS      further KEY VALUE pairs of the short training           (none)
#   WORKERS               processes that draw or load images                      (all cores, at most 8)
#   STEPS                 those to run, besides the installation, which is always done:
#                         gpu tests data inference inference_compiled training matching
#                         short_training                                          (all of them)
#   TESTS                 what pytest is given                                    (tests)
#   INFERENCE_OPTIONS, COMPILED_OPTIONS, BENCHMARK_TRAINING_OPTIONS, MATCHING_OPTIONS:
#                         of the benchmarks
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

OUTPUT=${1:-output/gpu}
PYTHON=${PYTHON:-python3}
WHEELS=${WHEELS:-.whl}
LIMIT=${LIMIT:-530}
ITERATIONS=${ITERATIONS:-400}
CORES=$(nproc)
WORKERS=${WORKERS:-$((CORES < 8 ? CORES : 8))}
BOTTOM_UP_WEIGHTS=${BOTTOM_UP_WEIGHTS:-}
if [[ -n $BOTTOM_UP_WEIGHTS ]]; then
  CONFIG=${CONFIG:-configs/DF2S2/DF2S2_R50.yaml}
else
  CONFIG=${CONFIG:-configs/DF2S2/small/demo_R18.yaml}
fi
STEPS=${STEPS:-gpu tests data inference inference_compiled training matching short_training}
INFERENCE_OPTIONS=${INFERENCE_OPTIONS:---precisions fp32 bf16 fp16 --batch-sizes 1 8 32}
COMPILED_OPTIONS=${COMPILED_OPTIONS:---compile --precisions bf16 --batch-sizes 1 32 \
  --setting configs/DF2S2/DF2S2_R50.yaml 512 640}
BENCHMARK_TRAINING_OPTIONS=${BENCHMARK_TRAINING_OPTIONS:---precisions fp32 fp16 --batch-sizes 8}
MATCHING_OPTIONS=${MATCHING_OPTIONS:---max-matrix-mb 5000}

mkdir -p "$OUTPUT" || exit 1
OUTPUT=$(cd "$OUTPUT" && pwd)
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
SITE=${SITE:-$SCRATCH/site}
export PYTHONPATH="$PWD:$SITE${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
# Caches of matplotlib and the like stay out of a home folder that may not be writable.
export MPLCONFIGDIR="$SCRATCH/matplotlib"
LOG="$OUTPUT/run.log"
rm -f "$OUTPUT"/{summary.json,run.log,results.md}
rm -f "$OUTPUT"/{inference,inference_compiled,training,matching,short_training}.json
: > "$SCRATCH/steps"

# step NAME SECONDS COMMAND...: run within the time, log it, note how it ended.
step() {
  local name=$1 seconds=$2 code left started=$SECONDS
  shift 2
  [[ $name == install || " $STEPS " == *" $name "* ]] || return 0
  left=$((LIMIT - 10 - SECONDS))
  ((seconds < left)) || seconds=$left
  echo "== $name" | tee -a "$LOG"
  if ((seconds > 0)); then
    timeout --kill-after=5 "$seconds" "$@" > "$SCRATCH/$name.log" 2>&1
    code=$?
  else
    echo "no time left" > "$SCRATCH/$name.log"
    code=124
  fi
  # A log that runs wild must not make the folder too large to carry.
  tail -c 2000000 "$SCRATCH/$name.log" >> "$LOG"
  printf '%s\t%s\t%s\n' "$name" "$code" "$((SECONDS - started))" >> "$SCRATCH/steps"
  if ((code == 0)); then
    echo "   done in $((SECONDS - started)) s"
  else
    tail -n 15 "$SCRATCH/$name.log"
    echo "   FAILED with code $code after $((SECONDS - started)) s"
  fi
  return "$code"
}

install_wheels() {
  if "$PYTHON" -c 'import detectron2' 2> /dev/null; then
    echo "detectron2 is there already"
  elif [[ -d $WHEELS ]]; then
    "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade \
      --target "$SITE" "$WHEELS"/*.whl
  else
    echo "detectron2 is missing, and there is no folder $WHEELS: see benchmarks/README.md" >&2
    return 1
  fi
}

draw_data() {
  "$PYTHON" datasets/make_sample_dataset.py --output "$SCRATCH/data" --workers "$WORKERS" \
    --num-train "${SAMPLE_IMAGES:-300}" --num-val 60 --num-test 2
}

# Words in *_OPTIONS are separate arguments.
# shellcheck disable=SC2086
{
  export -f install_wheels draw_data
  export PYTHON WHEELS SITE SCRATCH WORKERS
  step install 60 bash -c install_wheels
  step gpu 30 "$PYTHON" -c 'import torch; print(torch.__version__, torch.cuda.get_device_name())'
  step tests 150 "$PYTHON" -m pytest -q -m gpu --continue-on-collection-errors \
    -p no:cacheprovider ${TESTS:-tests}
  if [[ -z ${DETECTRON2_DATASETS:-} ]]; then
    step data 60 bash -c draw_data
    export DETECTRON2_DATASETS="$SCRATCH/data"
  fi
  step inference 150 "$PYTHON" -m benchmarks.inference --device cuda \
    --output "$OUTPUT/inference.json" $INFERENCE_OPTIONS
  step inference_compiled 150 "$PYTHON" -m benchmarks.inference --device cuda \
    --output "$OUTPUT/inference_compiled.json" $COMPILED_OPTIONS
  step training 80 "$PYTHON" -m benchmarks.training --device cuda \
    --output "$OUTPUT/training.json" $BENCHMARK_TRAINING_OPTIONS
  step matching 45 "$PYTHON" -m benchmarks.anchor_matching --device cuda \
    --output "$OUTPUT/matching.json" $MATCHING_OPTIONS
  step short_training 240 "$PYTHON" -m benchmarks.short_training --device cuda \
    --config-file "$CONFIG" --iterations "$ITERATIONS" --output "$OUTPUT/short_training.json" \
    MODEL.BOTTOM_UP.WEIGHTS "$BOTTOM_UP_WEIGHTS" DATALOADER.NUM_WORKERS "$WORKERS" ${TRAINING_OPTIONS:-}
}

shopt -s nullglob
tables=("$OUTPUT"/{inference,inference_compiled,training,matching,short_training}.json)
shopt -u nullglob
measured=()
for file in "${tables[@]}"; do [[ -f $file ]] && measured+=("$file"); done
if ((${#measured[@]})); then
  "$PYTHON" -m benchmarks.make_table "${measured[@]}" > "$OUTPUT/results.md" 2>> "$LOG"
  cat "$OUTPUT/results.md"
fi

"$PYTHON" - "$SCRATCH" "$OUTPUT/summary.json" "$SECONDS" << 'PYTHON_END'
import json
import sys
from pathlib import Path

scratch, summary, seconds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
steps = []
for line in (scratch / "steps").read_text().splitlines():
    name, code, duration = line.split("\t")
    step = {"step": name, "exit_code": int(code), "seconds": int(duration)}
    if step["exit_code"]:
        step["timed_out"] = step["exit_code"] in (124, 137)
        step["log_end"] = (scratch / f"{name}.log").read_text(errors="replace")[-20000:]
    elif name in ("gpu", "tests"):
        step["log_end"] = (scratch / f"{name}.log").read_text(errors="replace")[-2000:]
    steps.append(step)
failed = [step["step"] for step in steps if step["exit_code"]]
text = json.dumps({"failed": failed, "seconds": seconds, "steps": steps}, indent=1)
summary.write_text(text + "\n", encoding="utf-8")
print("All steps passed." if not failed else f"Failed: {', '.join(failed)}")
sys.exit(bool(failed))
PYTHON_END
