"""Options of a command that give its work to a Ray cluster."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from df2s2_d2.inference.argument_types import positive_integer

# Formats of results that many workers write at once -> the files.
FORMATS = {
    "parquet": "parquet/part-<number>.parquet",
    "jsonl": "jsonl/part-<number>.jsonl",
}
DEFAULT_FORMATS = ["parquet"]
# Options that are about pictures, videos, streams or a camera.
_CONTRADICTING = ("webcam", "show", "crops", "blur", "boxes", "weak_masks", "coco_ground_truth")
_CONTRADICTING += ("track", "max_gap", "duration", "reconnect")
# What those are that are not None if they are not given.
_NOT_GIVEN = {"show": False, "track": False, "weak_masks": []}


@dataclass(frozen=True)
class RayOptions:
    """Where a run over a cluster takes place.

    Attributes:
        address: "local" for a cluster of this machine alone, "auto" for the one that it is part
            of, or HOST:PORT.
        workers: how many detectors look at images at the same time; None for one on each GPU, or,
            without GPUs, on each core.
        output: path or address of the folder for all that is written.
        formats: of :data:`FORMATS`.
        resume: whether the run goes on with what an earlier one has written.
    """

    address: str
    workers: int | None
    output: str
    formats: list[str]
    resume: bool

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Add the options to a parser."""
        cluster = parser.add_argument_group("clusters")
        cluster.add_argument(
            "--ray",
            metavar="ADDRESS",
            help="share the images out among the workers of a Ray cluster: local starts one of "
            "this machine, auto finds the one that it is part of. Paths, lists in Parquet and "
            "--output may then be addresses such as s3://bucket/photos; --save is "
            f"{' or '.join(FORMATS)} ({' '.join(DEFAULT_FORMATS)}), pictures are not written, and "
            "--resume goes on with what is written",
        )
        cluster.add_argument(
            "--ray-workers",
            type=positive_integer,
            metavar="N",
            help="detectors at work at the same time (one a GPU, or one a core where there is no "
            "GPU); more than GPUs share these",
        )

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> RayOptions | None:
        """The options as they were parsed; None if the work stays in this process.

        Raises:
            argparse.ArgumentError: if they contradict others.
        """
        if args.ray is None:
            _refuse_what_needs_ray(args)
            return None
        for name in _CONTRADICTING:
            value = getattr(args, name)
            if value is not None and value != _NOT_GIVEN.get(name):
                option = f"--{name.replace('_', '-')}"
                raise argparse.ArgumentError(
                    None, f"{option} is for runs in one process: leave out either it or --ray"
                )
        if args.shard.count > 1:
            raise argparse.ArgumentError(
                None, "--ray shares the images out by itself: leave out --shard"
            )
        if args.ray.startswith("ray://"):
            raise argparse.ArgumentError(
                None,
                "--ray: Ray Data does not run through the client of ray://: start the command on a "
                "machine of the cluster with --ray auto, or by `ray job submit`",
            )
        formats = DEFAULT_FORMATS if args.save is None else list(dict.fromkeys(args.save))
        wrong = [name for name in formats if name not in FORMATS]
        if wrong or not formats:
            raise argparse.ArgumentError(
                None,
                f"--save: with --ray results are {' or '.join(FORMATS)}, found "
                f"{' '.join(wrong) or 'none'}",
            )
        return cls(args.ray, args.ray_workers, str(args.output), formats, args.resume)


def _refuse_what_needs_ray(args: argparse.Namespace) -> None:
    needing = {
        "--ray-workers": args.ray_workers is not None,
        "--save parquet": "parquet" in (args.save or ()),
        f"--output {args.output}": "://" in str(args.output),
    }
    for option, is_given in needing.items():
        if is_given:
            raise argparse.ArgumentError(
                None, f"{option} is for runs over a cluster: add --ray local, or --ray auto"
            )
