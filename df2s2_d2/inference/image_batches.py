"""Which images the network gets together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")

# Images are looked at in chunks of so many full batches, so that those of one size meet.
BATCHES_TOGETHER = 4


def batches(sizes: list[tuple[int, int]], max_images: int, max_pixels: int) -> Iterator[list[int]]:
    """Group images of equal size.

    So an image is padded in a batch as it is alone, and found in it are the same faces.

    Args:
        sizes: padded height and width of each image.
        max_images: of a batch.
        max_pixels: of a batch; a larger image is one by itself.

    Yields:
        Indices of the images of a batch.
    """
    members = defaultdict(list)
    for index, size in enumerate(sizes):
        members[size].append(index)
    for size, indices in members.items():
        count = max(1, min(max_images, max_pixels // math.prod(size)))
        for start in range(0, len(indices), count):
            yield indices[start : start + count]


def chunks(
    items: Iterable[tuple[Item, int]], max_items: int, max_cost: int
) -> Iterator[list[Item]]:
    """Cut a sequence into pieces, none of which holds more than may be held at once.

    If the sequence fails, the items before are given out first.

    Args:
        items: each with its cost.
        max_items: of a chunk.
        max_cost: the item that reaches it is the last of its chunk.

    Yields:
        The items without their cost.
    """
    chunk, cost = [], 0
    try:
        for item, item_cost in items:
            chunk.append(item)
            cost += item_cost
            if len(chunk) == max_items or cost >= max_cost:
                yield chunk
                chunk, cost = [], 0
    except Exception:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def found_or_failed(
    predict: Callable[[list[Item]], list[Found]], images: list[Item]
) -> list[Found | Exception]:
    """What is found in each image, whatever another one of them does to the detector.

    Args:
        predict: gives what is found in each of several images.
        images: that are looked at together, and each alone if that fails.

    Returns:
        For each image what is found in it, or what the detector raised.
    """
    try:
        return list(predict(images))
    except Exception as error:
        if len(images) == 1:
            return [error]
        return [found for image in images for found in found_or_failed(predict, [image])]
