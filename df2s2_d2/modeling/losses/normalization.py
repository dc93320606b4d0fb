"""What the sums of a loss over the anchors of each level are divided by."""

from __future__ import annotations

from collections.abc import Callable

import torch.distributed as dist
from detectron2.utils import comm
from torch import Tensor

# How the sums of each level are normalised, from the positive anchors of each level and those that
# take part in its classification, both (L,): divisors of classification and box terms.
Normalizer = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

NORMALIZERS: dict[str, Normalizer] = {
    # By the positives of all levels: the usual reading, as in RetinaNet.
    "global": lambda positive, _: (positive.sum().expand_as(positive),) * 2,
    # By the positives of the level itself.
    "per_level": lambda positive, _: (positive, positive),
    # DF²S² eq. 2 to the letter: classification by all anchors of the level that take part in it.
    "literal": lambda positive, participating: (participating, positive),
    # DSFD §3.3: the same, over all levels.
    "participating": lambda positive, participating: (
        participating.sum().expand_as(participating),
        positive.sum().expand_as(positive),
    ),
}


def mean_over_workers(counts: Tensor) -> Tensor:
    """The mean of ``counts`` over the workers of a distributed run.

    Workers average their gradients, so dividing each worker's sum by this mean gives exactly
    what one process with the whole batch would compute.
    """
    world_size = comm.get_world_size()
    if world_size == 1:
        return counts
    counts = counts.clone()
    dist.all_reduce(counts)
    return counts / world_size


def normalized_sum(sums: Tensor, counts: Tensor) -> Tensor:
    """Sum over levels of each level's sum (L,) over its count (L,), at least 1 among workers."""
    return (sums / counts.clamp(min=1 / comm.get_world_size())).sum()
