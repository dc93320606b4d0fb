"""What all formats of results have in common."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from df2s2_d2.inference.faces import BOX_DECIMALS
from df2s2_d2.inference.media.coco_image_ids import CocoImageIds
from df2s2_d2.inference.media.frame_names import FrameNames, evaluation_names, path_names
from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.shards import Shard
from df2s2_d2.inference.media.sources import Source


@dataclass(frozen=True)
class RunOutput:
    """Where the results of a run go, and of what they are.

    Attributes:
        folder: for all files.
        sources: of all shards, so that what is named after them has one name in every shard, and
            whatever a run that broke off has done; what is not among them is named as it comes.
        shard: which of them the run looks at.
        coco_ground_truth: has the ids of the images; None for none.
        is_resumable: whether the run may go on after it broke off; else nobody asks what has
            reached the disk.
        has_tracks: whether the faces of videos are numbered by their tracks.
    """

    folder: Path
    sources: Sequence[Source] = ()
    shard: Shard = Shard()
    coco_ground_truth: CocoImageIds | None = None
    is_resumable: bool = True
    has_tracks: bool = False

    @functools.cached_property
    def evaluation_names(self) -> FrameNames:
        """The names by which evaluation knows images, one for each in all formats that tell it."""
        return evaluation_names(self.sources)

    @functools.cached_property
    def path_names(self) -> FrameNames:
        """The names of files that lie as the images do."""
        return path_names(self.sources)

    def file(self, name: str) -> Path:
        """A file of this shard alone: those of others may be written at the same time."""
        path = self.folder / name
        return path.with_name(f"{path.stem}{self.shard.suffix}{path.suffix}")


class ResultFile(ABC):
    """Takes the faces of one frame after the other.

    What was there before remains until :meth:`start`. A run that broke off is continued by what
    :meth:`state` was after some frame: whatever was written of later ones is removed, or written
    again.
    """

    @abstractmethod
    def __init__(self, output: RunOutput, state: Mapping[str, Any] | None = None):
        """
        Args:
            output: where it goes, and of what it is.
            state: of a run that broke off; None starts anew.

        Raises:
            OSError: if it cannot be made.
            ValueError: if what is to be continued is not as it was left.
        """

    @abstractmethod
    def start(self) -> None:
        """Begin, once all files of a run could be opened; needed before the first frame."""

    @abstractmethod
    def add(self, frame: Frame, faces: np.ndarray, track_ids: np.ndarray | None) -> None:
        """Write the faces of a frame.

        Args:
            frame: that they are in.
            faces: (n, 5) ``x1, y1, x2, y2, score``.
            track_ids: (n,) numbers of their tracks, 0 for none; None if they are not tracked.
        """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What continues the file after the last frame: numbers of 0 or more, or lists of texts, by
        their names."""

    @abstractmethod
    def sync(self) -> None:
        """Wait until all that was added is on the disk."""

    @abstractmethod
    def close(self) -> None:
        """Finish the file."""


def place_in_video(frame: Frame) -> dict[str, Any]:
    """``frame`` and ``time`` of the frame of a video; nothing of an image."""
    if frame.index is None:
        return {}
    return {"frame": frame.index, "time": round(frame.time, 3)}


def corner_and_size(faces: np.ndarray) -> np.ndarray:
    """(n, 5) ``x1, y1, x2, y2, score`` -> ``x, y, width, height, score``."""
    rows = faces.copy()
    rows[:, 2:4] = np.round(faces[:, 2:4] - faces[:, :2], BOX_DECIMALS)
    return rows
