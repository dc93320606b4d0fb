"""Options of a command for runs over more than one process gets through."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from df2s2_d2.inference.media.addresses import is_address
from df2s2_d2.inference.media.shards import Shard


@dataclass(frozen=True)
class LongRunOptions:
    """How a run is part of a longer one.

    Attributes:
        resume: whether it goes on where the last one into its folder ended.
        shard: which part of the inputs it looks at.
    """

    resume: bool = False
    shard: Shard = Shard()

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Add the options to a parser."""
        long = parser.add_argument_group("long runs")
        long.add_argument(
            "--resume",
            action="store_true",
            help="go on where the last run into this folder ended, however it did, with the same "
            "inputs and options; a video begins anew",
        )
        long.add_argument(
            "--shard",
            type=Shard.parse,
            default=Shard(),
            metavar="I/N",
            help="look at the I-th of N equal parts of the inputs; all N runs may write into one "
            "folder, also at the same time, and `df2s2 join` puts their results together",
        )

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> LongRunOptions:
        """The options as they were parsed.

        Raises:
            argparse.ArgumentError: if they contradict others.
        """
        options = cls(args.resume, args.shard)
        sees_live = args.webcam is not None or any(map(is_address, [*args.inputs, *args.input]))
        if sees_live and options != cls():
            raise argparse.ArgumentError(
                None,
                "--resume and --shard are for files: what a camera or stream shows does not come "
                "again",
            )
        return options
