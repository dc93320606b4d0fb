"""One of two augmentations, by chance."""

from __future__ import annotations

from detectron2.data import transforms as T

from df2s2_d2.data.augmentation.deferred_input import decides_by_size


class RandomChoice(T.Augmentation):
    """Apply the first augmentation with a probability, else the second."""

    def __init__(self, first: T.Augmentation, second: T.Augmentation, prob: float) -> None:
        """
        Args:
            first, second: what is chosen from.
            prob: probability of the first.
        """
        super().__init__()
        self.first = first
        self.second = second
        self.prob = prob

    @property
    def decides_by_size(self) -> bool:
        """Whether both choices need of an image its size only."""
        return decides_by_size(self.first) and decides_by_size(self.second)

    def __call__(self, aug_input: T.AugInput) -> T.Transform:
        """Augment ``aug_input`` in place; returns the transform that was applied."""
        chosen = self.first if self._rand_range() < self.prob else self.second
        return chosen(aug_input)
