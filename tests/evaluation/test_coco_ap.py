from __future__ import annotations

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from df2s2_d2.evaluation import GroundTruth, load_ground_truth, read_detections
from df2s2_d2.evaluation.coco_ap import coco_average_precision

NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl"]


def one_image(boxes, kept) -> GroundTruth:
    masks = {"hard": {"e/i": np.array(kept, bool)}}
    return GroundTruth.from_annotations({"e/i": np.array(boxes, float)}, masks)


def by_pycocotools(detections, truth: GroundTruth, max_detections: int) -> dict[str, float]:
    """The figures of COCOeval itself, by its own loops."""
    faces = COCO()
    rows = zip(truth.image_index.tolist(), truth.boxes.tolist(), truth.kept["hard"], strict=True)
    faces.dataset = {
        "images": [{"id": i} for i in range(len(truth.images))],
        "categories": [{"id": 1}],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": 1,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": int(not kept),
            }
            for number, (image, box, kept) in enumerate(rows, start=1)
        ],
    }
    faces.createIndex()
    found = [
        {"image_id": i, "category_id": 1, "bbox": row[:4], "score": row[4]}
        for i, image in enumerate(truth.images)
        for row in np.asarray(detections.get(image, np.zeros((0, 5)))).tolist()
    ]
    evaluation = COCOeval(faces, faces.loadRes(found), "bbox")
    evaluation.params.maxDets = [max_detections]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, 0, :, 0]  # (T, R, areas)
    parts = [precision[..., 0], precision[0, :, 0], precision[5, :, 0]]
    parts += [precision[..., area] for area in (1, 2, 3)]
    return {
        name: part[part > -1].mean() if (part > -1).any() else np.nan
        for name, part in zip(NAMES, parts, strict=True)
    }


def test_a_case_worked_out_by_hand():
    truth = one_image([[0, 0, 100, 100], [200, 0, 20, 20]], [True, True])
    rows = [
        [0, 0, 100, 80, 0.9],  # IoU 0.8: right at the seven thresholds up to it
        [200, 0, 20, 20, 0.8],  # IoU 1: right at all ten
    ]
    figures = coco_average_precision({"e/i": np.array(rows)}, truth)
    # At 0.85 and above, one face of two is found, at precision 1/2: up to recall 0.5 (51 of 101).
    part = 51 / 101 / 2
    assert list(figures) == NAMES
    assert figures == {
        "AP": pytest.approx((7 + 3 * part) / 10),
        "AP50": pytest.approx(1),
        "AP75": pytest.approx(1),
        "APs": pytest.approx(1),  # the large face and the large detection are out of it
        "APm": pytest.approx(np.nan, nan_ok=True),
        "APl": pytest.approx(7 / 10),
    }
    assert all(type(value) is float for value in figures.values())


@pytest.mark.parametrize("max_detections", [2000, 7])
def test_agrees_with_pycocotools_in_crowds_and_ties(max_detections, capsys):
    """Integer boxes close to each other and coarse scores, of all three sizes of COCO."""
    rng = np.random.default_rng(5)
    boxes, kept, detections = {}, {}, {}
    for k in range(14):
        size = rng.choice([12, 60, 150])
        faces = rng.integers(0, [90, 90, size, size], size=(rng.integers(0, 30), 4)) + [0, 0, 4, 4]
        faces = np.concatenate([faces, faces[:3]])  # equally good ones
        near = faces[rng.integers(0, len(faces), 60)] if len(faces) else np.full((9, 4), 20)
        near = near + rng.integers(-3, 4, size=near.shape)
        rows = np.concatenate([near.clip(min=[-9, -9, 1, 1]), faces[:5]])
        scores = rng.integers(0, 12, size=(len(rows), 1)) / 12
        boxes[f"e/{k:02}"], kept[f"e/{k:02}"] = faces, rng.random(len(faces)) < 0.7
        if k != 3:
            detections[f"e/{k:02}"] = np.concatenate([rows, scores], axis=1)
    truth = GroundTruth.from_annotations(boxes, {"hard": kept})
    figures = coco_average_precision(detections, truth, max_detections=max_detections)
    assert capsys.readouterr().out == ""  # pycocotools would print its progress
    expected = by_pycocotools(detections, truth, max_detections)
    assert figures == pytest.approx(expected, abs=1e-12)
    assert 0.05 < figures["AP"] < figures["AP50"] < 0.95
    assert len(set(expected.values())) == len(NAMES)


def test_real_detections_agree_with_pycocotools(shared_data):
    """Every sixtieth image of the official validation images."""
    folder = shared_data / "official/wider_face"
    whole = load_ground_truth(folder / "eval_tools" / "ground_truth")
    detections = read_detections(folder / "detections" / "retinaface_resnet152.zip")
    boxes, kept = {}, {}
    for k, image in list(enumerate(whole.images))[::60]:
        boxes[image] = whole.boxes[whole.image_index == k]
        kept[image] = whole.kept["hard"][whole.image_index == k]
    truth = GroundTruth.from_annotations(boxes, {"hard": kept})
    figures = coco_average_precision(detections, truth)
    assert figures == pytest.approx(by_pycocotools(detections, truth, 2000), abs=1e-12)
    assert 0.2 < figures["AP75"] < figures["AP50"] < 0.9


def test_ignored_face_excuses_every_detection_inside_it():
    truth = one_image([[0, 0, 40, 40], [100, 0, 40, 40]], [True, False])
    inside = [[100, 0, 40, 40, 0.9], [110, 10, 9, 9, 0.8], [100, 0, 39, 39, 0.7]]
    found = [0, 0, 40, 40, 0.5]
    assert coco_average_precision({"e/i": np.array([*inside, found])}, truth)[
        "AP"
    ] == pytest.approx(1)
    beside = [[160, 0, 40, 40, 0.9], found]
    assert coco_average_precision({"e/i": np.array(beside)}, truth)["AP"] == pytest.approx(1 / 2)


def test_crowd_of_more_than_a_hundred_counts_whole():
    boxes = np.stack([np.arange(400) * 20, np.zeros(400), *np.full((2, 400), 16)], axis=1)
    rows = np.column_stack([boxes, np.linspace(1, 0.1, 400)])
    truth = one_image(boxes, np.ones(400))
    assert coco_average_precision({"e/i": rows}, truth)["AP"] == pytest.approx(1)
    # A hundred of four hundred: recalls 0 to 0.25, 26 of the 101.
    limited = coco_average_precision({"e/i": rows}, truth, max_detections=100)
    assert limited["AP"] == pytest.approx(26 / 101)


def test_no_detections_no_faces_and_unknown_settings():
    truth = one_image([[0, 0, 9, 9]], [True])
    figures = coco_average_precision({}, truth)
    assert (figures["AP"], figures["APs"]) == (0, 0)
    faceless = GroundTruth.from_annotations({"e/i": []}, {"hard": {}})
    figures = coco_average_precision({"e/i": np.array([[0, 0, 9, 9, 0.5]])}, faceless)
    assert np.isnan(list(figures.values())).all()
    with pytest.raises(ValueError, match="setting 'all' is none of hard"):
        coco_average_precision({}, truth, setting="all")
