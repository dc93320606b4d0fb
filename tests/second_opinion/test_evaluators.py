"""The evaluators against plain programs written from the benchmarks' protocols."""

from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.evaluation import GroundTruth, evaluate_wider_face
from df2s2_d2.evaluation.fddb import evaluate_fddb
from df2s2_d2.evaluation.wider_face.operating_point import judge_detections
from tests.evaluation.fddb import reference as fddb_reference
from tests.evaluation.wider_face.reference import evaluate_setting, judge_image
from tests.second_opinion.random_data import NUM_DATA_SETS, DataSet, random_data_set, shuffled

WIDTH, HEIGHT = 60, 50
BLOCKS = 4
BLOCK = pytest.mark.parametrize("block", range(BLOCKS))


def seeds(block: int) -> range:
    return range(block, NUM_DATA_SETS, BLOCKS)


def truth_of(data: DataSet) -> GroundTruth:
    return GroundTruth.from_annotations(data.boxes, data.kept)


@BLOCK
def test_wider_face_agrees_with_the_plain_program(block):
    num_scored = 0
    for seed in seeds(block):
        data = random_data_set(seed)
        result = evaluate_wider_face(data.detections, truth_of(data))
        rows = {image: table.tolist() for image, table in data.detections.items()}
        boxes = {image: table.tolist() for image, table in data.boxes.items()}
        for setting, masks in data.kept.items():
            if not any(mask.any() for mask in masks.values()):
                assert np.isnan(result.ap[f"AP_{setting}"]), seed
                continue
            if not any(map(len, rows.values())):
                assert result.ap[f"AP_{setting}"] == 0, seed
                continue
            precision, recall, area = evaluate_setting(rows, boxes, masks, 0.5)
            np.testing.assert_array_equal(result.precision[setting], precision, str(seed))
            np.testing.assert_array_equal(result.recall[setting], recall, str(seed))
            assert result.ap[f"AP_{setting}"] == pytest.approx(area, abs=1e-12), seed
            num_scored += 1
    assert num_scored > 0.6 * len(seeds(block))


@BLOCK
def test_operating_points_agree_with_the_plain_program(block):
    for seed in seeds(block):
        data = random_data_set(seed)
        score = np.random.default_rng(seed).choice([0.0, 0.3, 0.5])
        point = judge_detections(data.detections, truth_of(data), "hard", score)
        for index, (image, faces) in enumerate(data.boxes.items()):
            rows = [row for row in data.detections.get(image, np.zeros((0, 5))) if row[4] >= score]
            kept = data.kept["hard"][image]
            verdicts = judge_image(rows, faces.tolist(), kept, 0.5) if len(faces) else []
            num_found = sum(finds for _, _, finds in verdicts)
            num_false = sum(proposed and not finds for _, proposed, finds in verdicts)
            expected = (num_found, kept.sum() - num_found, num_false)
            found = (point.num_found[index], point.num_missed[index], point.num_false[index])
            assert found == expected, (seed, image)


def ellipses_of(boxes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    radii = np.maximum(boxes[:, :1:-1] / 2, 1)
    angles = random.choice([0, np.pi / 2, 0.7], size=(len(boxes), 1))
    return np.hstack([radii, angles, boxes[:, :2] + boxes[:, 2:] / 2])


def random_folds(seed: int) -> tuple[dict, dict, dict]:
    """Detections, which are ellipses in every third data set, folds of two, and image sizes."""
    data, random = random_data_set(seed), np.random.default_rng(seed)
    faces = {image: ellipses_of(boxes[:4], random) for image, boxes in data.boxes.items()}
    detections = {image: shuffled(rows, random)[:6] for image, rows in data.detections.items()}
    if seed % 3 == 0:
        detections = {
            image: np.hstack([ellipses_of(rows[:, :4], random), rows[:, 4:]])
            for image, rows in detections.items()
        }
    images = list(faces)
    folds = {f"0{k + 1}": {image: faces[image] for image in images[k::2]} for k in range(2)}
    return detections, folds, dict.fromkeys(images, (WIDTH, HEIGHT))


@BLOCK
def test_fddb_agrees_with_the_plain_program(block):
    num_scored = 0
    for seed in seeds(block):
        detections, folds, sizes = random_folds(seed)
        faces = {image: rows for fold in folds.values() for image, rows in fold.items()}
        if not any(map(len, faces.values())):
            with pytest.raises(ValueError, match="no faces"):
                evaluate_fddb(detections, folds, sizes)
            continue
        result = evaluate_fddb(detections, folds, sizes)
        curves = (result.thresholds, result.false_positives, result.discrete, result.continuous)
        expected = np.reshape(fddb_reference.evaluate(detections, faces, sizes), (-1, 4))
        np.testing.assert_allclose(np.transpose(curves), expected, rtol=0, atol=1e-12)
        num_scored += len(expected) > 0
    assert num_scored > 0.6 * len(seeds(block))


@BLOCK
def test_the_order_of_images_and_detections_changes_nothing(block):
    for seed in seeds(block):
        data, random = random_data_set(seed), np.random.default_rng(seed)
        images = list(data.boxes)
        random.shuffle(images)
        boxes = {image: data.boxes[image] for image in images}
        rows = {i: shuffled(data.detections[i], random) for i in images if i in data.detections}
        result = evaluate_wider_face(data.detections, truth_of(data))
        other = evaluate_wider_face(rows, truth_of(data._replace(boxes=boxes)))
        for setting in data.kept:
            np.testing.assert_array_equal(result.precision[setting], other.precision[setting])
            np.testing.assert_array_equal(result.recall[setting], other.recall[setting])


@BLOCK
def test_mirrored_images_have_the_same_figures(block):
    def mirrored(rows: np.ndarray) -> np.ndarray:
        return np.hstack([WIDTH - rows[:, :1] - rows[:, 2:3], rows[:, 1:]])

    for seed in seeds(block):
        data = random_data_set(seed)
        boxes = {image: mirrored(rows) for image, rows in data.boxes.items()}
        detections = {image: mirrored(rows) for image, rows in data.detections.items()}
        result = evaluate_wider_face(data.detections, truth_of(data))
        other = evaluate_wider_face(detections, truth_of(data._replace(boxes=boxes)))
        for setting in data.kept:
            np.testing.assert_array_equal(result.precision[setting], other.precision[setting])
            np.testing.assert_array_equal(result.recall[setting], other.recall[setting])


@BLOCK
def test_the_order_of_folds_images_and_detections_changes_no_rate(block):
    for seed in seeds(block):
        detections, folds, sizes = random_folds(seed)
        if not any(len(rows) for fold in folds.values() for rows in fold.values()):
            continue
        random = np.random.default_rng(seed)
        result = evaluate_fddb(detections, folds, sizes)
        rows = {image: shuffled(table, random) for image, table in detections.items()}
        other = evaluate_fddb(dict(reversed(rows.items())), dict(reversed(folds.items())), sizes)
        np.testing.assert_array_equal(result.thresholds, other.thresholds)
        np.testing.assert_array_equal(result.discrete, other.discrete)
        np.testing.assert_allclose(result.continuous, other.continuous, rtol=0, atol=1e-12)
