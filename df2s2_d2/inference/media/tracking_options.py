"""Options of a command that follow faces over the frames of a video."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from df2s2_d2.inference.argument_types import number_up_to
from df2s2_d2.inference.tracking import MAX_GAP

# Formats of results that have room for the number of a track.
FORMATS_WITH_TRACKS = ("json", "jsonl", "csv")
_LONGEST_GAP = 60


@dataclass(frozen=True)
class TrackingOptions:
    """How faces are followed.

    Attributes:
        is_written: whether results and pictures tell the number of each face's track.
        max_gap: seconds for which a face may be missing and still be the same, or stay hidden.
    """

    is_written: bool = False
    max_gap: float = MAX_GAP

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Add the options to a parser."""
        tracking = parser.add_argument_group("faces over time, in videos")
        tracking.add_argument(
            "--track",
            action="store_true",
            help="number the faces, one number for one face in all frames, in the results "
            f"({', '.join(FORMATS_WITH_TRACKS)}) and at the boxes in the pictures; one above "
            "--threshold begins a track",
        )
        tracking.add_argument(
            "--max-gap",
            type=number_up_to(_LONGEST_GAP),
            metavar="SECONDS",
            help="a face that is not found for no longer is still the same, and with --blur it "
            f"stays hidden, before and after it is found too ({MAX_GAP:g}); pictures wait for so "
            "long",
        )

    @classmethod
    def from_args(cls, args: argparse.Namespace, formats: Sequence[str]) -> TrackingOptions:
        """The options as they were parsed.

        Args:
            args: of the command.
            formats: of its results.

        Raises:
            argparse.ArgumentError: if they contradict others.
        """
        problem = None
        if args.track and not set(formats) & set(FORMATS_WITH_TRACKS):
            problem = f"--track is for {', '.join(FORMATS_WITH_TRACKS)}: add one of them to --save"
        elif args.max_gap is not None and not (args.track or args.blur):
            problem = "--max-gap changes what --track and --blur do: add one of them"
        if problem:
            raise argparse.ArgumentError(None, problem)
        return cls(args.track, MAX_GAP if args.max_gap is None else args.max_gap)
