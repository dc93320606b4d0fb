"""Images that show the same: found by perceptual hashes, confirmed by their thumbnails."""

from __future__ import annotations

import numpy as np
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# Low frequencies along each axis that a hash is made of, 64 bits in all.
_FREQUENCIES = 8
# Hashes differ in at most so many bits where images are compared further.
_MOST_BITS = 10
# Thumbnails show the same from this correlation on, ...
_LEAST_CORRELATION = 0.97
# ... or if they differ by no more than so many grey levels, as images without any contrast do.
_MOST_GREY_LEVELS = 1.5

# Bound the memory of a step: images, and pairs of them, at a time.
_IMAGES_PER_BLOCK, _PAIRS_PER_BLOCK = 256, 4096


def perceptual_hashes(thumbnails: np.ndarray) -> np.ndarray:
    """The signs of an image's low frequencies against their median.

    They change little with size, compression, brightness and contrast.

    Args:
        thumbnails: (N, S, S) uint8 grey.

    Returns:
        (N, 64) float32, 1 or -1.
    """
    hashes = np.empty((len(thumbnails), _FREQUENCIES**2), np.float32)
    for start in range(0, len(thumbnails), _IMAGES_PER_BLOCK):
        block = slice(start, start + _IMAGES_PER_BLOCK)
        waves = dctn(thumbnails[block].astype(np.float32), axes=(1, 2))
        low = waves[:, :_FREQUENCIES, :_FREQUENCIES].reshape(-1, _FREQUENCIES**2)
        # The mean brightness is above any median.
        median = np.median(low[:, 1:], axis=1, keepdims=True)
        hashes[block] = np.where(low > median, 1, -1)
    return hashes


def group_near_duplicates(thumbnails: np.ndarray, is_readable: np.ndarray) -> list[np.ndarray]:
    """Groups of images that show the same.

    All images are compared with all others, by one product of matrices a block: 16,000 images in
    a second or two. The memory does not grow with the number of pairs.

    Args:
        thumbnails: (N, S, S) uint8 grey.
        is_readable: (N,) bool, the images to compare.

    Returns:
        Numbers of the images of each group of two or more, ascending; groups by their first image.
    """
    numbers = np.flatnonzero(is_readable)
    thumbnails = thumbnails[numbers]
    hashes = perceptual_hashes(thumbnails)
    labels = np.arange(len(numbers))
    for start in range(0, len(numbers), _IMAGES_PER_BLOCK):
        # The product counts equal bits minus different ones.
        products = hashes[start : start + _IMAGES_PER_BLOCK] @ hashes[start:].T
        first, second = np.nonzero(products >= _FREQUENCIES**2 - 2 * _MOST_BITS)
        is_pair = second > first
        first, second = first[is_pair] + start, second[is_pair] + start
        for begin in range(0, len(first), _PAIRS_PER_BLOCK):
            pairs = slice(begin, begin + _PAIRS_PER_BLOCK)
            # Not again what is known by way of other images, else many copies would take long.
            is_new = labels[first[pairs]] != labels[second[pairs]]
            if not is_new.any():
                continue
            a, b = first[pairs][is_new], second[pairs][is_new]
            same = _show_the_same(thumbnails[a], thumbnails[b])
            labels = _join(labels, labels[a[same]], labels[b[same]])
    order = np.argsort(labels, kind="stable")
    groups = np.split(numbers[order], np.flatnonzero(np.diff(labels[order])) + 1)
    return sorted((group for group in groups if len(group) > 1), key=lambda group: group[0])


def _show_the_same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(P,) bool for (P, S, S) uint8."""
    a, b = (x.reshape(len(x), -1).astype(np.float32) for x in (a, b))
    is_equal = np.abs(a - b).mean(axis=1) <= _MOST_GREY_LEVELS
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return is_equal | ((a * b).sum(axis=1) > _LEAST_CORRELATION * lengths)


def _join(labels: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Labels with those of ``a`` and ``b`` made one, pair by pair."""
    if len(a) == 0:
        return labels
    shape = (len(labels), len(labels))
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=shape)
    return connected_components(graph, directed=False)[1][labels]
