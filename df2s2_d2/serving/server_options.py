"""Options of a command that say where a service listens, and what it takes."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from df2s2_d2.inference.argument_types import (
    number_up_to,
    positive_integer,
    whole_number_up_to,
)
from df2s2_d2.serving.limits import Limits

HOST, PORT = "127.0.0.1", 8000
_MEGA = 1_000_000
_LARGEST = 1_000_000


@dataclass(frozen=True)
class ServerOptions:
    """A service on an address.

    Attributes:
        host: name or address of this machine.
        port: 0 for any that is free.
        limits: of what clients may send.
        logs_requests: whether each request is a line on standard error.
    """

    host: str
    port: int
    limits: Limits
    logs_requests: bool

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Add the options to a parser."""
        default = Limits()
        place = parser.add_argument_group("address")
        place.add_argument(
            "--host",
            default=HOST,
            help="name or address of this machine to listen on (%(default)s: it alone can ask); "
            "0.0.0.0 for all",
        )
        place.add_argument(
            "--port",
            type=whole_number_up_to(65535),
            default=PORT,
            help="%(default)s; 0 for any that is free",
        )
        place.add_argument(
            "--log-requests", action="store_true", help="a line for each on standard error"
        )
        taken = parser.add_argument_group("what is taken")
        for name, value, help in (
            ("--max-image-mb", default.image_bytes / _MEGA, "of a file with an image"),
            (
                "--max-megapixels",
                default.image_pixels / _MEGA,
                "of an image, or of a video's frame",
            ),
            ("--max-video-mb", default.video_bytes / _MEGA, "of a file with a video"),
            ("--max-video-seconds", default.video_seconds, "of a video"),
        ):
            taken.add_argument(
                name,
                type=number_up_to(_LARGEST),
                default=value,
                metavar="N",
                help=f"{help} ({value:g})",
            )
        taken.add_argument(
            "--requests-per-minute",
            type=whole_number_up_to(_LARGEST),
            default=default.requests_per_minute,
            metavar="N",
            help="of one client, on average (%(default)s); 0 for any number",
        )
        taken.add_argument(
            "--max-requests",
            type=positive_integer,
            default=default.images_at_once,
            metavar="N",
            help="with images at once, received, waiting or looked at (%(default)s); the next is "
            "told to come again",
        )
        taken.add_argument(
            "--max-videos",
            type=positive_integer,
            default=default.videos_at_once,
            metavar="N",
            help="the same of videos (%(default)s)",
        )

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> ServerOptions:
        """The options as they were parsed."""
        limits = Limits(
            image_bytes=int(args.max_image_mb * _MEGA),
            image_pixels=int(args.max_megapixels * _MEGA),
            video_bytes=int(args.max_video_mb * _MEGA),
            video_seconds=args.max_video_seconds,
            requests_per_minute=args.requests_per_minute,
            images_at_once=args.max_requests,
            videos_at_once=args.max_videos,
        )
        return cls(args.host, args.port, limits, args.log_requests)
