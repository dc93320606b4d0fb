"""What a service takes from its clients."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of what is sent, of how often, and of how much at once.

    Attributes:
        image_bytes: of a file with an image.
        image_pixels: of an image, or of a frame of a video.
        video_bytes: of a file with a video.
        video_seconds: of a video.
        requests_per_minute: of one client, on average; 0 for any number.
        images_at_once: requests with images that are received, wait or are looked at.
        videos_at_once: the same of videos.
    """

    image_bytes: int = 20_000_000
    image_pixels: int = 40_000_000
    video_bytes: int = 200_000_000
    video_seconds: float = 60.0
    requests_per_minute: int = 600
    images_at_once: int = 64
    videos_at_once: int = 2
