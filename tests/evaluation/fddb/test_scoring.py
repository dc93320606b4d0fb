from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.evaluation.fddb import (
    cross_validated_ellipses,
    evaluate_fddb,
    load_folds,
    read_detections,
    read_image_sizes,
)
from tests.evaluation.fddb.reference import evaluate

SIZE = (60, 50)


def curve_of(result) -> list[tuple]:
    return list(
        zip(
            result.thresholds,
            result.false_positives,
            result.discrete,
            result.continuous,
            strict=True,
        )
    )


@pytest.mark.parametrize("kind", ["boxes", "ellipses"])
def test_agrees_with_the_plain_program(kind):
    """Crowded faces and coarse scores, so that detections compete and scores are equal."""
    rng = np.random.default_rng(5)
    faces, detections, sizes = {}, {}, {}
    for k in range(8):
        image = f"a/{k}"
        faces[image] = rng.uniform([6, 4, -2, 0, 0], [16, 12, 2, 60, 50], size=(k % 5, 5))
        sizes[image] = SIZE
        near = np.repeat(faces[image], 2, axis=0)
        near = near + rng.normal(0, 2, near.shape) * [1, 1, 0.1, 1, 1]
        near = np.vstack([near, rng.uniform(2, 40, size=(1, 5))])
        if kind == "boxes":
            near = np.hstack([near[:, 3:] - near[:, 1::-1], 2 * near[:, 1::-1]])
        scores = rng.integers(1, 9, size=(len(near), 1)) / 8
        detections[image] = np.hstack([near, scores])
    folds = {"01": dict(list(faces.items())[:5]), "02": dict(list(faces.items())[5:])}
    result = evaluate_fddb(detections, folds, sizes)
    expected = evaluate(detections, faces, sizes)
    np.testing.assert_allclose(curve_of(result), expected, rtol=0, atol=1e-12)
    assert 0.2 < result.continuous[-1] < result.discrete[-1] < 1
    assert len(expected) == 8


def one_image(num_false: int, found_at: int) -> tuple[dict, dict, dict]:
    """One face of two, found after `found_at` of `num_false` false positives."""
    boxes = np.tile([0.0, 0, 3, 3], (num_false + 1, 1))
    boxes[found_at] = [80, 70, 40, 60]
    scores = np.linspace(1, 0.1, num_false + 1)
    faces = np.array([[30.0, 20, np.pi / 2, 100, 100], [30, 20, np.pi / 2, 200, 100]])
    rows = np.column_stack([boxes, scores])
    return {"a/b": rows}, {"01": {"a/b": faces}}, {"a/b": (300, 200)}


@pytest.mark.parametrize(
    ("num_false", "found_at", "rates"),
    [(50, 30, [1, 1, 1, 1]), (3000, 100, [1, 1, 1, 1]), (3000, 101, [0, 1, 1, 1])]
    + [(3000, 2000, [0, 0, 0, 1]), (3000, 2001, [0, 0, 0, 0])],
)
def test_rates_are_those_of_the_lowest_threshold_within_the_count(num_false, found_at, rates):
    result = evaluate_fddb(*one_image(num_false, found_at))
    assert result.false_positives[-1] == num_false
    overlap = result.continuous[-1] * 2
    assert 0.7 < overlap < np.pi / 4 + 0.01
    assert result.rates() == {
        "disc": dict(zip((100, 500, 1000, 2000), np.array(rates) / 2, strict=True)),
        "cont": dict(zip((100, 500, 1000, 2000), np.array(rates) * overlap / 2, strict=True)),
    }
    assert all(type(rate) is float for rate in result.rates()["cont"].values())


def test_more_false_positives_than_asked_for_at_the_highest_score():
    detections, folds, sizes = one_image(150, 0)
    detections["a/b"][:, 4] = 0.5
    result = evaluate_fddb(detections, folds, sizes)
    assert result.rates()["disc"] == {100: 0.0, 500: 0.5, 1000: 0.5, 2000: 0.5}


def test_images_are_counted_and_only_those_of_the_folds_scored():
    detections, folds, sizes = one_image(3, 0)
    folds["02"] = {"a/missing": folds["01"]["a/b"], "a/faceless": np.zeros((0, 5))}
    rows = detections["a/b"]
    detections |= {"a/faceless": rows[:2], "b/unknown": rows}
    result = evaluate_fddb(detections, folds, sizes | {"a/faceless": SIZE})
    assert result.counts() == {
        "images": 3,
        "faces": 4,
        "detections": 6,
        "missing_images": 1,
        "unknown_images": 1,
        "unknown_detections": 4,
    }
    assert (result.false_positives[-1], result.discrete[-1]) == (5, 1 / 4)


@pytest.mark.parametrize("detections", [{}, {"a/b": []}, {"a/b": np.zeros((0, 6))}])
def test_without_detections_rates_are_zero_and_no_size_is_needed(detections):
    _, folds, _ = one_image(0, 0)
    result = evaluate_fddb(detections, folds, {})
    assert result.rates()["cont"] == dict.fromkeys((100, 500, 1000, 2000), 0.0)
    assert (result.num_detections, len(result.thresholds)) == (0, 0)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1, 2, 3, 4]], r"a/b: expected an array of shape \(n, 5\) .*, got \(1, 4\)"),
        ([[1, 2, 3, 4, 0.5], [1, 2, 3, 4, np.nan]], "a/b: row 1 holds nan or inf"),
        ([[1, 2, np.inf, 4, 1, 0.5]], "a/b: row 0 holds nan or inf"),
    ],
)
def test_malformed_arrays_are_named(rows, message):
    _, folds, sizes = one_image(0, 0)
    with pytest.raises(ValueError, match=message):
        evaluate_fddb({"a/b": np.array(rows)}, folds, sizes)


def test_missing_sizes_and_faces_are_told():
    detections, folds, _ = one_image(0, 0)
    with pytest.raises(ValueError, match="size of the image a/b is missing"):
        evaluate_fddb(detections, folds, {"a/c": SIZE})
    with pytest.raises(ValueError, match="no faces"):
        evaluate_fddb(detections, {"01": {"a/b": np.zeros((0, 5))}}, {})


def test_a_detector_that_keeps_everything():
    """In each of 20 images 100 detections near either of two faces, and 600 elsewhere."""
    rng = np.random.default_rng(0)
    faces = np.array([[30.0, 20, 1.5, 60, 60], [30, 20, 1.6, 150, 60]])
    places = np.array([[40.0, 30, 40, 60], [130, 30, 40, 60], [20, 125, 40, 60]])
    boxes = np.repeat(places, [100, 100, 600], axis=0)
    folds = {"01": {f"a/{k}": faces for k in range(20)}}
    detections = {
        image: np.hstack([boxes + rng.normal(0, 3, boxes.shape), rng.random((800, 1))])
        for image in folds["01"]
    }
    result = evaluate_fddb(detections, folds, dict.fromkeys(detections, (200, 200)))
    assert result.num_detections == 16_000
    # However many are near it, a face is found once.
    assert (result.discrete[-1], result.false_positives[-1]) == (1, 15_960)


@pytest.fixture(scope="module")
def s3fd(shared_data):
    folder = shared_data / "official/fddb"
    return (
        read_detections(folder / "results/s3fd/detections.txt"),
        load_folds(folder / "FDDB-folds"),
        read_image_sizes(folder / "image_sizes.csv"),
    )


@pytest.mark.real_data
def test_official_curves_at_every_point(s3fd, shared_data):
    result = evaluate_fddb(*s3fd)
    assert (result.num_images, result.num_faces, result.num_detections) == (2845, 5171, 34019)
    # A point a threshold, by ascending threshold: rate, false positives, threshold.
    folder = shared_data / "official/fddb/results/s3fd"
    discrete = np.loadtxt(folder / "DiscROC.txt")[::-1]
    continuous = np.loadtxt(folder / "ContROC.txt")[::-1]
    np.testing.assert_allclose(result.thresholds, discrete[:, 2], rtol=0, atol=1e-6)
    np.testing.assert_allclose(result.discrete, discrete[:, 0], rtol=0, atol=0.001)
    np.testing.assert_allclose(result.continuous, continuous[:, 0], rtol=0, atol=0.001)
    np.testing.assert_allclose(result.false_positives, discrete[:, 1], rtol=0, atol=1)
    assert result.rates()["disc"][1000] == pytest.approx(0.968478, abs=1e-6)
    assert result.rates()["cont"][1000] == pytest.approx(0.738887, abs=1e-6)


@pytest.mark.real_data
def test_regressor_raises_the_continuous_score(s3fd):
    detections, folds, sizes = s3fd
    ellipses = cross_validated_ellipses(detections, folds, sizes)
    rates = evaluate_fddb(ellipses, folds, sizes).rates()
    assert rates["cont"][1000] > 0.83  # boxes: 0.739
    assert rates["disc"][1000] > 0.9685  # no worse than boxes
