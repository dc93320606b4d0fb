"""Options of a command that say where to look for faces."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from df2s2_d2.inference.media.sources import FOUND_SUFFIXES


@dataclass(frozen=True)
class SourceOptions:
    """What is looked at.

    Attributes:
        inputs: files, folders and patterns, see
            :func:`~df2s2_d2.inference.media.sources.find_sources`.
        camera: its number; None for none.
    """

    inputs: list[str]
    camera: int | None

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
            help="images, videos, folders with all below them, and patterns such as 'a/**/*.jpg'; "
            "in folders and patterns files count whose suffix is one of "
            f"{' '.join(sorted(FOUND_SUFFIXES))}",
        )
        seen.add_argument(
            "--input", nargs="+", default=[], metavar="PATH", help="the same, as an option"
        )
        seen.add_argument(
            "--webcam",
            type=int,
            metavar="N",
            help="a camera, from 0; q or Ctrl-C ends the recording",
        )

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> SourceOptions:
        """The options as they were parsed."""
        return cls([*args.inputs, *args.input], args.webcam)
