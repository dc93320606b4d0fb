#!/usr/bin/env python3
"""Find faces in photographs; then draw a data set, train on it, evaluate and show the results.

    python tools/run_demo.py --config-file configs/DF2S2/small/demo_R18.yaml --output output/demo

Everything lands in the output folder: the photographs with their faces framed, the drawn data, a
model trained on it, a table of AP, loss curves, precision-recall curves, and pictures with faces
found.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURES = 8
EVALUATION = "inference/wider_face_val"  # below the output folder
SUBMISSION = f"{EVALUATION}/wider_face_submission"
GROUND_TRUTH = "wider_face/eval_tools/ground_truth"  # below that of the data
# About as many as a training of five minutes on two cores looks at: seen once or twice, they are
# not learned by heart.
TRAINING_IMAGES = 5000
# fvcore uses a part of torch that is deprecated: nothing that a newcomer could act on.
QUIET = "ignore:`torch.jit.script` is deprecated:FutureWarning"


def draw_dataset(folder: Path) -> None:
    """Draw the sample data set anew; it is the same every time."""
    script = ROOT / "datasets" / "make_sample_dataset.py"
    options = ["--num-train", str(TRAINING_IMAGES), "--workers", "2", "--overwrite"]
    subprocess.run([sys.executable, str(script), "--output", str(folder), *options], check=True)


def run_script(*arguments: str | Path, data: Path) -> None:
    """Run one of the project's scripts on the drawn data, as a user would."""
    environment = {**os.environ, "DETECTRON2_DATASETS": str(data), "PYTHONWARNINGS": QUIET}
    subprocess.run([sys.executable, *map(str, arguments)], check=True, env=environment, cwd=ROOT)


def report(output: Path) -> None:
    """Plot the losses, and print what the evaluation wrote."""
    from df2s2_d2.evaluation.protocol import describe_protocol, read_protocol
    from df2s2_d2.visualization.training_losses import plot_losses

    plot_losses(output / "metrics.json", output / "losses.png")
    results = json.loads((output / EVALUATION / "results.json").read_text(encoding="utf-8"))
    protocol = describe_protocol(read_protocol(output / SUBMISSION))
    counts = results["counts"]
    print(f"\nResult on the {counts['images']} drawn validation images ({protocol})\n")
    print("           faces     AP")
    for setting, faces in counts["faces"].items():
        print(f"  {setting:<8} {faces:>6}  {results['wider_face'][f'AP_{setting}']:.3f}")
    print(
        f"\nIn {output}/: photographs/, report.html, losses.png, faces/, weak_masks/, "
        f"{EVALUATION}/precision_recall.png"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", required=True, metavar="FILE")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    args = parser.parse_args()
    output = args.output.resolve()
    data = output / "data"
    try:
        print("1/5 Finding faces in photographs by faces-small", flush=True)
        photographs = ["--input", ROOT / "docs/photographs", "--output", output / "photographs"]
        run_script("demo.py", "--weights", "faces-small", *photographs, data=data)

        print("2/5 Drawing the data set", flush=True)
        draw_dataset(data)

        print("3/5 Training", flush=True)
        started = time.perf_counter()
        overrides = ["OUTPUT_DIR", output, "MODEL.BOTTOM_UP.WEIGHTS", ""]
        run_script("train_net.py", "--config-file", args.config_file, *overrides, data=data)
        minutes = (time.perf_counter() - started) / 60

        print("4/5 Drawing the faces found", flush=True)
        trained = ["--weights", output / "model_final.pth"]
        pictures = sorted((data / "wider_face/WIDER_val/images").rglob("*.jpg"))
        chosen = pictures[:: max(1, len(pictures) // PICTURES)][:PICTURES]
        found = ["--input", *chosen, "--output", output / "faces"]
        run_script("demo.py", *trained, *found, data=data)
        training = sorted((data / "wider_face/WIDER_train/images").rglob("*.jpg"))[0]
        name = f"{training.parent.name}/{training.stem}"
        masks = ["--weak-masks", name, "--output", output / "weak_masks"]
        run_script("demo.py", *trained, *masks, data=data)

        print("5/5 Reporting", flush=True)
        explained = ["--images", data / "wider_face/WIDER_val/images", "--name", "this run"]
        explained += ["--output", output / "report.html"]
        run_script(
            "tools/report.py", output / SUBMISSION, data / GROUND_TRUTH, *explained, data=data
        )
    except subprocess.CalledProcessError as error:
        sys.exit(f"tools/run_demo.py: {Path(error.cmd[1]).name} failed; its message is above")

    report(output)
    print(f"Training and evaluation took {minutes:.1f} minutes.")
    print("\nTo look for faces with the detector:")
    weights = os.path.relpath(output / "model_final.pth")
    print(f"  .venv/bin/df2s2 detect FILE_OR_FOLDER --weights {weights}    # into found/")


if __name__ == "__main__":
    main()
