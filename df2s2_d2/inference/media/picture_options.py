"""Options of a command that say how the faces found are to be seen."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass

from df2s2_d2.inference.argument_types import number_up_to

# A face that is hidden needlessly does less harm than one that is not.
THRESHOLD, HIDING_THRESHOLD = 0.5, 0.2
CROP_MARGIN = 0.3
HIDING_STYLES = ("pixelate", "smooth", "fill")


@dataclass(frozen=True)
class PictureOptions:
    """What :class:`~df2s2_d2.inference.media.pictures.Pictures` makes; its attributes."""

    threshold: float
    is_written: bool
    is_shown: bool
    draws_boxes: bool
    hide: str | None
    crop_margin: float | None

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Add the options to a parser."""
        pictures = parser.add_argument_group("pictures")
        pictures.add_argument(
            "--threshold",
            type=number_up_to(1),
            metavar="SCORE",
            help="faces with a higher score are in pictures and crops "
            f"({THRESHOLD}; with --blur {HIDING_THRESHOLD})",
        )
        pictures.add_argument(
            "--no-pictures", dest="pictures", action="store_false", help="write the results only"
        )
        pictures.add_argument(
            "--crops",
            nargs="?",
            type=number_up_to(10),
            const=CROP_MARGIN,
            metavar="MARGIN",
            help="write every face into crops/ too, with this share of its size on each side "
            "(%(const)s)",
        )
        pictures.add_argument(
            "--blur",
            nargs="?",
            choices=HIDING_STYLES,
            const=HIDING_STYLES[0],
            help="make the faces unrecognisable (%(const)s). A face that is not found stays "
            "visible: the lower --threshold, the fewer there are; look the pictures through before "
            "you publish them. In videos, fill is the only style that cannot be undone in part",
        )
        pictures.add_argument(
            "--boxes",
            action=argparse.BooleanOptionalAction,
            help="frame the faces (the default but with --blur)",
        )
        pictures.add_argument("--show", action="store_true", help="show the pictures; q stops")

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> PictureOptions:
        """The options as they were parsed.

        Raises:
            argparse.ArgumentError: if they contradict each other, or there is no display.
        """
        problem = None
        if args.blur and args.crops is not None:
            problem = "--crops writes the very faces that --blur hides: choose one of them"
        elif args.blur and not (args.pictures or args.show):
            problem = "--blur changes pictures, and --no-pictures writes none: choose one of them"
        elif args.show and not _has_display():
            problem = "--show needs a display, and there is none: leave it out"
        if problem:
            raise argparse.ArgumentError(None, problem)
        threshold = HIDING_THRESHOLD if args.blur else THRESHOLD
        return cls(
            threshold=threshold if args.threshold is None else args.threshold,
            is_written=args.pictures,
            is_shown=args.show,
            draws_boxes=not args.blur if args.boxes is None else args.boxes,
            hide=args.blur,
            crop_margin=args.crops,
        )


def _has_display() -> bool:
    """Whether a window can be opened; asked without one, Qt ends the process."""
    is_linux = sys.platform.startswith("linux")
    return not is_linux or bool(os.getenv("DISPLAY") or os.getenv("WAYLAND_DISPLAY"))
