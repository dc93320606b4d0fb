from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.dataset_check.annotated_dataset import AnnotatedDataset
from df2s2_d2.dataset_check.label_findings import find_suspicious_labels
from df2s2_d2.formats.annotated_image import AnnotatedImage
from tests.dataset_check.faulty_datasets import one_image

SIZES = np.array([[100.0, 200.0]])  # height, width


def kinds_of(dataset, sizes=SIZES) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for finding in find_suspicious_labels(dataset, sizes):
        found.setdefault(finding.box, []).append(finding.kind.key)
    return found


@pytest.mark.parametrize(
    ("box", "kinds"),
    [
        ([10, 10, 20, 30], []),
        ([10, 10, 0, 30], ["no_area"]),
        ([10, 10, 20, -3], ["no_area"]),
        ([0.1, 0.2, 0.3, 0.4], ["in_shares"]),
        ([200, 10, 20, 30], ["outside_image"]),
        ([10, -30, 20, 30], ["outside_image"]),
        ([195, 10, 20, 30], ["off_centre"]),
        ([185, 10, 20, 30], ["over_border"]),  # 5 of 20 pixels
        ([182, 10, 20, 30], []),  # 2 pixels: rounding
        ([110, 30, 100, 60], []),  # 10 of 100 pixels
        ([1, 1, 198, 97], ["covers_image"]),
        ([10, 10, 10, 36], ["odd_shape"]),
        ([10, 10, 10, 35], []),
        ([10, 10, 50, 19], ["odd_shape"]),
        ([10, 10, 3.9, 6], ["tiny_box"]),
        ([10, 10, 4, 6], []),
    ],
)
def test_kinds_of_single_boxes(box, kinds):
    assert kinds_of(one_image([box])) == ({0: kinds} if kinds else {})


def test_of_unknown_images_only_what_lies_above_or_left_is_outside():
    boxes = [[5000, 10, 20, 30], [-50, 10, 20, 30], [0, 0, 9000, 9000]]
    assert kinds_of(one_image(boxes), np.full((1, 2), np.nan)) == {1: ["outside_image"]}


def test_shape_and_size_of_ignored_regions_are_free():
    boxes = [[10, 10, 2, 2], [20, 10, 100, 5]]
    assert kinds_of(one_image(boxes, [True, True])) == {}


def test_repeated_faces_and_faces_in_regions():
    boxes = [
        [10, 10, 20, 20],
        [10, 10, 20, 20],  # the same
        [50, 50, 20, 20],
        [52, 51, 20, 20],  # 18 x 19 of 458: 0.75
        [100, 10, 30, 30],  # a region
        [105, 15, 10, 10],  # inside it
        [100, 10, 30, 30],  # a region again, which is no face
        [125, 15, 10, 10],  # half inside
    ]
    dataset = one_image(boxes, [0, 0, 0, 0, 1, 0, 1, 0])
    found = {f.box: f for f in find_suspicious_labels(dataset, SIZES)}
    assert {box: f.kind.key for box, f in found.items()} == {
        1: "duplicate_box",
        3: "near_duplicate_box",
        5: "in_ignored_region",
    }
    assert [found[box].other_box for box in (1, 3, 5)] == [0, 2, 4]
    assert found[3].reason == "IoU 0.75 with 3"
    assert found[5].reason == "100% of it inside 5"


def test_pairs_agree_with_plain_loops():
    rng = np.random.default_rng(0)
    images = []
    for number in range(30):
        few = rng.integers([0, 0, 8, 8], [60, 60, 25, 25], size=(25, 4))
        boxes = few[rng.integers(0, 25, 25)] + rng.integers(0, 2, few.shape)
        ignored = rng.random(len(boxes)) < 0.3
        images.append(AnnotatedImage(f"e/{number}.jpg", boxes.astype(float), ignored))
    dataset = AnnotatedDataset("d", "d", "", images, "{place}")
    sizes = np.full((30, 2), 200.0)
    found = {"duplicate_box": {}, "near_duplicate_box": {}, "in_ignored_region": {}}
    for finding in find_suspicious_labels(dataset, sizes):
        if finding.kind.key in found:
            found[finding.kind.key][finding.box] = finding.weight

    expected = {key: {} for key in found}
    start = 0
    for image in images:
        boxes, ignored = image.boxes.tolist(), image.ignored.tolist()
        for i, a in enumerate(boxes):
            if ignored[i]:
                continue
            ious = [iou(a, b) for b, skip in zip(boxes[:i], ignored[:i], strict=True) if not skip]
            best = max(ious, default=0)
            if best >= 0.7:
                key = "duplicate_box" if best >= 0.9 else "near_duplicate_box"
                expected[key][start + i] = pytest.approx(best)
            covers = [
                common(a, b) / (a[2] * a[3]) for b, r in zip(boxes, ignored, strict=True) if r
            ]
            if max(covers, default=0) >= 0.9:
                expected["in_ignored_region"][start + i] = None
        start += len(boxes)
    found["in_ignored_region"] = dict.fromkeys(found["in_ignored_region"])
    assert found == expected
    assert all(len(rows) > 3 for rows in expected.values())


def common(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


def iou(a, b):
    both = common(a, b)
    return both / (a[2] * a[3] + b[2] * b[3] - both)
