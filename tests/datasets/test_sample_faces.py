"""The drawn sample data set: official layout, reproducible, with measured truth."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import loadmat

DATASETS = Path(__file__).resolve().parents[2] / "datasets"
sys.path.insert(0, str(DATASETS))

from sample_faces.dataset import make_sample_dataset  # noqa: E402
from sample_faces.painter import Painter, Sprite, box_points  # noqa: E402
from sample_faces.scenes import Stage, draw_scene, measure  # noqa: E402
from sample_faces.style import sample_face_style  # noqa: E402

COLUMNS = ("blur", "expression", "illumination", "invalid", "occlusion", "pose")


def read_annotations(path: Path) -> dict[str, tuple[int, np.ndarray]]:
    """Count line and (N, 10) rows of every image, read strictly by the official format."""
    lines = path.read_text().splitlines()
    pictures, at = {}, 0
    while at < len(lines):
        count = int(lines[at + 1])
        rows = [list(map(int, line.split())) for line in lines[at + 2 : at + 2 + max(count, 1)]]
        pictures[lines[at]] = (count, np.array(rows))
        at += 2 + max(count, 1)
    return pictures


def digests(root: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A moderately small data set and its summary."""
    root = tmp_path_factory.mktemp("sample")
    summary = make_sample_dataset(root, num_train=25, num_val=60, num_test=2, crowd_faces=100)
    return root / "wider_face", summary


@pytest.fixture(scope="module")
def val(sample):
    """Count lines and rows of the validation split."""
    return read_annotations(sample[0] / "wider_face_split/wider_face_val_bbx_gt.txt")


def test_every_listed_image_exists_and_holds_its_boxes(sample):
    folder, summary = sample
    for split, images in (("train", 25), ("val", 60)):
        path = folder / f"wider_face_split/wider_face_{split}_bbx_gt.txt"
        pictures = read_annotations(path)
        assert len(pictures) == summary[split]["images"] == images
        assert sum(count for count, _ in pictures.values()) == summary[split]["faces"]
        for name, (count, rows) in pictures.items():
            image = cv2.imread(str(folder / f"WIDER_{split}/images" / name))
            assert image is not None, name
            assert rows.shape == (max(count, 1), 10)
            if count:
                assert rows[:, :2].min() >= 0 and rows[:, 2:4].min() >= 1
                assert (rows[:, 0] + rows[:, 2] <= image.shape[1]).all()
                assert (rows[:, 1] + rows[:, 3] <= image.shape[0]).all()
    names = (folder / "wider_face_split/wider_face_test_filelist.txt").read_text().splitlines()
    assert len(names) == 2
    assert all((folder / "WIDER_test/images" / name).is_file() for name in names)


def test_images_without_faces_have_one_line_of_zeros(val):
    empty = [rows for count, rows in val.values() if count == 0]
    assert len(empty) >= 2
    assert all(np.array_equal(rows, np.zeros((1, 10))) for rows in empty)


def test_attributes_vary_and_stay_in_range(val):
    rows = np.concatenate([rows for _, rows in val.values()])
    for name, top in zip(COLUMNS, (2, 1, 1, 1, 2, 1), strict=True):
        values = set(rows[:, 4 + COLUMNS.index(name)].tolist())
        assert values == set(range(top + 1)), name


def test_statistics_of_the_validation_split(sample, val):
    summary = sample[1]["val"]
    rows = np.concatenate([rows for count, rows in val.values() if count])
    hard = rows[(rows[:, 3] >= 8) & (rows[:, 7] == 0)]
    small = ((hard[:, 3] >= 8) & (hard[:, 3] <= 16)).mean()
    heavy = (hard[:, 8] == 2).mean()
    assert summary["hard_faces"] == len(hard)
    assert summary["small_share"] == pytest.approx(small) and small >= 0.3
    assert summary["occluded_share"] == pytest.approx(heavy) and heavy >= 0.25
    assert summary["distractors_per_face"] >= 1
    assert (hard[:, 3] >= 50).sum() >= 50  # enough for an Easy figure
    assert max(count for count, _ in val.values()) >= 90  # the crowd


@pytest.mark.parametrize(("setting", "lowest"), [("easy", 50), ("medium", 30), ("hard", 8)])
def test_ground_truth_lists_faces_by_height(sample, val, setting, lowest):
    truth = loadmat(sample[0] / f"eval_tools/ground_truth/wider_{setting}_val.mat")
    seen = 0
    for event, files, boxes, kept in zip(
        truth["event_list"],
        truth["file_list"],
        truth["face_bbx_list"],
        truth["gt_list"],
        strict=True,
    ):
        for file, box, keep in zip(files[0], boxes[0], kept[0], strict=True):
            _, rows = val[f"{event[0].item()}/{file[0].item()}.jpg"]
            assert np.array_equal(box[0], rows[:, :4])
            wanted = [
                number
                for number, row in enumerate(rows.tolist(), start=1)
                if row[3] >= lowest and row[7] == 0
            ]
            assert keep[0].shape == (len(wanted), 1)
            assert keep[0].ravel().tolist() == wanted
            seen += 1
    assert seen == len(val)


def test_ground_truth_has_the_structure_of_the_official_files(sample):
    for name in ("face", "easy", "medium", "hard"):
        truth = loadmat(sample[0] / f"eval_tools/ground_truth/wider_{name}_val.mat")
        lists = {f"{column}_label_list" for column in COLUMNS}
        lists |= {"event_list", "file_list", "face_bbx_list"}
        lists |= set() if name == "face" else {"gt_list"}
        assert {key for key in truth if not key.startswith("__")} == lists
        events = len(truth["event_list"])
        for key in lists:
            cells = truth[key]
            assert cells.shape == (events, 1) and cells.dtype == object, key
            if key == "event_list":
                assert cells[0, 0].shape == (1,)
                continue
            inner = cells[0, 0]
            assert inner.dtype == object and inner.shape[1] == 1, key
            leaf = inner[0, 0]
            assert leaf.shape == (1,) if key == "file_list" else leaf.ndim == 2, key


def test_the_same_seed_gives_the_same_files_whatever_the_workers(tmp_path):
    sizes = {"num_train": 3, "num_val": 6, "num_test": 1, "crowd_faces": 12, "max_faces": 8}
    make_sample_dataset(tmp_path / "one", **sizes, seed=5)
    make_sample_dataset(tmp_path / "two", **sizes, seed=5, workers=2)
    make_sample_dataset(tmp_path / "other", **sizes, seed=6)
    first = digests(tmp_path / "one")
    assert first == digests(tmp_path / "two")
    assert len(first) == 10 + 3 + 4 + 1  # images, texts, ground truth, manifest
    annotations = "wider_face/wider_face_split/wider_face_val_bbx_gt.txt"
    assert first[annotations] != digests(tmp_path / "other")[annotations]


def test_boxes_and_occlusion_agree_with_what_is_drawn():
    whole = seen = 0
    for seed in range(10):
        scene = draw_scene(np.random.default_rng(seed), (256, 320), "Park", 10)
        for number, (box, hidden) in enumerate(
            zip(scene.boxes, scene.hidden, strict=True), start=1
        ):
            rows, columns = np.nonzero(scene.owner == number)
            shown = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            x, y, w, h = box
            assert (shown[:2] >= (x, y)).all() and (shown[2:] <= (x + w, y + h)).all()
            if hidden == 0:
                assert shown.tolist() == [x, y, x + w, y + h]
                whole += 1
            seen += 1
        occlusion = np.digitize(scene.hidden, [0.01, 0.3 + 1e-12])
        assert np.array_equal(scene.labels[:, COLUMNS.index("occlusion")], occlusion)
        assert np.array_equal(scene.labels[:, COLUMNS.index("invalid")], scene.hidden > 0.6)
    assert seen >= 30 and whole >= 10


@pytest.mark.parametrize(
    ("covered", "occlusion", "invalid"), [(0, 0, 0), (8, 1, 0), (16, 2, 0), (24, 2, 0), (32, 2, 1)]
)
def test_hidden_share_of_a_square_behind_a_board(covered, occlusion, invalid):
    stage = Stage(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.int32), 1.0, 0.0)
    sprite = Sprite((32, 32), 39.6, (-1.5, -1.5, 1.5, 1.5))
    square = box_points(-1, -1, 1, 1)  # 12.2 to 51.8: 40 pixels more than half covered
    sprite.pen.polygon(square, (200, 150, 120))
    sprite.mark(square)
    region = sprite.paste(stage.image, stage.owner, 7)
    assert region.box == (12, 12, 52, 52) and region.area == 1600
    style = sample_face_style(np.random.default_rng(0))
    stage.faces.append((7, region, style, 0.0))
    if covered:
        board = Painter(stage.image, owner=stage.owner)
        board.box(-9, 5, 73, 12 + covered - 0.2, (10, 10, 10))
    scene = measure(stage, stage.image)
    # The edge of a filled polygon may take one more row.
    assert scene.hidden[0] == pytest.approx(covered / 40, abs=0.03)
    assert scene.boxes.tolist() == [[12, 12, 40, 40]]
    assert scene.labels[0, COLUMNS.index("occlusion")] == occlusion
    assert scene.labels[0, COLUMNS.index("invalid")] == invalid


def test_a_face_across_the_border_is_clipped_and_partly_hidden():
    stage = Stage(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.int32), 1.0, 0.0)
    sprite = Sprite((0, 32), 39.6, (-1.5, -1.5, 1.5, 1.5))
    sprite.mark(box_points(-1, -1, 1, 1))  # columns -19.8 to 19.8
    region = sprite.paste(stage.image, stage.owner, 1)
    stage.faces.append((1, region, sample_face_style(np.random.default_rng(0)), 0.0))
    scene = measure(stage, stage.image)
    assert scene.boxes.tolist() == [[0, 12, 20, 40]]
    assert scene.hidden[0] == pytest.approx(0.5)


def test_crowds_grow_their_image(tmp_path):
    summary = make_sample_dataset(tmp_path, 0, 1, 0, image_size=160, crowd_faces=150)
    assert summary["val"]["faces"] >= 140
    image = cv2.imread(str(next(tmp_path.rglob("*Crowd*.jpg"))))
    assert image.shape[1] > 160


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_val": -1}, "num_val is -1"),
        ({"num_train": 0, "num_val": 0, "num_test": 0}, "at least one image"),
        ({"image_size": 20}, "image_size is 20"),
        ({"max_faces": 0}, "max_faces is 0"),
        ({"crowd_faces": 0}, "crowd_faces is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_senseless_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_sample_dataset(tmp_path, **arguments)
    assert not (tmp_path / "wider_face").exists()


def test_existing_data_is_kept_unless_it_is_a_sample_to_overwrite(tmp_path):
    sizes = {"num_train": 0, "num_val": 1, "num_test": 0, "crowd_faces": 3}
    make_sample_dataset(tmp_path, **sizes)
    before = digests(tmp_path)
    with pytest.raises(FileExistsError, match="not empty"):
        make_sample_dataset(tmp_path, **sizes, seed=1)
    assert digests(tmp_path) == before
    make_sample_dataset(tmp_path, **sizes, seed=1, overwrite=True)
    assert digests(tmp_path) != before
    (tmp_path / "wider_face/sample_dataset.json").unlink()
    with pytest.raises(FileExistsError, match="was not drawn here"):
        make_sample_dataset(tmp_path, **sizes, overwrite=True)


def test_command_line(tmp_path):
    command = [sys.executable, str(DATASETS / "make_sample_dataset.py"), "--output", str(tmp_path)]
    options = ["--num-train", "2", "--num-val", "1", "--num-test", "0", "--crowd-faces", "5"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [
        ["train", "2", "images"],
        ["val", "1", "images"],
        ["test", "0", "images"],
    ]
    again = subprocess.run([*command, *options], capture_output=True, text=True, cwd=tmp_path)
    assert again.returncode == 2
    assert "is not empty" in again.stderr and "Traceback" not in again.stderr
