from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.evaluation.fddb import EllipseRegressor, cross_validated_ellipses, evaluate_fddb

SIZE = (400, 400)


def random_boxes(rng: np.random.Generator, number: int) -> np.ndarray:
    return rng.uniform([50, 50, 30, 40], [250, 250, 90, 120], size=(number, 4))


def ellipses_of(boxes: np.ndarray) -> np.ndarray:
    """A relation that the regressor can express: larger boxes hold relatively smaller faces."""
    x, y, w, h = boxes.T
    size = np.sqrt(w * h)
    turn = np.full(len(boxes), 1.4)
    radii = 0.7 * h / size**0.05, 0.6 * w**0.9 * h**0.1
    return np.stack([*radii, turn, x + 0.55 * w, y + (0.5 + 0.01 * np.log(w / h)) * h], axis=1)


def test_recovers_a_relation_in_its_features():
    rng = np.random.default_rng(0)
    boxes = random_boxes(rng, 60)
    regressor = EllipseRegressor.fit(boxes, ellipses_of(boxes))
    others = random_boxes(rng, 20) * 2
    np.testing.assert_allclose(regressor.predict(others), ellipses_of(others), rtol=1e-8)


def test_half_a_turn_of_an_ellipse_changes_nothing():
    rng = np.random.default_rng(1)
    boxes = random_boxes(rng, 40)
    ellipses = ellipses_of(boxes)
    ellipses[:, 2] += rng.normal(0, 0.3, len(boxes))
    turned = ellipses + np.array([0, 0, np.pi, 0, 0]) * rng.integers(-2, 3, size=(40, 1))
    fits = [EllipseRegressor.fit(boxes, faces).coefficients for faces in (ellipses, turned)]
    np.testing.assert_allclose(*fits, atol=1e-9)


def test_angles_on_both_sides_of_the_vertical_average_to_it():
    boxes = random_boxes(np.random.default_rng(2), 200)
    ellipses = ellipses_of(boxes)
    ellipses[::2, 2], ellipses[1::2, 2] = np.pi / 2 - 0.2, -np.pi / 2 + 0.2  # the same, mirrored
    angles = EllipseRegressor.fit(boxes, ellipses).predict(boxes)[:, 2]
    assert np.abs(angles - np.pi / 2).mean() < 0.05


def test_boxes_without_an_extent_become_dots():
    boxes = random_boxes(np.random.default_rng(3), 30)
    regressor = EllipseRegressor.fit(boxes, ellipses_of(boxes))
    ellipses = regressor.predict(np.array([[10.0, 20, 0, 0], [10, 20, -5, -7]]))
    assert np.isfinite(ellipses).all() and (ellipses[:, :2] < 1).all()


def test_too_few_pairs_are_told():
    boxes = random_boxes(np.random.default_rng(4), 5)
    with pytest.raises(ValueError, match="at least 6 detections .* found 5"):
        EllipseRegressor.fit(boxes, ellipses_of(boxes))


def annotated_folds(num_folds: int) -> tuple[dict, dict, dict]:
    """Detections that hold their faces as :func:`ellipses_of` says, with one false alarm each."""
    rng = np.random.default_rng(5)
    detections, folds, sizes = {}, {}, {}
    for fold in range(num_folds):
        folds[f"{fold:02d}"] = {}
        for k in range(8):
            boxes = random_boxes(rng, 1)
            image = f"{fold}/{k}"
            folds[f"{fold:02d}"][image] = ellipses_of(boxes)
            rows = np.vstack([boxes, [[0, 0, 9, 9]]])
            detections[image] = np.column_stack([rows, [0.9, 0.8]])
            sizes[image] = SIZE
    return detections, folds, sizes


def test_each_fold_is_converted_by_what_the_others_teach():
    detections, folds, sizes = annotated_folds(4)
    # In the first fold alone, faces are half as large: no other fold tells of that.
    for image, faces in folds["00"].items():
        folds["00"][image] = faces * [0.9, 0.9, 1, 1, 1]
    converted = cross_validated_ellipses(detections, folds, sizes)
    for image in folds["00"]:
        box = detections[image][:1]
        expected = np.append(ellipses_of(box[:, :4]), box[0, 4])
        np.testing.assert_allclose(converted[image][0], expected, rtol=1e-6)
    first = next(iter(folds["01"]))
    learned = converted[first][0, :5] / ellipses_of(detections[first][:1, :4])[0]
    assert learned[0] < 0.999  # the first fold has a share in it


def test_converted_detections_find_their_faces_exactly():
    detections, folds, sizes = annotated_folds(3)
    detections["unknown/0"] = np.array([[1.0, 2, 3, 4, 0.5]])
    del detections["1/3"]
    converted = cross_validated_ellipses(detections, folds, sizes)
    assert {rows.shape for image, rows in converted.items() if image != "unknown/0"} == {(2, 6)}
    assert converted.keys() == detections.keys()
    np.testing.assert_array_equal(converted["unknown/0"], detections["unknown/0"])
    as_boxes, as_ellipses = (evaluate_fddb(d, folds, sizes) for d in (detections, converted))
    assert as_boxes.rates()["cont"][100] < 0.8
    assert as_ellipses.rates()["cont"][100] == pytest.approx(23 / 24, abs=0.01)
    assert as_ellipses.num_unknown_images == 1


def test_what_cannot_be_converted_is_told():
    detections, folds, sizes = annotated_folds(2)
    with pytest.raises(ValueError, match="at least two folds, found 1"):
        cross_validated_ellipses(detections, {"00": folds["00"]}, sizes)
    with pytest.raises(ValueError, match="0/0: expected boxes .* found ellipses"):
        cross_validated_ellipses(detections | {"0/0": np.ones((1, 6))}, folds, sizes)
    with pytest.raises(ValueError, match="at least 6 detections"):
        cross_validated_ellipses({"0/0": detections["0/0"]}, folds, sizes)
