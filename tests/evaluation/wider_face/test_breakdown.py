from __future__ import annotations

import json

import numpy as np
import pytest

from df2s2_d2.evaluation import (
    GroundTruth,
    evaluate_wider_face,
    load_ground_truth,
    read_detections,
)
from df2s2_d2.evaluation.wider_face.attributes import group_by_attributes, load_attributes
from df2s2_d2.evaluation.wider_face.breakdown import (
    GroupScore,
    break_down,
    break_down_by_event,
    group_by_size,
)
from tests.evaluation.wider_face.reference import evaluate_setting, judge_image
from tests.evaluation.wider_face.scenes import random_scene


def test_sizes_are_square_roots_of_areas_and_borders_belong_to_the_bin_above():
    boxes = [[0, 0, 4, 16], [0, 0, 4, 15.9], [0, 0, 300, 300], [0, 0, -3, -300], [0, 0, 16, 16]]
    truth = GroundTruth.from_annotations({"e/a": np.array(boxes)}, {})
    groups = group_by_size(truth, edges=(8, 16, 256))
    assert {name: np.flatnonzero(mask).tolist() for name, mask in groups.items()} == {
        "below 8 px": [1, 3],
        "8–16 px": [0],
        "16–256 px": [4],
        "256 px and more": [2],
    }


def test_groups_worked_out_by_hand():
    faces = [[0, 0, 9, 9], [100, 0, 49, 49], [200, 0, 9, 9], [300, 0, 49, 49]]
    truth = GroundTruth.from_annotations(
        {"e/a": np.array(faces)}, {"hard": {"e/a": np.array([True, True, False, True])}}
    )
    rows = [
        [500, 0, 9, 9, 1.0],  # on nothing: a false positive of every group
        [0, 0, 9, 9, 0.9],  # finds the small face, no proposal for large ones
        [100, 0, 49, 49, 0.8],  # finds the first large face
        [200, 0, 9, 9, 0.7],  # on a face that the setting ignores
        [100, 0, 49, 49, 0.0],  # once more: false, for large faces only
    ]
    groups = {"size": group_by_size(truth, edges=(8, 16))}
    scores = break_down({"e/a": np.array(rows)}, truth, groups, "hard", score=0.85)
    # The last face is never found.
    assert scores == {
        "size": {
            "below 8 px": GroupScore(0, *[pytest.approx(np.nan, nan_ok=True)] * 3),
            "8–16 px": GroupScore(1, pytest.approx(1 / 2), recall=1.0, recall_at_score=1.0),
            "16 px and more": GroupScore(
                2, pytest.approx(1 / 2 * 1 / 2), recall=0.5, recall_at_score=0.0
            ),
        }
    }


def test_groups_agree_with_the_plain_loops():
    images = [f"e/{k}" for k in range(8)]
    boxes, truth, detections = random_scene(images, seed=5)
    rng = np.random.default_rng(0)
    groupings = {
        "one": {"a": rng.random(len(truth.boxes)) < 0.3, "b": rng.random(len(truth.boxes)) < 0.8},
        "two": {"a": rng.random(len(truth.boxes)) < 0.5},  # the same name in another grouping
    }
    scores = break_down(detections, truth, groupings, "hard", score=0.6)
    faces = {image: table.tolist() for image, table in boxes.items()}
    rows = {image: table.tolist() for image, table in detections.items()}
    for grouping, groups in groupings.items():
        for group, mask in groups.items():
            kept = np.split(mask & truth.kept["hard"], np.searchsorted(truth.image_index, range(8)))
            kept = {image: k.tolist() for image, k in zip(images, kept[1:], strict=True)}
            _, recall, area = evaluate_setting(rows, faces, kept, 0.5)
            strong = {image: [r for r in table if r[4] >= 0.6] for image, table in rows.items()}
            found = sum(
                is_new
                for image, table in strong.items()
                for _, _, is_new in judge_image(table, faces[image], kept[image], 0.5)
            )
            num_faces = sum(map(sum, kept.values()))
            score = scores[grouping][group]
            assert 0 < score.recall_at_score < score.recall < 1 and 0 < score.ap < 1
            assert score.num_faces == num_faces
            assert score.ap == pytest.approx(area, abs=1e-12)
            assert score.recall == recall[-1]
            assert score.recall_at_score == pytest.approx(found / num_faces)


def test_events_are_scored_as_if_there_were_no_others():
    # In turns, so that the images of an event do not lie together.
    images = [f"{event}/{k}" for k in range(4) for event in ("run", "jump")]
    boxes, truth, detections = random_scene(images, seed=9)
    detections["run/0"] = np.array([[999, 999, 5, 5, 1e3]])  # would press all scores of "jump" to 0
    scores = break_down_by_event(detections, truth, "hard", score=0.6)
    assert list(scores) == ["run", "jump"]
    for event, score in scores.items():
        chosen = [image for image in images if image.startswith(event)]
        kept = {i: truth.kept["hard"][truth.image_index == images.index(i)] for i in chosen}
        alone = GroundTruth.from_annotations({i: boxes[i] for i in chosen}, {"hard": kept})
        rows = {image: detections[image] for image in chosen if image in detections}
        result = evaluate_wider_face(rows, alone)
        assert score.num_faces == result.num_faces["hard"] > 0
        assert (score.ap, score.recall) == (result.ap["AP_hard"], result.recall["hard"][-1])
        everyone = {"all": {"all": np.ones(len(alone.boxes), bool)}}
        assert score == break_down(rows, alone, everyone, "hard", 0.6)["all"]["all"]


def test_groups_of_a_real_result_add_up(shared_data):
    folder = shared_data / "official/wider_face"
    archive = folder / "detections/retinaface_resnet152.zip"
    truth = load_ground_truth(folder / "eval_tools/ground_truth")
    detections = read_detections(archive)
    attributes = load_attributes(folder / "eval_tools/ground_truth", truth)
    published = json.loads((archive.parent / "expected_ap.json").read_text())[archive.name]
    result = evaluate_wider_face(detections, truth)
    groupings = {"size": group_by_size(truth), **group_by_attributes(attributes)}
    scores = break_down(detections, truth, groupings)
    events = break_down_by_event(detections, truth)

    assert len(events) == 61
    for groups in (*scores.values(), events):
        sizes = [group.num_faces for group in groups.values()]
        found = [group.recall * group.num_faces for group in groups.values() if group.num_faces]
        assert sum(sizes) == 31958
        assert sum(found) == pytest.approx(result.recall["hard"][-1] * 31958)
    # None of the invalid faces is in the setting: its other faces are all there are.
    assert scores["invalid"]["yes"].num_faces == 0
    assert scores["invalid"]["no"].ap == pytest.approx(published["AP_hard"], abs=1e-12)
    recalls = [group.recall_at_score for group in scores["size"].values()]
    assert recalls == sorted(recalls)
