from __future__ import annotations

import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest

from df2s2_d2.inference.faces import Faces
from df2s2_d2.serving.batching import Batcher, DetectorFailure
from tests.serving.services import SECONDS


def image(value: int) -> np.ndarray:
    return np.full((2, 2, 3), value, np.uint8)


def faces_of(images: list[np.ndarray]) -> list[Faces]:
    """One face an image, whose score is the image's value in hundredths."""
    return [Faces([[0, 0, 1, 1]], [one.flat[0] / 100], one.shape[:2]) for one in images]


class Detector:
    """Looks at its first batch when it is let go, and at those after at once.

    Attributes:
        batches: the images' values, by batch.
    """

    def __init__(self):
        self.batches: list[list[int]] = []
        self.has_begun = threading.Event()
        self.may_go_on = threading.Event()

    def __call__(self, images: list[np.ndarray]) -> list[Faces]:
        self.batches.append([int(one.flat[0]) for one in images])
        self.has_begun.set()
        assert self.may_go_on.wait(SECONDS)
        return faces_of(images)

    def busy_batcher(self, **options) -> Batcher:
        """A batcher that is looking at image 0."""
        options = {"batch_size": 3, "max_pixels": 1000, **options}
        batcher = Batcher(self, **options)
        batcher.submit(lambda: image(0), 4)
        assert self.has_begun.wait(SECONDS)
        return batcher


def score(future) -> float:
    return round(float(future.result(SECONDS).scores[0]), 2)


def test_what_waits_is_looked_at_together_and_each_gets_its_own():
    detector = Detector()
    reports = []
    report = lambda num_images, seconds: reports.append((num_images, seconds >= 0))  # noqa: E731
    with detector.busy_batcher(report=report) as batcher:
        futures = [batcher.submit(lambda value=value: image(value), 4) for value in range(1, 6)]
        assert batcher.num_waiting == 5
        detector.may_go_on.set()
        assert [score(future) for future in futures] == [0.01, 0.02, 0.03, 0.04, 0.05]
        assert batcher.num_waiting == 0
    assert detector.batches == [[0], [1, 2, 3], [4, 5]]
    assert reports == [(1, True), (3, True), (2, True)]


def test_pixels_of_a_batch_are_bounded():
    detector = Detector()
    with detector.busy_batcher(max_pixels=10) as batcher:
        for value, num_pixels in enumerate([4, 6, 5, 100, 1], start=1):
            batcher.submit(lambda value=value: image(value), num_pixels)
        detector.may_go_on.set()
    assert detector.batches == [[0], [1, 2], [3], [4], [5]]


def test_what_nobody_waits_for_is_neither_decoded_nor_looked_at():
    detector = Detector()
    decoded = []

    def load() -> np.ndarray:
        decoded.append(True)
        return image(9)

    with detector.busy_batcher() as batcher:
        futures = [batcher.submit(load, 4) for _ in range(2)]
        assert futures[0].cancel()
        detector.may_go_on.set()
        assert score(futures[1]) == 0.09
        with pytest.raises(CancelledError):
            futures[0].result(SECONDS)
    assert detector.batches == [[0], [9]] and len(decoded) == 1


def test_an_image_that_cannot_be_decoded_fails_alone():
    def broken() -> np.ndarray:
        raise OSError("broken")

    detector = Detector()
    with detector.busy_batcher() as batcher:
        futures = [batcher.submit(load, 4) for load in (broken, lambda: image(2))]
        alone = [batcher.submit(broken, 4) for _ in range(4)]
        detector.may_go_on.set()
        assert score(futures[1]) == 0.02
        for future in (futures[0], *alone):
            with pytest.raises(OSError, match="broken"):
                future.result(SECONDS)
    assert detector.batches == [[0], [2]]


def test_an_image_that_the_detector_fails_at_fails_alone():
    def detect(images: list[np.ndarray]) -> list[Faces]:
        if any(one.flat[0] == 2 for one in images):
            raise ZeroDivisionError("by two")
        return faces_of(images)

    detector = Detector()
    with detector.busy_batcher() as batcher:
        batcher._detect = detect
        futures = [batcher.submit(lambda value=value: image(value), 4) for value in (1, 2, 3)]
        detector.may_go_on.set()
        assert (score(futures[0]), score(futures[2])) == (0.01, 0.03)
        with pytest.raises(DetectorFailure, match="ZeroDivisionError: by two"):
            futures[1].result(SECONDS)
        assert batcher.is_alive


def test_a_batcher_that_is_closed_answers_what_waits_and_takes_no_more():
    detector = Detector()
    batcher = detector.busy_batcher()
    futures = [batcher.submit(lambda: image(1), 4) for _ in range(5)]
    detector.may_go_on.set()
    batcher.close()
    assert all(future.done() for future in futures)
    assert not batcher.is_alive
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit(lambda: image(1), 4)
