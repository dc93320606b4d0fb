from __future__ import annotations

import json
import re
import shutil

import cv2
import numpy as np
import pytest

from df2s2_d2 import load_config
from df2s2_d2.cli.program import main
from df2s2_d2.data.sampling import repeat_factors
from df2s2_d2.dataset_check.annotated_dataset import open_datasets
from tests.dataset_check.faulty_datasets import photograph, write_images, write_wider_face
from tests.formats.fddb_files import save_folds
from tests.pages.html_outline import Outline
from tests.small_runs import registered, wider_face_files


@pytest.fixture
def faulty(tmp_path):
    """A data set with one fault of every kind of image, and some of boxes."""
    images = {f"e/{k}.jpg": photograph(k) for k in range(6)}
    images["e/copy.jpg"] = cv2.resize(images["e/0.jpg"], (80, 60), interpolation=cv2.INTER_AREA)
    images["f/unknown.jpg"] = photograph(9)
    write_images(tmp_path / "images", images)
    broken = tmp_path / "images/e/5.jpg"
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    faces = {name: [[20, 20, 30, 40]] for name in images if name != "f/unknown.jpg"}
    faces["e/1.jpg"] = [[20, 20, 30, 40], [20, 20, 30, 40], [5, 5, 0, 9]]
    faces["e/2.jpg"] = []
    faces["e/3.jpg"] = [[10, 10, 60, 60, 0, 0, 0, 1, 0, 0], [20, 20, 30, 40]]
    faces["e/absent.jpg"] = [[20, 20, 30, 40]]
    return write_wider_face(tmp_path / "faces.txt", faces)


def test_events_are_those_that_a_training_weighs(tmp_path):
    images = {name: photograph(k) for k, name in enumerate(("p/q/a.jpg", "p/b.jpg", "c.jpg"))}
    write_images(tmp_path / "images", images)
    faces = write_wider_face(tmp_path / "faces.txt", {x: [[20, 20, 30, 40]] for x in images})
    _, result, outline = run(f"{faces}={tmp_path}/images", tmp_path / "out")
    events = result["data_sets"][0]["statistics"]["by_event"]
    assert {event: counts["images"] for event, counts in events.items()} == {
        "p": 2,
        "(no folder)": 1,
    }
    assert set(events) <= set(outline.texts["th"] + outline.texts["td"])
    cfg = load_config()
    cfg.DATALOADER.SAMPLER_TRAIN = "WeightedTrainingSampler"
    cfg.DATASETS.TRAIN_EVENT_FACTOR = [["p", 9.0], ["(no folder)", 0.0]]
    records = [{"image_id": name.removesuffix(".jpg")} for name in images]
    assert repeat_factors(cfg, {"d": records}, seed=0).tolist() == [9, 9, 0]


def run(*arguments) -> tuple[int, dict, Outline]:
    """Exit code, and what check.json and check.html hold."""
    output = arguments[-1]
    code = main(["check", *map(str, arguments[:-1]), "--output", str(output)])
    document = (output / "check.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|src=\"(?!data:)|<link|<script[^>]", document)
    return code, json.loads((output / "check.json").read_text("utf-8")), Outline(document)


def test_every_fault_is_found_with_its_place(faulty, tmp_path, capsys):
    code, result, outline = run(f"{faulty}={tmp_path}/images", tmp_path / "out")
    assert code == 1 and result["errors"] == 2
    (data_set,) = result["data_sets"]
    found = [(f["kind"], f.get("image"), f.get("place")) for f in data_set["findings"]]
    assert sorted(found, key=str) == sorted(
        [
            ("missing_image", "e/absent", None),
            ("unreadable_image", "e/5", None),
            ("not_annotated", None, None),
            ("no_area", "e/1", "line 8"),
            ("duplicate_box", "e/1", "line 7"),
            ("in_ignored_region", "e/3", "line 14"),
        ],
        key=str,
    )
    by_kind = {finding["kind"]: finding for finding in data_set["findings"]}
    assert by_kind["not_annotated"]["file"] == f"{tmp_path}/images/f/unknown.jpg"
    assert by_kind["duplicate_box"]["reason"] == "IoU 1.00 with line 6"
    assert by_kind["no_area"]["box"] == [5, 5, 0, 9]
    assert "e/5.jpg cannot be read" in by_kind["unreadable_image"]["reason"]
    statistics = data_set["statistics"]
    assert statistics["images"] == 8 and statistics["readable_images"] == 6
    assert statistics["faces"] == 8 and statistics["ignored_regions"] == 1
    assert statistics["images_without_faces"] == 1
    assert statistics["face_size"]["median"] == pytest.approx(np.sqrt(1200), abs=1e-3)
    assert statistics["faces_by_size"] == {
        **dict.fromkeys(statistics["faces_by_size"], 0),
        "32–64 px": 8,
    }
    assert data_set["in_training"]["images"] == 6
    groups = result["near_duplicate_images"]
    assert [[one["image"] for one in group] for group in groups] == [["e/0", "e/copy"]]

    titles = outline.texts["h2"]
    for title in ("Annotated images that do not exist", "Boxes annotated twice"):
        assert title in titles
    alts = [image["alt"] for image in outline.attributes["img"]]
    assert "Boxes annotated twice: e/1" in alts and "Images that show the same" in alts
    printed = capsys.readouterr().out
    assert "1  ERROR annotated images that do not exist, such as e/absent" in printed
    assert "2 findings that a training stops for" in printed


def test_images_of_validation_in_training_are_told(tmp_path, capsys):
    for split, seeds in (("train", (1, 2, 3)), ("val", (4, 2))):
        images = {f"e/{split}{seed}.jpg": photograph(seed) for seed in seeds}
        write_images(tmp_path / "images", images)
        faces = {name: [[20, 20, 30, 40]] for name in images}
        write_wider_face(tmp_path / f"{split}.txt", faces)
    sets = [tmp_path / f"{split}.txt" for split in ("train", "val")]
    code, result, outline = run(*sets, "--images", tmp_path / "images", tmp_path / "out")
    assert code == 0
    # Neither's images are files that nobody annotated.
    assert [data_set["findings"] for data_set in result["data_sets"]] == [[], []]
    assert result["near_duplicate_images"] == [
        [{"data_set": "train", "image": "e/train2"}, {"data_set": "val", "image": "e/val2"}]
    ]
    assert "Images in several data sets" in outline.texts["h2"]
    assert "2 in 1 groups, 1 across data sets" in capsys.readouterr().out
    code, result, _ = run(
        *sets, "--images", tmp_path / "images", "--headers-only", tmp_path / "out"
    )
    assert code == 0 and result["near_duplicate_images"] is None


def test_sizes_other_than_annotated_and_no_face_at_all_stop_a_training(tmp_path):
    write_images(tmp_path, {"a.jpg": photograph(1), "b.jpg": photograph(2)})
    images = [
        {"id": 1, "file_name": "a.jpg", "width": 120, "height": 160},  # as before EXIF rotation
        {"id": 2, "file_name": "b.jpg", "width": 161, "height": 120},
    ]
    annotations = [
        {"image_id": 1, "bbox": [0, 0, 0, 5]},
        {"image_id": 2, "bbox": [500, 0, 20, 20]},
    ]
    content = {"images": images, "annotations": annotations}
    (tmp_path / "faces.json").write_text(json.dumps(content))
    code, result, _ = run(f"{tmp_path}/faces.json={tmp_path}", tmp_path / "out")
    findings = {f["kind"]: f for f in result["data_sets"][0]["findings"]}
    assert code == 1 and result["errors"] == 2
    assert set(findings) == {"other_size", "no_face", "no_area", "outside_image"}
    assert findings["other_size"]["image"] == "b"
    assert findings["other_size"]["reason"] == ("it has 160 × 120 px, annotated are 161 × 120 px")
    assert findings["outside_image"]["place"] == "annotations[1]"
    assert "1 outside the image, 1 without an area" in findings["no_face"]["reason"]
    assert result["data_sets"][0]["in_training"] is None


def test_registered_sets_and_lists_without_faces(sample_dataset, tmp_path, capsys):
    with registered(checked=wider_face_files(sample_dataset, "train")):
        code, result, outline = run("checked", tmp_path / "out")
    assert code == 0
    anchors = result["data_sets"][0]["in_training"]
    assert anchors["images"] == result["data_sets"][0]["statistics"]["images"] == 4
    assert "As the network sees it in training" in outline.texts["h2"]
    split = sample_dataset / "wider_face/wider_face_split/wider_face_test_filelist.txt"
    images = sample_dataset / "wider_face/WIDER_test/images"
    code, result, _ = run(f"{split}={images}", "--examples", "0", tmp_path / "out")
    assert code == 0 and result["data_sets"][0]["in_training"] is None
    assert "images without annotations" in capsys.readouterr().out


def test_folds_and_lists_of_the_benchmarks_are_read(sample_dataset, tmp_path):
    save_folds(tmp_path / "folds", {"01": {"2002/big/a": [[20.0, 15.0, 1.5, 40.0, 50.0]]}})
    (folds,) = open_datasets([str(tmp_path / "folds")], str(tmp_path))
    assert folds.place(0) == "box 1 of 2002/big/a"
    assert folds.labels.sizes == pytest.approx([np.sqrt(30.05 * 39.94)], abs=0.1)
    base = sample_dataset / "wider_face"
    text = base / "wider_face_split/wider_face_val_bbx_gt.txt"
    lists = base / "eval_tools/ground_truth"
    folder = str(base / "WIDER_val/images")
    by_text, by_lists = open_datasets([str(text), str(lists)], folder)
    assert by_lists.image_ids == by_text.image_ids and by_lists.file_names == by_text.file_names
    np.testing.assert_array_equal(by_lists.labels.boxes, by_text.labels.boxes)
    same = tmp_path / "other" / text.name
    same.parent.mkdir()
    shutil.copy(text, same)
    names = [dataset.name for dataset in open_datasets([str(text), str(same)], folder)]
    assert names == [str(text), str(same)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing is neither a file or folder of annotations nor a registered"),
        (["{faces}"], "faces.txt: where are its images? Give "),
        (["{faces}=nowhere"], "the folder of images nowhere does not exist"),
        (["{faces}", "--examples", "-1"], "--examples must not be negative, got -1"),
    ],
)
def test_wrong_arguments_are_one_sentence(faulty, tmp_path, capsys, arguments, message):
    arguments = [argument.format(faces=faulty) for argument in arguments]
    try:
        code = main(["check", *arguments, "--output", str(tmp_path / "out")])
    except SystemExit as stop:
        code = stop.code
    assert code in (1, 2)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_config_that_does_not_fit_is_told_before_images_are_read(faulty, tmp_path, capsys):
    wrong = ["--opts", "MODEL.SHOT.IN_FEATURES", "['top']"]
    output = ["--output", str(tmp_path / "out")]
    assert main(["check", f"{faulty}={tmp_path}/images", *output, *wrong]) == 1
    assert "MODEL.SHOT.IN_FEATURES: expected names such as p2" in capsys.readouterr().err
    assert not any((tmp_path / "out").iterdir())
