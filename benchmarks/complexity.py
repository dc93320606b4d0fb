#!/usr/bin/env python3
"""Count parameters and multiply-accumulate operations of configs.

python -m benchmarks.complexity                       # every config but the small ones
python -m benchmarks.complexity configs/DSFD/*.yaml --height 480 --width 640
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from detectron2.modeling import build_model
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from benchmarks.common import report
from df2s2_d2 import load_config
from df2s2_d2.modeling import FaceDetector

ROOT = Path(__file__).resolve().parent.parent


class InferenceNetwork(nn.Module):
    """What of a detector runs at inference, from images to raw predictions.

    Args:
        detector: in evaluation mode.
    """

    def __init__(self, detector: FaceDetector):
        super().__init__()
        self.backbone = detector.backbone
        self.shot = detector.shot

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) images to the logits and box codes of all levels."""
        outputs = self.shot(self.backbone(images))
        return [*outputs.logits, *outputs.deltas]


def count_macs(detector: FaceDetector, height: int, width: int) -> int:
    """Multiply-accumulate operations of one image, as fvcore counts them.

    Args:
        detector: any; it is put into evaluation mode.
        height, width: of the image in pixels; padded as the detector pads it.
    """
    divisor = detector.backbone.size_divisibility
    padded = [-(-side // divisor) * divisor for side in (height, width)]
    network = InferenceNetwork(detector.eval())
    analysis = FlopCountAnalysis(network, torch.zeros(1, 3, *padded))
    # Element-wise operations are not counted: they are few, and fvcore says so at length.
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with torch.no_grad():
        return int(analysis.total())


def count_parameters(model: nn.Module) -> int:
    """Numbers in all parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def measure(config: Path, height: int, width: int) -> dict[str, Any]:
    """Counts of one config.

    Returns:
        ``parameters`` while training, ``inference_parameters``, ``macs`` at inference.
    """
    cfg = load_config(str(config), ["MODEL.DEVICE", "cpu"])
    detector = build_model(cfg)
    parameters = count_parameters(detector)
    detector.drop_training_parts()
    return {
        "config": config.resolve().with_suffix("").as_posix().rpartition("/configs/")[2],
        "parameters": parameters,
        "inference_parameters": count_parameters(detector),
        "macs": count_macs(detector, height, width),
    }


def all_configs() -> list[Path]:
    """Every config but bases and small ones."""
    found = sorted((ROOT / "configs").rglob("*.yaml"))
    return [p for p in found if not p.name.startswith("Base") and "small" not in p.parts]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("configs", nargs="*", type=Path, help="config files")
    parser.add_argument("--height", type=int, default=640, help="of the image, pixels")
    parser.add_argument("--width", type=int, default=640, help="of the image, pixels")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the JSON")
    args = parser.parse_args(arguments)
    results = []
    for config in args.configs or all_configs():
        try:
            results.append(measure(config, args.height, args.width))
        except (ValueError, ImportError) as error:
            sys.exit(f"benchmarks.complexity: {config}: {error}")
        row = results[-1]
        print(
            f"{row['config']:<40} {row['parameters'] / 1e6:7.1f} M training "
            f"{row['inference_parameters'] / 1e6:7.1f} M inference {row['macs'] / 1e9:8.1f} GMAC",
            flush=True,
        )
    args.configs = [row["config"] for row in results]
    report("complexity", args, torch.device("cpu"), results)


if __name__ == "__main__":
    main()
