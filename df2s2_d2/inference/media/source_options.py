"""Options of a command that say where to look for faces."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from df2s2_d2.inference.argument_types import number_up_to, whole_number_up_to
from df2s2_d2.inference.media.addresses import SCHEMES, is_address
from df2s2_d2.inference.media.sources import FOUND_SUFFIXES, LiveOptions

# OpenCV takes hundreds and more for a kind of reader, and crashes at negative numbers.
_HIGHEST_CAMERA = 99

_LONGEST_DURATION = 366 * 24 * 3600  # seconds


@dataclass(frozen=True)
class SourceOptions:
    """What is looked at.

    Attributes:
        inputs: files, folders and patterns, see
            :func:`~df2s2_d2.inference.media.sources.find_sources`.
        camera: its number; None for none.
        live: how cameras and streams are looked at.
    """

    inputs: list[str]
    camera: int | None
    live: LiveOptions = LiveOptions()

    def __bool__(self) -> bool:
        return bool(self.inputs) or self.camera is not None

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Add the options to a parser."""
        seen = parser.add_argument_group("where to look")
        seen.add_argument(
            "inputs",
            nargs="*",
            metavar="PATH",
            help="images, videos, folders with all below them, patterns such as 'a/**/*.jpg', and "
            f"addresses of streams ({', '.join(SCHEMES)}); in folders and patterns files count "
            f"whose suffix is one of {' '.join(sorted(FOUND_SUFFIXES))}",
        )
        seen.add_argument(
            "--input",
            nargs="+",
            action="extend",
            default=[],
            metavar="PATH",
            help="the same, as an option",
        )
        seen.add_argument(
            "--webcam",
            type=whole_number_up_to(_HIGHEST_CAMERA),
            metavar="N",
            help="a camera, from 0; q or Ctrl-C ends the recording",
        )
        seen.add_argument(
            "--duration",
            type=number_up_to(_LONGEST_DURATION),
            metavar="SECONDS",
            help="leave each camera and stream after so long",
        )
        seen.add_argument(
            "--reconnect",
            type=number_up_to(_LONGEST_DURATION),
            metavar="SECONDS",
            help=f"how long to try a stream again that breaks off ({LiveOptions.reconnect:g})",
        )

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> SourceOptions:
        """The options as they were parsed.

        Raises:
            argparse.ArgumentError: if one is of no use.
        """
        inputs = [*args.inputs, *args.input]
        has_streams = any(map(is_address, inputs))
        problem = None
        if args.duration is not None and args.webcam is None and not has_streams:
            problem = "--duration is for cameras and streams: files are looked at to their end"
        elif args.reconnect is not None and not has_streams:
            problem = "--reconnect is for streams: files and cameras do not break off"
        if problem:
            raise argparse.ArgumentError(None, problem)
        reconnect = LiveOptions.reconnect if args.reconnect is None else args.reconnect
        return cls(inputs, args.webcam, LiveOptions(reconnect, args.duration))
