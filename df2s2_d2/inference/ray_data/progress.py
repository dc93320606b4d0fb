"""How far a run over a cluster came, and what went wrong in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tqdm import tqdm

from df2s2_d2.inference.ray_data.part_worker import PartSummary

# Failures that are told; those of images are all in the results.
_MOST_TOLD = 100


class Progress:
    """Counts of a run.

    Attributes:
        num_images: that were looked at, or could not be.
        num_faces, num_shown: see :class:`~df2s2_d2.inference.ray_data.part_worker.PartSummary`.
        num_failures: of these, and names that could not be listed.
    """

    def __init__(self):
        self.num_images = self.num_faces = self.num_shown = self.num_failures = 0
        self._told: list[str] = []

    def follow(self, summaries: Iterable[PartSummary], num_images: int) -> None:
        """Count what is found, and draw a progress bar.

        Raises:
            OSError: if a part could not be done, and no other can.
        """
        with tqdm(total=num_images, desc="images", unit="image", disable=None) as bar:
            for summary in summaries:
                if summary.fault:
                    raise OSError(
                        f"The workers cannot go on ({summary.fault}): run again with --resume once "
                        "they can"
                    )
                self.num_images += summary.images
                self.num_faces += summary.faces
                self.num_shown += summary.shown
                self.num_failures += summary.failures
                self._tell(summary.told)
                bar.update(summary.images)

    def fail(self, text: str) -> None:
        """Note what is in no summary."""
        self.num_failures += 1
        self._tell([text])

    def failures(self) -> Iterator[str]:
        """What went wrong, a sentence each, and how much more."""
        yield from self._told
        if self.num_failures > len(self._told):
            yield (
                f"... and {self.num_failures - len(self._told):,} more: the results have the error "
                "of every image"
            )

    def _tell(self, texts: Iterable[str]) -> None:
        self._told += texts
        del self._told[_MOST_TOLD:]
