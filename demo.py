#!/usr/bin/env python3
"""Find the faces in images and draw them, confidence shown as opacity.

    python demo.py --config-file CONFIG --input photo.jpg folder/ --output found/ \\
        --opts MODEL.WEIGHTS output/model_final.pth

``--weak-masks EVENT/IMAGE ...`` draws, for images of the training set, the masks that the
segmentation branch learns from, and what it predicts.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.data.detection_utils import convert_image_to_rgb
from detectron2.modeling import build_model
from torch import nn
from tqdm import tqdm

from df2s2_d2 import load_config
from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.data.dataset_mapper import read_image
from df2s2_d2.engine import check_weights
from df2s2_d2.modeling.ground_truth import GroundTruth
from df2s2_d2.modeling.test_time_augmentation import (
    check_test_time_augmentation,
    with_test_time_augmentation,
)
from df2s2_d2.visualization import draw_detections, draw_weak_masks

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}


def find_images(inputs: list[str]) -> list[Path]:
    """The image files among ``inputs``: files as they are, folders with all below them.

    Raises:
        FileNotFoundError: if an input does not exist or a folder holds no image.
    """
    images = []
    for path in map(Path, inputs):
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
            if not found:
                raise FileNotFoundError(f"The folder {path} holds no image")
            images += found
        elif path.exists():
            images.append(path)
        else:
            raise FileNotFoundError(f"The input {path} does not exist")
    return images


@torch.no_grad()
def draw_faces(
    cfg: CfgNode, model: nn.Module, images: list[Path], output: Path, threshold: float
) -> list[str]:
    """Write each image with the faces found in it; an image that fails stops nothing.

    Args:
        cfg: of the model.
        model: in evaluation mode.
        images: files to look into.
        output: folder for the pictures, which keep their names; like names get a number.
        threshold: only faces with a higher score are drawn.

    Returns:
        What went wrong, a line for each image that failed.
    """
    mapper = FaceDatasetMapper(cfg, is_train=False)
    output.mkdir(parents=True, exist_ok=True)
    failures, taken = [], set()
    for path in tqdm(images, unit="image", disable=None):
        try:
            record = mapper({"file_name": str(path), "image_id": path.stem})
        except OSError as error:
            failures.append(str(error))
            continue
        detections = model([record])[0]["instances"].to("cpu")
        # At its own size: the mapper may have resized the copy for the network.
        original = read_image(str(path), "RGB")
        picture = draw_detections(original, detections[detections.scores > threshold])
        name = path.stem
        while name in taken:
            name = f"{name}_{len(taken)}"
        taken.add(name)
        cv2.imwrite(str(output / f"{name}.jpg"), picture[:, :, ::-1])
    return failures


@torch.no_grad()
def draw_training_masks(cfg: CfgNode, model: nn.Module, image_ids: list[str], output: Path) -> None:
    """Write the weak masks, target and prediction, of training images after augmentation.

    Args:
        cfg: of the model.
        model: a FaceDetector.
        image_ids: "<event>/<image stem>" of images in DATASETS.TRAIN.
        output: folder for the pictures.

    Raises:
        ValueError: if an image is not in the training set.
    """
    records = {r["image_id"]: r for name in cfg.DATASETS.TRAIN for r in DatasetCatalog.get(name)}
    mapper = FaceDatasetMapper(cfg, is_train=True)
    output.mkdir(parents=True, exist_ok=True)
    for image_id in image_ids:
        if image_id not in records:
            example = next(iter(records))
            raise ValueError(
                f"{image_id!r} is not an image of {', '.join(cfg.DATASETS.TRAIN)}: name it like "
                f"{example!r}"
            )
        inputs = [mapper(records[image_id])]
        images = model.preprocess_image(inputs)
        shot = model.shot
        shot.train()  # the segmentation branch exists in training only
        outputs = shot(model.backbone(images.tensor))
        shot.eval()
        ground_truth = GroundTruth.from_batch(inputs, images.image_sizes, model.device)
        grids = shot.grids(outputs)
        targets = shot.mask_targets(grids, shot.match(grids, ground_truth), ground_truth)
        predicted = outputs.masks or [None] * len(grids)
        padded = np.zeros((*images.tensor.shape[2:], 3), np.uint8)
        image = convert_image_to_rgb(inputs[0]["image"].permute(1, 2, 0), cfg.INPUT.FORMAT)
        padded[: image.shape[0], : image.shape[1]] = image
        figure = draw_weak_masks(
            padded,
            ground_truth.faces.cpu().numpy(),
            {
                name: (
                    target.mask[0].cpu().numpy(),
                    None if logits is None else logits[0, 0].float().sigmoid().cpu().numpy(),
                )
                for name, target, logits in zip(shot.in_features, targets, predicted, strict=True)
            },
        )
        figure.savefig(output / f"weak_masks_{image_id.replace('/', '_')}.png", dpi=110)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", required=True, metavar="FILE")
    parser.add_argument("--input", nargs="+", default=[], help="image files and folders of them")
    parser.add_argument("--output", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--threshold", type=float, default=0.5, help="lowest score drawn (0.5)")
    parser.add_argument("--weak-masks", nargs="+", default=[], metavar="EVENT/IMAGE")
    parser.add_argument(
        "--opts", nargs=argparse.REMAINDER, default=[], help="KEY VALUE pairs over the config, last"
    )
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    try:
        cfg = load_config(args.config_file, args.opts)
        if not cfg.MODEL.WEIGHTS:
            raise ValueError("no trained model is given: add --opts MODEL.WEIGHTS FILE")
        check_weights(cfg)
        check_test_time_augmentation(cfg)
        images = find_images(args.input)
        model = build_model(cfg).eval()
        DetectionCheckpointer(model).load(cfg.MODEL.WEIGHTS)
        detector = with_test_time_augmentation(cfg, model)
        failures = draw_faces(cfg, detector, images, args.output, args.threshold)
        if args.weak_masks:
            draw_training_masks(cfg, model, args.weak_masks, args.output)
    except (OSError, ValueError) as error:
        sys.exit(f"demo.py: {error}")
    if images:
        print(f"{len(images) - len(failures)} of {len(images)} images drawn into {args.output}")
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
