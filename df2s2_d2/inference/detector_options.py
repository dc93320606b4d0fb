"""Options of a command that say which detector looks for faces, and how fast."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from df2s2_d2.inference.argument_types import positive_integer

DEFAULT_MODEL = "faces-small"
# Names of fast_path.PRECISIONS, and to choose one by the hardware.
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
# Those of runtimes.choice.
RUNTIMES = ("auto", "torch", "onnx", "openvino")


@dataclass(frozen=True)
class DetectorOptions:
    """A detector by its files.

    Attributes:
        weights: a model's name or a checkpoint; None if the config names it.
        config_file: None if the checkpoint carries the config.
        overrides: ``[key, value, ...]`` over the config.
        batch_size: most images that the network gets at once.
        precision: see :func:`~df2s2_d2.inference.fast_path.optimize`.
        runtime: see :func:`~df2s2_d2.inference.runtimes.choice.choose_runtime`.
    """

    weights: str | None
    config_file: str | None
    overrides: list[str]
    batch_size: int
    precision: str
    runtime: str

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Add the options to a parser."""
        model = parser.add_argument_group("detector")
        model.add_argument(
            "--weights",
            metavar="NAME|FILE",
            help="a model of `df2s2 models`, or a trained or exported one, whose config is taken "
            f"from it; without it and --config-file {DEFAULT_MODEL}, which comes with the package",
        )
        model.add_argument(
            "--config-file",
            metavar="FILE",
            help="a config; needed if the model carries none, as those trained elsewhere",
        )
        model.add_argument(
            "--opts",
            nargs=argparse.REMAINDER,
            default=[],
            help="KEY VALUE pairs over the config, last",
        )
        speed = parser.add_argument_group("speed")
        speed.add_argument(
            "--batch-size",
            type=positive_integer,
            default=8,
            metavar="N",
            help="most images in the network at once (%(default)s), and together at most "
            "TEST.AUG.MAX_PIXELS; about 5 N are in memory",
        )
        speed.add_argument(
            "--precision",
            choices=PRECISIONS,
            default="fp32",
            help="of the arithmetic (%(default)s); auto is bf16 where that is fast; maps of some "
            "detectors exceed fp16",
        )
        speed.add_argument(
            "--runtime",
            choices=RUNTIMES,
            default="auto",
            help="what computes the network: PyTorch, or on a CPU ONNX Runtime or OpenVINO "
            "(%(default)s: ONNX Runtime for models that have a file of ONNX, else PyTorch)",
        )

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> DetectorOptions:
        """The options as they were parsed."""
        weights = args.weights
        if not (weights or args.config_file):
            weights = DEFAULT_MODEL
        return cls(
            weights=weights,
            config_file=args.config_file,
            overrides=args.opts,
            batch_size=args.batch_size,
            precision=args.precision,
            runtime=args.runtime,
        )
