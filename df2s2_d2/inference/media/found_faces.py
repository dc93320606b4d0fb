"""What is known of the faces of a frame on its way to the pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from detectron2.structures import Instances

from df2s2_d2.inference.media.frames import Frame


@dataclass(frozen=True)
class TrackedBoxes:
    """The faces of a frame that are on tracks, weak ones among them.

    Attributes:
        ids: (n,) int64, numbers of the tracks.
        boxes: (n, 4) XYXY in pixels.
    """

    ids: np.ndarray
    boxes: np.ndarray


@dataclass(frozen=True)
class FoundFaces:
    """The faces of a frame.

    Attributes:
        frame: in which they are.
        faces: above the threshold of the pictures; None if they are unknown.
        checkpoint: what continues the run after it; None if it is not in the results.
        tracked: of a video whose faces are tracked.
        hidden: (n, 4) XYXY, where faces are to be hidden; None hides ``faces``.
    """

    frame: Frame
    faces: Instances | None = None
    checkpoint: dict[str, Any] | None = None
    tracked: TrackedBoxes | None = None
    hidden: np.ndarray | None = None
