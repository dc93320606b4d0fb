"""What a format does not hold of what was to be written in it."""

from __future__ import annotations

from collections.abc import Mapping


def describe_dropped(dropped: Mapping[str, int]) -> str:
    """What was dropped -> how often, in one line; empty if nothing was."""
    return ", ".join(f"{count:,} {what}" for what, count in dropped.items() if count)
