"""A part of a benchmark: the images of some events, the faces of some sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from df2s2_d2.formats.annotated_image import event_of

from .ground_truth import GroundTruth


@dataclass(frozen=True)
class Selection:
    """What part of a benchmark to look at.

    Attributes:
        events: names of events, or patterns of them such as ``"1*"``; all if there are none.
        min_size: pixels of sqrt(width * height) from which on faces are to be found.
        max_size: the same, up to which, this one excluded.
    """

    events: Sequence[str] = ()
    min_size: float = 0.0
    max_size: float = math.inf

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return not self.events and self.min_size <= 0 and self.max_size == math.inf

    def describe(self) -> str:
        """What is looked at, in words."""
        parts = [f"events {', '.join(self.events)}"] if self.events else []
        low, high = f"from {self.min_size:g}", f"below {self.max_size:g}"
        bounds = [low] * (self.min_size > 0) + [high] * (self.max_size < math.inf)
        if bounds:
            parts.append(f"faces {' to '.join(bounds)} px")
        return "; ".join(parts)

    def has_size(self, boxes: np.ndarray) -> np.ndarray:
        """(N,) bool for (N, 4) boxes ``x, y, width, height``."""
        sizes = face_sizes(boxes)
        return (sizes >= self.min_size) & (sizes < self.max_size)

    def apply(self, ground_truth: GroundTruth) -> tuple[GroundTruth, np.ndarray]:
        """Leave out the other images, and ignore the other faces in every setting.

        Returns:
            The part, and the (M,) bool mask of the faces in its images.

        Raises:
            ValueError: if no image is left.
        """
        events = [event_of(image) for image in ground_truth.images]
        matching = {
            event
            for event in set(events)
            if not self.events or any(fnmatchcase(event, pattern) for pattern in self.events)
        }
        if not matching:
            raise ValueError(
                f"no event is named {' or '.join(self.events)}: there are "
                f"{', '.join(dict.fromkeys(events))}"
            )
        selected = np.array([event in matching for event in events], bool)
        part = select_images(ground_truth, selected)
        has_size = self.has_size(part.boxes)
        kept = {setting: mask & has_size for setting, mask in part.kept.items()}
        return replace(part, kept=kept), selected[ground_truth.image_index]


def face_sizes(boxes: np.ndarray) -> np.ndarray:
    """(N,) square roots of the areas of (N, 4) boxes ``x, y, width, height``, in pixels."""
    return np.sqrt(np.maximum(boxes[:, 2:4], 0).prod(axis=1))


def select_images(ground_truth: GroundTruth, selected: np.ndarray) -> GroundTruth:
    """The images of the (I,) mask ``selected``, and their faces."""
    faces = selected[ground_truth.image_index]
    new_index = np.cumsum(selected) - 1
    return GroundTruth(
        images=tuple(np.array(ground_truth.images)[selected].tolist()),
        image_index=new_index[ground_truth.image_index[faces]],
        boxes=ground_truth.boxes[faces],
        kept={setting: kept[faces] for setting, kept in ground_truth.kept.items()},
    )
