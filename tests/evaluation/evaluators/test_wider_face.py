from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.evaluation import COCOEvaluator
from detectron2.structures import Boxes, BoxMode, Instances
from detectron2.utils.events import EventStorage
from matplotlib.image import imread
from PIL import Image

from df2s2_d2.evaluation import evaluate_wider_face, load_ground_truth, read_detections
from df2s2_d2.evaluation.evaluators import FDDBEvaluator, WiderFaceEvaluator, build_evaluator
from df2s2_d2.evaluation.protocol import Protocol, read_protocol
from tests.evaluation.evaluators.official_files import official_files

SETTINGS = ["AP_easy", "AP_medium", "AP_hard"]


def as_output(boxes: list | np.ndarray, scores: list | np.ndarray) -> dict:
    """What a detector gives for one image; boxes are XYXY."""
    instances = Instances((1000, 1000))
    instances.pred_boxes = Boxes(torch.as_tensor(np.array(boxes, np.float32).reshape(-1, 4)))
    instances.scores = torch.as_tensor(np.array(scores, np.float32))
    return {"instances": instances}


def perfect_outputs(name: str) -> tuple[list[dict], list[dict]]:
    """Every annotated box of a data set, found with distinct scores."""
    records = DatasetCatalog.get(name)
    outputs = []
    for record in records:
        boxes = [face["bbox"] for face in record["annotations"]]
        outputs.append(as_output(boxes, np.linspace(0.9, 0.5, len(boxes))))
    return records, outputs


def evaluate(name: str, inputs: list[dict], outputs: list[dict], output_dir=None):
    evaluator = WiderFaceEvaluator(name, output_dir)
    evaluator.reset()
    for pair in zip(inputs, outputs, strict=True):  # one image a batch
        evaluator.process(*([one] for one in pair))
    return evaluator.evaluate()


def test_perfect_detections_score_one(drawn_val):
    results = evaluate(drawn_val, *perfect_outputs(drawn_val))
    assert list(results) == ["wider_face", "coco"]
    assert results["wider_face"] == dict.fromkeys(SETTINGS, pytest.approx(1.0))
    assert list(results["coco"]) == ["AP", "AP50", "AP75", "APs", "APm", "APl"]
    assert results["coco"]["AP"] == pytest.approx(1.0)


def test_results_are_what_detectron2_can_write(drawn_val):
    results = evaluate(drawn_val, *perfect_outputs(drawn_val))
    for name, value in [item for figures in results.values() for item in figures.items()]:
        assert type(value) is float
        assert "-" not in name  # detectron2 takes such entries out of its table
    assert json.loads(json.dumps(results)) == results


def test_half_of_the_faces_score_as_the_offline_tool_says(drawn_val, sample_dataset, tmp_path):
    inputs, outputs = perfect_outputs(drawn_val)
    for output in outputs:
        output["instances"] = output["instances"][::2]
    results = evaluate(drawn_val, inputs, outputs, str(tmp_path))
    ground_truth = load_ground_truth(sample_dataset / "wider_face/eval_tools/ground_truth")
    offline = evaluate_wider_face(read_detections(tmp_path / "wider_face_submission"), ground_truth)
    assert results["wider_face"] == offline.ap
    assert 0.3 < offline.ap["AP_hard"] < 0.7


def test_submission_holds_every_image_and_box(drawn_val, tmp_path):
    inputs, outputs = perfect_outputs(drawn_val)
    evaluate(drawn_val, inputs, outputs, str(tmp_path))
    written = read_detections(tmp_path / "wider_face_submission")
    assert written.keys() == {record["image_id"] for record in inputs}
    for record, output in zip(inputs, outputs, strict=True):
        rows = written[record["image_id"]]
        x1, y1, x2, y2 = output["instances"].pred_boxes.tensor.double().numpy().T
        np.testing.assert_allclose(rows[:, :4], np.stack([x1, y1, x2 - x1, y2 - y1], axis=1))
        np.testing.assert_array_equal(rows[:, 4], output["instances"].scores.double().numpy())


def test_image_without_detections_is_written_empty(drawn_val, tmp_path):
    inputs = DatasetCatalog.get(drawn_val)
    results = evaluate(drawn_val, inputs, [as_output([], []) for _ in inputs], str(tmp_path))
    written = read_detections(tmp_path / "wider_face_submission")
    assert {image: rows.shape for image, rows in written.items()} == {
        record["image_id"]: (0, 5) for record in inputs
    }
    assert results["wider_face"] == dict.fromkeys(SETTINGS, 0.0)


def test_reset_forgets_what_was_found_before(drawn_val):
    inputs, outputs = perfect_outputs(drawn_val)
    evaluator = WiderFaceEvaluator(drawn_val)
    evaluator.process(inputs, outputs)
    evaluator.reset()
    assert evaluator.evaluate()["wider_face"] == dict.fromkeys(SETTINGS, 0.0)


def test_own_data_is_scored_by_the_height_of_faces(own_data):
    inputs = DatasetCatalog.get(own_data)
    # Found: the faces of 60, 12 and 8 px and the ignored region; missed: the one of 35 px.
    found = [[0, 0, 50, 60], [200, 0, 210, 12], [300, 0, 307, 8], [0, 200, 90, 290]]
    outputs = [as_output(found, [0.9, 0.8, 0.7, 0.6]), as_output([], [])]
    results = evaluate(own_data, inputs, outputs)["wider_face"]
    # Easy asks for 60, Medium for 60 and 35, Hard for 60, 35 and 12 px; the rest is neutral.
    assert results == {
        "AP_easy": pytest.approx(1.0),
        "AP_medium": pytest.approx(1 / 2),
        "AP_hard": pytest.approx(2 / 3),
    }


def test_false_alarm_on_own_data_costs_precision(own_data):
    inputs = DatasetCatalog.get(own_data)
    outputs = [as_output([[500, 500, 560, 560], [0, 0, 50, 60]], [0.9, 0.8]), as_output([], [])]
    assert evaluate(own_data, inputs, outputs)["wider_face"]["AP_easy"] == pytest.approx(1 / 2)


def test_images_without_annotations_are_written_but_not_scored(
    register, sample_dataset, tmp_path, caplog
):
    root = sample_dataset / "wider_face"
    name = register(
        image_dir=root / "WIDER_test/images",
        annotation_file=root / "wider_face_split/wider_face_test_filelist.txt",
    )
    inputs = DatasetCatalog.get(name)
    outputs = [as_output([[1, 2, 30, 40]], [0.5]) for _ in inputs]
    with caplog.at_level(logging.WARNING, "df2s2_d2"):
        assert evaluate(name, inputs, outputs, str(tmp_path)) == {}
    assert f"{name} has no annotations" in caplog.text
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["counts"] == {"images": len(inputs), "detections": len(inputs)}
    written = read_detections(tmp_path / "wider_face_submission")
    assert written.keys() == {record["image_id"] for record in inputs}


@pytest.mark.parametrize("is_text", [False, True])
@pytest.mark.parametrize(
    ("paths", "names", "has_submission"),
    [
        (["e/a.jpg", "e/b.jpg"], ["e/a", "e/b"], True),
        (["./e/a.jpg"], ["e/a"], True),
        (["e\\a.jpg"], ["e/a"], True),
        (["e v/ü n ï.jpg"], ["e v/ü n ï"], True),
        (["a.jpg", "b.jpg"], ["a", "b"], False),
        (["x/e/a.jpg", "e/b.jpg"], ["x/e/a", "e/b"], False),
        (["../e/a.jpg"], ["../e/a"], False),
    ],
)
def test_images_of_any_name_are_scored_and_written(
    register, tmp_path, paths, names, has_submission, is_text
):
    photos = tmp_path / "photos"
    photos.mkdir()
    if is_text:
        file = tmp_path / "own.txt"
        file.write_text("".join(f"{path}\n1\n10 10 60 60\n" for path in paths))
    else:
        file = tmp_path / "own.json"
        images = [{"id": i, "file_name": path} for i, path in enumerate(paths)]
        faces = [{"image_id": i, "bbox": [10, 10, 60, 60]} for i in range(len(paths))]
        file.write_text(json.dumps({"images": images, "annotations": faces}))
    name = register(image_dir=photos, annotation_file=file, outside_images=True)
    output = tmp_path / "output/folder"
    results = evaluate(name, *perfect_outputs(name), str(output))
    assert results["wider_face"] == dict.fromkeys(SETTINGS, pytest.approx(1.0))
    written = "wider_face_submission" if has_submission else "coco_results.json"
    assert json.loads((output / "results.json").read_text())["detections"] == written
    assert set(read_detections(output / written)) == set(names)
    assert {p.name for p in output.iterdir()} == {written, "results.json", "precision_recall.png"}
    assert {p.name for p in tmp_path.iterdir()} == {file.name, "output", "photos"}


def test_names_are_scored_that_no_file_can_have(tmp_path):
    """As other programs may register them."""
    records = [
        {
            "image_id": image,
            "file_name": "a.jpg",
            "annotations": [{"bbox": [0, 0, 60, 60], "bbox_mode": BoxMode.XYWH_ABS}],
        }
        for image in ("/", "../..", "e/\0", "e/\ud800", 7)
    ]
    DatasetCatalog.register("evaluated_names", lambda: records)
    MetadataCatalog.get("evaluated_names").set(evaluator_type="wider_face")
    try:
        outputs = [as_output([[0, 0, 60, 60]], [0.9]) for _ in records]
        results = evaluate("evaluated_names", records, outputs, str(tmp_path / "output"))
    finally:
        DatasetCatalog.remove("evaluated_names")
        MetadataCatalog.remove("evaluated_names")
    assert results["wider_face"]["AP_hard"] == pytest.approx(1.0)
    assert len(read_detections(tmp_path / "output/coco_results.json")) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["output"]


@pytest.fixture
def register_coco(tmp_path):
    """Function that registers a face of one image with detectron2's own function."""

    def register(*categories: str) -> str:
        content = {
            "images": [{"id": 7, "file_name": "a.jpg", "height": 100, "width": 100}],
            "annotations": [
                {"id": 1, "image_id": 7, "bbox": [10, 20, 60, 70], "category_id": 1, "iscrowd": 0}
            ],
            "categories": [{"id": i, "name": name} for i, name in enumerate(categories, 1)],
        }
        (tmp_path / "coco.json").write_text(json.dumps(content))
        register_coco_instances("evaluated_coco", {}, str(tmp_path / "coco.json"), "images")
        return "evaluated_coco"

    yield register
    DatasetCatalog.remove("evaluated_coco")
    MetadataCatalog.remove("evaluated_coco")


def test_data_registered_with_detectron2s_coco_reader_is_scored(register_coco, tmp_path):
    name = register_coco("face")
    evaluator = build_evaluator(name, str(tmp_path / "output"))
    evaluator.process(DatasetCatalog.get(name), [as_output([[10, 20, 70, 90]], [0.9])])
    assert evaluator.evaluate()["wider_face"] == dict.fromkeys(SETTINGS, pytest.approx(1.0))
    (result,) = json.loads((tmp_path / "output/coco_results.json").read_text())
    assert (result["image_id"], result["bbox"]) == (7, [10, 20, 60, 70])


def test_data_with_other_classes_beside_faces_is_refused(register_coco):
    name = register_coco("face", "car")
    with pytest.raises(ValueError, match="'evaluated_coco' has the classes face, car"):
        build_evaluator(name)


@pytest.mark.parametrize("state_sizes", [False, True])
def test_detectron2s_coco_evaluator_scores_own_data(register, tmp_path, state_sizes):
    Image.new("RGB", (300, 200)).save(tmp_path / "a.jpg")
    size = {"width": 300, "height": 200} if state_sizes else {}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", **size}],
        "annotations": [{"image_id": 1, "bbox": [10, 20, 60, 70]}],
    }
    (tmp_path / "own.json").write_text(json.dumps(content))
    name = register(image_dir=tmp_path, annotation_file=tmp_path / "own.json")
    evaluator = COCOEvaluator(name, output_dir=str(tmp_path / "output"))
    evaluator.reset()
    output = as_output([[10, 20, 70, 90]], [0.9])
    output["instances"].pred_classes = torch.zeros(1, dtype=torch.int64)
    evaluator.process(DatasetCatalog.get(name), [output])
    assert evaluator.evaluate()["bbox"]["AP50"] == pytest.approx(100)


def test_images_outside_the_official_lists_are_refused_at_the_start(register, sample_dataset):
    name = register(**official_files(sample_dataset, "train"))
    with pytest.raises(ValueError, match="of its 4 images.*are not in the lists in"):
        WiderFaceEvaluator(name)


def test_images_that_only_the_official_lists_have_are_warned_of(
    register, sample_dataset, tmp_path, caplog
):
    files = official_files(sample_dataset, "val")
    lines = files["annotation_file"].read_text().splitlines()
    (tmp_path / "one.txt").write_text("\n".join(lines[: 2 + max(int(lines[1]), 1)]))
    name = register(**files | {"annotation_file": tmp_path / "one.txt"})
    with caplog.at_level(logging.WARNING, "df2s2_d2"):
        WiderFaceEvaluator(name)
    assert f"{name} lacks 2 of the 3 images" in caplog.text


def test_missing_official_lists_are_told_before_anything_is_sought(register, sample_dataset):
    files = official_files(sample_dataset, "val")
    name = register(**files | {"ground_truth_dir": sample_dataset / "absent"})
    with pytest.raises(FileNotFoundError, match="absent/wider_face_val.mat not found"):
        WiderFaceEvaluator(name)


def test_data_without_a_face_to_be_found_is_warned_of(register, tmp_path, caplog):
    (tmp_path / "own.txt").write_text("a.jpg\n1\n0 0 5 5\n")
    with caplog.at_level(logging.WARNING, "df2s2_d2"):
        WiderFaceEvaluator(register(image_dir=tmp_path, annotation_file=tmp_path / "own.txt"))
    assert "has no face to be found, of at least 10 pixels" in caplog.text


@pytest.mark.parametrize("in_training", [True, False])
def test_figures_exist_also_if_files_cannot_be_written(drawn_val, tmp_path, caplog, in_training):
    (tmp_path / "file").touch()
    inputs, outputs = perfect_outputs(drawn_val)
    evaluator = WiderFaceEvaluator(drawn_val, str(tmp_path / "file/output"))
    evaluator.process(inputs, outputs)
    with caplog.at_level(logging.INFO, "df2s2_d2"):
        if in_training:
            with EventStorage():
                assert evaluator.evaluate()["wider_face"]["AP_hard"] == pytest.approx(1.0)
        else:
            with pytest.raises(OSError):
                evaluator.evaluate()
    assert "AP_hard 1.0000" in caplog.text
    sentence = f"Results of {drawn_val} cannot be written to {tmp_path}/file/output"
    assert caplog.text.count(sentence) == 1


def test_protocol_stands_beside_the_figures(drawn_val, caplog, tmp_path):
    inputs, outputs = perfect_outputs(drawn_val)
    protocol = Protocol("short side 800", nms_threshold=0.4, weights="iteration 39")
    evaluator = WiderFaceEvaluator(drawn_val, str(tmp_path), protocol)
    evaluator.process(inputs, outputs)
    with caplog.at_level(logging.INFO, "df2s2_d2"):
        results = evaluator.evaluate()
    line = "[short side 800, NMS 0.4, weights iteration 39]"
    assert "AP_hard 1.0000" in caplog.text and "COCO AP75 1.0000" in caplog.text
    assert line in caplog.text
    content = json.loads((tmp_path / "results.json").read_text())
    assert {name: content[name] for name in results} == results
    assert content["dataset"] == drawn_val
    assert content["protocol"]["nms_threshold"] == 0.4
    assert (content["counts"]["images"], content["counts"]["missing_files"]) == (3, 0)
    assert content["counts"]["detections"] == sum(len(o["instances"]) for o in outputs)
    assert read_protocol(tmp_path / "wider_face_submission") == protocol


def test_curves_are_drawn_and_shown_in_tensorboard_during_training(drawn_val, tmp_path):
    inputs, outputs = perfect_outputs(drawn_val)
    evaluator = WiderFaceEvaluator(drawn_val, str(tmp_path))
    evaluator.process(inputs, outputs)
    with EventStorage(start_iter=7) as storage:
        evaluator.evaluate()
        evaluator.evaluate()
    assert imread(tmp_path / "precision_recall.png")[..., :3].min() < 0.5
    (name, picture, iteration), _ = storage._vis_data
    assert (name, iteration) == (f"{drawn_val}/precision_recall", 7)
    assert picture.dtype == np.uint8 and picture.shape[0] == 3
    assert picture.min() < 100 and np.median(picture) == 255


def test_classes_that_are_no_faces_are_not_scored_as_faces(drawn_val):
    inputs, outputs = perfect_outputs(drawn_val)
    for output in outputs:
        output["instances"].pred_classes = torch.zeros(len(output["instances"]), dtype=torch.int64)
    assert evaluate(drawn_val, inputs, outputs)["wider_face"]["AP_hard"] == pytest.approx(1.0)
    outputs[1]["instances"].pred_classes[-1] = 56
    with pytest.raises(ValueError, match="classes other than 0.*such as 56.*NUM_CLASSES"):
        evaluate(drawn_val, inputs, outputs)


def test_an_image_without_its_name_is_told(drawn_val):
    inputs, outputs = perfect_outputs(drawn_val)
    nameless = {key: value for key, value in inputs[0].items() if key != "image_id"}
    with pytest.raises(ValueError, match=r"\.jpg comes without its image_id.*mapper"):
        evaluate(drawn_val, [nameless], outputs[:1])


def test_a_data_set_that_there_is_not_or_of_another_kind_is_told(drawn_val):
    with pytest.raises(ValueError, match="no data set 'nowhere' to evaluate on: register it"):
        WiderFaceEvaluator("nowhere")
    with pytest.raises(ValueError, match="has no folds of FDDB.*register_fddb"):
        FDDBEvaluator(drawn_val)
