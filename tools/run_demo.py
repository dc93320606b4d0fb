#!/usr/bin/env python3
"""Draw a data set, train on it, evaluate and show the results: the project in one command.

    python tools/run_demo.py --config-file configs/DF2S2/small/demo_R18.yaml --output output/demo

Everything lands in the output folder: the data, the trained model, a table of AP, loss curves,
precision-recall curves, and pictures with the faces found.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURES = 8
SUBMISSION = "inference/wider_face_val/wider_face_submission"  # below the output folder
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
    """Plot the losses and the precision-recall curves, and print the table."""
    from df2s2_d2.evaluation import evaluate_wider_face, load_ground_truth, read_detections
    from df2s2_d2.evaluation.plots import plot_losses, plot_precision_recall
    from df2s2_d2.evaluation.protocol import describe_protocol, read_protocol

    ground_truth = load_ground_truth(output / "data" / GROUND_TRUTH)
    protocol = describe_protocol(read_protocol(output / SUBMISSION))
    result = evaluate_wider_face(read_detections(output / SUBMISSION), ground_truth)
    plot_losses(output / "metrics.json", output / "losses.png")
    plot_precision_recall({"this run": result}, output / "precision_recall.png", title=protocol)
    print(f"\nResult on the {result.num_images} drawn validation images ({protocol})\n")
    print("           faces     AP")
    for setting, faces in result.num_faces.items():
        print(f"  {setting:<8} {faces:>6}  {result.ap[f'AP_{setting}']:.3f}")
    print(f"\nIn {output}/: report.html, losses.png, precision_recall.png, faces/, weak_masks/")


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
        print("1/4 Drawing the data set", flush=True)
        draw_dataset(data)

        print("2/4 Training", flush=True)
        started = time.perf_counter()
        overrides = ["OUTPUT_DIR", output, "MODEL.BOTTOM_UP.WEIGHTS", ""]
        config = ["--config-file", args.config_file]
        run_script("train_net.py", *config, *overrides, data=data)
        minutes = (time.perf_counter() - started) / 60

        print("3/4 Drawing the faces found", flush=True)
        overrides += ["MODEL.WEIGHTS", output / "model_final.pth"]
        pictures = sorted((data / "wider_face/WIDER_val/images").rglob("*.jpg"))
        chosen = pictures[:: max(1, len(pictures) // PICTURES)][:PICTURES]
        found = ["--input", *chosen, "--output", output / "faces"]
        run_script("demo.py", *config, *found, "--opts", *overrides, data=data)
        training = sorted((data / "wider_face/WIDER_train/images").rglob("*.jpg"))[0]
        name = f"{training.parent.name}/{training.stem}"
        masks = ["--weak-masks", name, "--output", output / "weak_masks"]
        run_script("demo.py", *config, *masks, "--opts", *overrides, data=data)

        print("4/4 Reporting", flush=True)
        explained = ["--images", data / "wider_face/WIDER_val/images", "--name", "this run"]
        explained += ["--output", output / "report.html"]
        run_script(
            "tools/report.py", output / SUBMISSION, data / GROUND_TRUTH, *explained, data=data
        )
    except subprocess.CalledProcessError as error:
        sys.exit(f"tools/run_demo.py: {Path(error.cmd[1]).name} failed; its message is above")

    report(output)
    print(f"Training and evaluation took {minutes:.1f} minutes.")


if __name__ == "__main__":
    main()
