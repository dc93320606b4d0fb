from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from df2s2_d2.dataset_check.near_duplicates import group_near_duplicates
from tests.dataset_check.faulty_datasets import photograph


def thumbnail(image: np.ndarray) -> np.ndarray:
    small = Image.fromarray(image).convert("L").resize((32, 32), Image.Resampling.BILINEAR)
    return np.asarray(small)


def groups_of(images, is_readable=None):
    thumbnails = np.stack([thumbnail(image) for image in images])
    is_readable = np.ones(len(images), bool) if is_readable is None else is_readable
    return [group.tolist() for group in group_near_duplicates(thumbnails, is_readable)]


def compressed(image: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=20)
    return np.asarray(Image.open(buffer))


def test_copies_of_other_size_quality_and_brightness_are_found_and_others_are_not():
    images = [photograph(seed) for seed in range(40)]
    copies = [
        cv2.resize(images[3], (61, 47), interpolation=cv2.INTER_AREA),
        compressed(images[7]),
        (images[11] * 0.7 + 30).astype(np.uint8),
        compressed(images[3]),
    ]
    assert groups_of([*images, *copies]) == [[3, 40, 43], [7, 41], [11, 42]]


def test_unreadable_images_are_not_compared_and_flat_ones_are_by_their_brightness():
    flat = [np.full((40, 50, 3), level, np.uint8) for level in (0, 0, 128, 255)]
    assert groups_of(flat) == [[0, 1]]
    assert groups_of(flat, np.array([True, False, True, True])) == []
    assert groups_of([photograph(0)]) == []


def test_groups_agree_with_comparing_every_pair():
    """More images than one block holds, many of them copies that are noisy to several degrees."""
    rng = np.random.default_rng(0)
    images = [photograph(seed, 32, 32) for seed in range(200)]
    for number in range(200):
        noise = rng.normal(0, rng.uniform(0, 60), (32, 32, 3))
        images.append((images[number % 100] + noise).clip(0, 255).astype(np.uint8))
    thumbnails = np.stack([thumbnail(image) for image in images])
    bits = [reference_hash(one) for one in thumbnails]
    parent = list(range(len(images)))

    def root(node):
        while parent[node] != node:
            node = parent[node]
        return node

    for i in range(len(images)):
        for j in range(i):
            if (bits[i] != bits[j]).sum() <= 10:
                a, b = (thumbnails[k].ravel().astype(np.float64) for k in (i, j))
                if np.corrcoef(a, b)[0, 1] > 0.97:
                    parent[root(i)] = root(j)
    expected: dict[int, list[int]] = {}
    for number in range(len(images)):
        expected.setdefault(root(number), []).append(number)
    expected_groups = sorted(group for group in expected.values() if len(group) > 1)
    found = group_near_duplicates(thumbnails, np.ones(len(images), bool))
    assert [group.tolist() for group in found] == expected_groups
    assert 20 < len(expected_groups) < 100 and max(map(len, expected_groups)) > 2


def reference_hash(image: np.ndarray) -> np.ndarray:
    """By the definition of the cosine transform."""
    k, x = np.arange(8)[:, None], np.arange(32)[None]
    waves = np.cos(np.pi * k * (2 * x + 1) / 64)
    low = (waves @ image.astype(np.float64) @ waves.T).ravel()
    return low > np.median(low[1:])


def test_many_copies_of_one_image_are_one_group():
    one = thumbnail(photograph(0))
    found = group_near_duplicates(np.repeat(one[None], 600, axis=0), np.ones(600, bool))
    assert [group.tolist() for group in found] == [list(range(600))]


@pytest.mark.real_data
def test_small_copies_of_real_photographs_are_found(shared_data):
    """Photographs of one data set and their small versions in another, by a sample."""
    folder = shared_data / "mini/wider_face/WIDER_train/images/1--Groups"
    paths = sorted(folder.glob("*.jpg"))[:60]
    images = [cv2.imread(str(path))[..., ::-1] for path in paths]
    small = [cv2.resize(i, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA) for i in images]
    found = groups_of([*images, *small])
    assert all([k, k + 60] in found for k in range(60))
