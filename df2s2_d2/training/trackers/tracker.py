"""What a tracker of experiments is told of a training run."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TrackedRun:
    """A training run, as trackers show it.

    Attributes:
        folder: its OUTPUT_DIR, after which it is named.
        settings: its config, nested, of plain values.
        id: of the run that is gone on with, as the tracker knows it; None begins another.
    """

    folder: Path
    settings: dict[str, Any]
    id: str | None = None

    @property
    def name(self) -> str:
        """The folder's own name, and that of the folder around it."""
        return "/".join(self.folder.resolve().parts[-2:]).strip("/")


class Tracker(ABC):
    """A run at a service that keeps runs; whatever fails there raises any exception.

    Attributes:
        id: by which the service finds the run again.
    """

    id: str

    @abstractmethod
    def log(self, iteration: int, figures: dict[str, float]) -> None:
        """Add figures by their names in metrics.json; an iteration may come twice."""

    @abstractmethod
    def log_picture(self, iteration: int, name: str, picture: np.ndarray) -> None:
        """Add a picture.

        Args:
            iteration: that it shows.
            name: of what it shows.
            picture: (H, W, 3), RGB, uint8.
        """

    @abstractmethod
    def finish(self, is_complete: bool) -> None:
        """Send what is left, and close the run.

        Args:
            is_complete: whether it came to its last iteration.
        """


def flat_settings(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their whole keys, such as "SOLVER.BASE_LR"."""
    flat = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= flat_settings(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def plain_name(name: str) -> str:
    """The name of a figure without signs that a tracker may refuse."""
    return re.sub(r"[^\w./ -]", "_", name)
