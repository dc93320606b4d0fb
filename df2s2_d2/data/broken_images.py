"""The count of training images that are passed over because they cannot be decoded."""

from __future__ import annotations

import logging
from typing import Any

from df2s2_d2.data.errors import BrokenImageError

logger = logging.getLogger(__name__)

# Where a sample tells of the images that were passed over for it.
BROKEN_IMAGES = "broken_images"


class PassedOver:
    """Broken images that a mapper passed over since the last sample that it made.

    A mapper may run in a worker process, from which nothing comes but samples: so it is the next
    sample that tells of them.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[str, str]] = []

    def add(self, file_name: str, error: BrokenImageError) -> None:
        """Remember an image, and what is wrong with it."""
        self._waiting.append((file_name, str(error)))

    def tell(self, sample: dict[str, Any]) -> None:
        """Put what is remembered into a sample, and forget it."""
        if self._waiting:
            sample[BROKEN_IMAGES] = self._waiting
            self._waiting = []


class BrokenImageCount:
    """What a training process knows of the images that were passed over in its batches.

    Attributes:
        total: samples that another one took the place of, as often as that happened.
        files: the broken images.
    """

    def __init__(self) -> None:
        self.total = 0
        self.files: set[str] = set()

    def note(self, batch: list[dict[str, Any]]) -> int:
        """Count what a batch tells of, and log each broken image the first time.

        Args:
            batch: of the training loader; what it tells is taken out of it.

        Returns:
            The samples of this batch that another one took the place of.
        """
        found = [entry for sample in batch for entry in sample.pop(BROKEN_IMAGES, ())]
        for file_name, message in found:
            if file_name not in self.files:
                self.files.add(file_name)
                logger.warning("Passed over in training: %s", message)
        self.total += len(found)
        return len(found)
