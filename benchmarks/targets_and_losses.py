#!/usr/bin/env python3
"""Time and memory of a step's targets and losses beside those of detectron2's RetinaNet.

    python -m benchmarks.targets_and_losses --output output/targets_and_losses.json
    python -m benchmarks.targets_and_losses --faces 20 --batch-sizes 8 --sizes 640

Both get the same anchors, faces, thresholds and predictions, and go from the predictor's maps to
the gradients of these maps; weak masks, which RetinaNet has not, are timed apart. At last whole
training steps show what a crowd costs.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.meta_arch.retinanet import RetinaNet
from detectron2.utils.events import EventStorage
from torch import Tensor, nn

from benchmarks.common import (
    add_common_arguments,
    choose_device,
    peak_memory,
    relative_difference,
    report,
    time_alternating,
)
from benchmarks.make_table import to_markdown
from benchmarks.models import OURS, annotated_batch, silence_detectron2
from benchmarks.training import PLAIN, Case, training_config, training_step
from df2s2_d2 import load_config
from df2s2_d2.modeling import HeadOutputs, Shot
from df2s2_d2.modeling.targets import GroundTruth, Targets

CONFIG = "configs/DF2S2/DF2S2_R50.yaml"
LEVELS = [f"p{level}" for level in range(2, 8)]
STAGES = ("targets", "losses", "both")


class Problem:
    """Predictions and annotations of a batch, and both ways to targets and losses.

    Args:
        num_faces: in every image.
        batch_size: images.
        size: height and width of every image in pixels.
        seed: of faces and predictions.
        device: where to compute.
    """

    def __init__(
        self,
        num_faces: int,
        batch_size: int,
        size: tuple[int, int],
        seed: int,
        device: torch.device,
    ):
        cfg = load_config(overrides=["MODEL.SHOT.IN_FEATURES", LEVELS])
        strides = [2 ** int(name[1:]) for name in LEVELS]
        shapes = {
            name: ShapeSpec(channels=1, stride=stride)
            for name, stride in zip(LEVELS, strides, strict=True)
        }
        self.shot = Shot(cfg.MODEL.SHOT, shapes).to(device)
        self.retinanet = headless_retinanet(self.shot, cfg.MODEL.SHOT).to(device)
        self.batch = annotated_batch(batch_size, size, num_faces, seed)
        self.instances = [inputs["instances"].to(device) for inputs in self.batch]
        self.ground_truth = GroundTruth.from_batch(self.batch, [size] * batch_size, device)
        self.with_masks = random_outputs(batch_size, size, strides, seed, device)
        self.outputs = self.with_masks._replace(masks=None)
        self.grids = self.shot.grids(self.outputs)

    def our_targets(self) -> Targets:
        """By this project, without masks."""
        return self.shot.targets(self.outputs, self.ground_truth)

    def their_targets(self) -> tuple[list[Tensor], list[Tensor]]:
        """By detectron2: label and box of each anchor, per image."""
        anchors = self.retinanet.anchor_generator(self.outputs.logits)
        return self.retinanet.label_anchors(anchors, self.instances)

    def our_losses(self, targets: Targets | None = None) -> dict[str, Tensor]:
        """By this project, without masks; targets are made unless given."""
        targets = targets or self.our_targets()
        return self.shot.losses_to_targets(self.outputs, targets, self.ground_truth.faces)

    def our_losses_with_masks(self) -> dict[str, Tensor]:
        """Targets and losses by this project, weak masks among them."""
        return self.shot.losses(self.with_masks, self.ground_truth)

    def their_losses(
        self, targets: tuple[list[Tensor], list[Tensor]] | None = None
    ) -> dict[str, Tensor]:
        """By detectron2; targets are made unless given."""
        labels, boxes = targets or self.their_targets()
        logits, deltas = self.retinanet._transpose_dense_predictions(
            [self.outputs.logits, self.outputs.deltas], [1, 4]
        )
        anchors = self.retinanet.anchor_generator(self.outputs.logits)
        # Its divisor is a moving average, which starts here at the batch's own positives.
        self.retinanet.loss_normalizer = max(sum((x == 0).sum().item() for x in labels), 1)
        with EventStorage():
            return self.retinanet.losses(anchors, logits, labels, deltas, boxes)

    def backward(self, losses: dict[str, Tensor]) -> None:
        """Compute the gradients of the predictions anew."""
        for maps in self.with_masks:
            for prediction in maps:
                prediction.grad = None
        sum(losses.values()).backward()

    def ways(self, compare: bool) -> dict[str, Callable[[], Any]]:
        """What is timed, by names such as "targets_ours"; "theirs" if they are to be compared."""
        targets = self.our_targets()
        ways = {
            "targets_ours": self.our_targets,
            "losses_ours": lambda: self.backward(self.our_losses(targets)),
            "both_ours": lambda: self.backward(self.our_losses()),
            "with_masks": lambda: self.backward(self.our_losses_with_masks()),
        }
        if compare:
            their_targets = self.their_targets()
            ways |= {
                "targets_theirs": self.their_targets,
                "losses_theirs": lambda: self.backward(self.their_losses(their_targets)),
                "both_theirs": lambda: self.backward(self.their_losses()),
            }
        return ways


def headless_retinanet(shot: Shot, cfg: CfgNode) -> RetinaNet:
    """detectron2's RetinaNet without a network, with the anchors, rule and losses of a shot.

    Args:
        shot: whose anchors it gets.
        cfg: the shot's node.
    """
    network = nn.Identity()
    network.size_divisibility, network.padding_constraints = 0, {}
    return RetinaNet(
        backbone=network,
        head=nn.Identity(),
        head_in_features=shot.in_features,
        anchor_generator=DefaultAnchorGenerator(
            sizes=shot.anchor_generator.sizes,
            aspect_ratios=[list(cfg.ANCHORS.ASPECT_RATIOS)],
            strides=shot.anchor_generator.strides,
            offset=cfg.ANCHORS.OFFSET,
        ),
        box2box_transform=Box2BoxTransform(tuple(cfg.LOSS.BBOX_REG_WEIGHTS)),
        anchor_matcher=Matcher(
            list(cfg.MATCHING.IOU_THRESHOLDS),
            [0, -1, 1],
            allow_low_quality_matches=cfg.MATCHING.ALLOW_LOW_QUALITY_MATCHES,
        ),
        num_classes=1,
        focal_loss_alpha=cfg.LOSS.FOCAL_ALPHA,
        focal_loss_gamma=cfg.LOSS.FOCAL_GAMMA,
        smooth_l1_beta=cfg.LOSS.SMOOTH_L1_BETA,
        pixel_mean=[0.0] * 3,
        pixel_std=[1.0] * 3,
    )


def random_outputs(
    batch_size: int, size: tuple[int, int], strides: list[int], seed: int, device: torch.device
) -> HeadOutputs:
    """Predictions of six anchors a cell, with gradients."""
    generator = torch.Generator().manual_seed(seed)

    def maps(channels: int, scale: float) -> list[Tensor]:
        shapes = [
            (batch_size, channels, *(-(-side // stride) for side in size)) for stride in strides
        ]
        values = [scale * torch.randn(shape, generator=generator) for shape in shapes]
        return [x.to(device).requires_grad_() for x in values]

    return HeadOutputs(maps(6, 1.0), maps(24, 0.2), maps(1, 1.0))


def measure_parts(
    num_faces: int, batch_size: int, side: int, arguments: argparse.Namespace, device: torch.device
) -> dict[str, Any]:
    """The row of one number of faces and images and one size."""
    problem = Problem(num_faces, batch_size, (side, side), arguments.seed, device)
    num_anchors = sum(len(grid) for grid in problem.grids)
    # RetinaNet keeps the matrix of one image at a time.
    compare = 4 * num_faces * num_anchors / 1e6 <= arguments.max_matrix_mb
    ways = problem.ways(compare)
    again = "both_ours, again"
    seconds = time_alternating(
        {**ways, again: ways["both_ours"]}, arguments.repeats, arguments.warmup, device
    )
    names = [f"{stage}_{whose}" for whose in ("ours", "theirs") for stage in STAGES]
    return {
        "faces": num_faces,
        "batch_size": batch_size,
        "size": side,
        "anchors": num_anchors,
        **{
            f"{name}_ms": 1000 * statistics.median(seconds[name]) if name in ways else None
            for name in [*names, "with_masks"]
        },
        **{
            f"{name}_memory_mb": peak_memory(ways[name], device) if name in ways else None
            for name in ("both_ours", "both_theirs", "with_masks")
        },
        "noise": relative_difference(seconds["both_ours"], seconds[again]),
    }


def measure_steps(arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Whole training steps on images with few faces and with crowds, in turns."""
    steps = {}
    for count in arguments.step_faces:
        case = Case(
            precision="fp32",
            batch_size=arguments.step_batch_size,
            size=arguments.step_size,
            faces=count,
        )
        cfg = training_config(arguments.config_file, PLAIN, case, "", device)
        steps[count] = training_step(OURS, cfg, case, arguments.seed, device).run_step
    again = "first, again"
    first = arguments.step_faces[0]
    seconds = time_alternating(
        {**steps, again: steps[first]}, arguments.repeats, arguments.warmup, device
    )
    medians = {count: statistics.median(seconds[count]) for count in steps}
    return {
        "rows": [
            {
                "faces": count,
                "median_ms": 1000 * median,
                "times_first": median / medians[first],
                "memory_mb": peak_memory(steps[count], device),
            }
            for count, median in medians.items()
        ],
        "noise": relative_difference(seconds[first], seconds[again]),
    }


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=int, nargs="+", default=[1, 20, 200, 2000], metavar="N")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[2, 8], metavar="N")
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[320, 640],
        metavar="PIXELS",
        help="of square images",
    )
    parser.add_argument(
        "--max-matrix-mb",
        type=float,
        default=200,
        help="RetinaNet is left out where its matrix of overlaps for one image is larger",
    )
    parser.add_argument("--config-file", default=CONFIG, metavar="FILE", help="of the whole steps")
    parser.add_argument("--step-faces", type=int, nargs="+", default=[20, 2000], metavar="N")
    parser.add_argument("--step-batch-size", type=int, default=2, metavar="N")
    parser.add_argument("--step-size", type=int, default=320, metavar="PIXELS")
    parser.add_argument("--threads", type=int, help="of torch on the CPU")
    add_common_arguments(parser)
    parser.set_defaults(repeats=5, warmup=1)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the command line; return what was written."""
    args = parse_arguments(arguments)
    if args.threads:
        torch.set_num_threads(args.threads)
    silence_detectron2()
    device = choose_device(args.device)
    results = {
        "parts": [
            measure_parts(count, batch_size, side, args, device)
            for side in args.sizes
            for batch_size in args.batch_sizes
            for count in args.faces
        ],
        "steps": measure_steps(args, device),
    }
    document = report("targets_and_losses", args, device, results)
    print(to_markdown(document))
    return document


if __name__ == "__main__":
    main()
