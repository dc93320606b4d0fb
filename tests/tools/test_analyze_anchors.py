from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from analyze_anchors import add_image_sizes, load_records, main, to_table
from anchor_statistics import (
    AnchorStatistics,
    BoxesOnly,
    analyze,
    augment,
    build_anchors,
    count_matches,
)
from detectron2.data import transforms as T
from detectron2.structures import Boxes, pairwise_iou
from PIL import Image

from df2s2_d2 import load_config
from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.data.datasets import load_wider_face

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = str(REPOSITORY / "configs/DF2S2/Base-DF2S2.yaml")
# One square anchor a cell, 4 strides wide, and images as they are.
PLAIN = {
    "MODEL.SHOT.ANCHORS.OCTAVES": [1.0],
    "MODEL.SHOT.ANCHORS.ASPECT_RATIOS": [1.0],
    "MODEL.SHOT.MATCHING.IOU_THRESHOLDS": [0.4, 0.4],
    "INPUT.CROP.ENABLED": False,
    "INPUT.RANDOM_FLIP": "none",
    "INPUT.RESIZE_SQUARE_TRAIN": 128,
}


def make_config(overrides: dict | None = None):
    settings = PLAIN | (overrides or {})
    return load_config(CONFIG, [part for pair in settings.items() for part in pair])


def record(*boxes: list[float], size: tuple[int, int] = (128, 128)) -> dict:
    annotations = [{"bbox": box, "bbox_mode": 0, "iscrowd": 0} for box in boxes]
    return {"height": size[0], "width": size[1], "annotations": annotations}


@pytest.fixture
def run_script(monkeypatch, capsys):
    """Function that runs the script in this process; gives its exit status and both outputs."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["analyze_anchors.py", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return run


def test_hand_computed_counts():
    # Anchors of 16 stand at 2, 6, 10, ... Moved by d in one direction, one overlaps a face on its
    # place by (16 - d) / (16 + d): 0.6 for d = 4, 0.33 for d = 8; moved by 4 in both directions,
    # by 12² / (2 × 16² - 12²) = 0.39. So the face on an anchor has 5.
    on_an_anchor = [58 - 8, 58 - 8, 58 + 8, 58 + 8]
    # Halfway between four: each overlaps by 14² / (2 × 16² - 14²) = 0.62; the next eight, moved
    # by (2, 6), by 14 × 10 / (2 × 16² - 14 × 10) = 0.38.
    between = [20 - 8, 100 - 8, 20 + 8, 100 + 8]
    # 4 x 4, smaller than all: the anchors of 16 that contain it, moved by up to 6 from (102, 18),
    # fit equally well: 3 x 3.
    tiny = [102 - 2, 18 - 2, 102 + 2, 18 + 2]
    faces = [on_an_anchor, between, tiny]
    generator, matcher = build_anchors(make_config())
    images = [(np.array(faces), (128, 128)), (np.zeros((0, 4)), (128, 128))]
    assert count_matches(generator, matcher, images).tolist() == [5, 4, 9]

    statistics = analyze(make_config(), [record(*faces), record()])
    assert statistics.num_images == 2
    assert statistics.counts.tolist() == [5, 4, 9]
    np.testing.assert_allclose(statistics.face_sizes, [16, 16, 4])
    np.testing.assert_allclose(statistics.octaves_to_anchor, [0, 0, -2])
    summary = statistics.summary()
    assert summary["all"] == {
        "faces": 3,
        "mean_anchors": 6.0,
        "share_near": 2 / 3,
        "shares_by_count": {"0": 0, "1": 0, "2-4": 1 / 3, "5-9": 2 / 3, "10+": 0},
    }
    rows = {row["size"]: (row["faces"], row["mean_anchors"]) for row in summary["by_size"]}
    assert (rows["0-8"], rows["8-16"], rows["16-32"]) == ((1, 9.0), (0, None), (2, 4.5))
    assert summary["mean_of_sizes"] == 6.75
    assert summary["faces_by_count"] == [0, 0, 0, 0, 1, 1, 0, 0, 0, 1]


def test_counts_of_many_faces_equal_those_of_the_dense_matrix():
    rng = np.random.default_rng(0)
    cfg = make_config({"MODEL.SHOT.MATCHING.ALLOW_LOW_QUALITY_MATCHES": False})
    generator, matcher = build_anchors(cfg)
    images = []
    for _ in range(40):
        centers, sizes = rng.uniform(10, 118, (6, 2)), rng.uniform(5, 60, (6, 2))
        boxes = np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=1)
        images.append((boxes.clip(0, 128).astype(np.float32), (128, 128)))
    grids = generator.grids([(-(-128 // stride),) * 2 for stride in generator.strides])
    anchors = Boxes(torch.cat([grid.boxes() for grid in grids]))
    expected = []
    for boxes, _ in images:
        ious = pairwise_iou(Boxes(boxes), anchors).numpy()
        owners = np.where(ious.max(axis=0) >= 0.4, ious.argmax(axis=0), -1)
        expected += [(owners == face).sum() for face in range(len(boxes))]
    assert count_matches(generator, matcher, images).tolist() == expected


def test_boxes_move_as_they_do_with_images(sample_dataset):
    root = sample_dataset / "wider_face"
    records = load_wider_face(
        str(root / "WIDER_train/images"),
        str(root / "wider_face_split/wider_face_train_bbx_gt.txt"),
    )
    add_image_sizes(records, None)
    cfg = make_config(
        {
            "INPUT.CROP.ENABLED": True,
            "INPUT.RANDOM_FLIP": "horizontal",
            "INPUT.ANCHOR_SAMPLING.ENABLED": True,
            "INPUT.ANCHOR_SAMPLING.PROBABILITY": 0.5,
            "INPUT.PHOTOMETRIC_DISTORTION": False,
        }
    )
    mapper = FaceDatasetMapper(cfg, is_train=True)
    np.random.seed(0)
    with_images = [mapper(record) for record in records * 3]
    np.random.seed(0)
    for expected, (faces, size) in zip(with_images, augment(cfg, records * 3), strict=True):
        assert expected["instances"].image_size == size
        np.testing.assert_allclose(expected["instances"].gt_boxes.tensor.numpy(), faces)


def test_the_stand_in_follows_sizes_without_pixels():
    inputs = BoxesOnly((40_000, 30_000), np.array([[0.0, 0, 300, 400]]))
    T.AugmentationList([T.CropTransform(0, 0, 3000, 2000), T.ResizeShortestEdge(100, 1000)])(inputs)
    assert inputs.image_size == (100, 150) and inputs.image.shape == (100, 150, 3)
    np.testing.assert_allclose(inputs.boxes, [[0, 0, 15, 20]])


def test_images_of_different_sizes_count_their_own_anchors():
    cfg = make_config({"INPUT.RESIZE_SQUARE_TRAIN": 0, "INPUT.MIN_SIZE_TRAIN": (64,)})
    face = [26 - 8, 26 - 8, 26 + 8, 26 + 8]
    records = [record(face, size=(64, 64)), record(face, size=(64, 200))]
    assert analyze(cfg, records).counts.tolist() == [5, 5]


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    """Annotations of three images, in two of which there are faces, and their sizes."""
    annotations, sizes = tmp_path / "faces.txt", tmp_path / "sizes.csv"
    annotations.write_text(
        "a/1.jpg\n2\n50 50 16 16\n12 92 16 16\na/2.jpg\n1\n100 16 4 4\na/3.jpg\n0\n0 0 0 0\n"
    )
    sizes.write_text("image,width,height\na/1.jpg,128,128\na/2.jpg,128,128\na/3.jpg,128,128\n")
    return {"annotations": annotations, "sizes": sizes}


def test_script_compares_configs(run_script, files, tmp_path):
    overrides = [str(part) for pair in PLAIN.items() for part in pair]
    other = tmp_path / "no_low_quality.yaml"
    other.write_text(
        f"_BASE_: {CONFIG}\nMODEL: {{SHOT: {{MATCHING: {{ALLOW_LOW_QUALITY_MATCHES: False}}}}}}\n"
    )
    status, output, errors = run_script(
        *("--config-file", CONFIG, other, "--annotations", files["annotations"]),
        *("--image-sizes", files["sizes"], "--output", tmp_path / "out", "--opts", *overrides),
    )
    assert status == 0, errors
    lines = [line.split() for line in output.splitlines()]
    assert [line[1:3] for line in lines if line[:1] == ["all"]] == [["3", "6.00"], ["3", "3.00"]]
    summaries = json.loads((tmp_path / "out/anchors.json").read_text())
    assert [summaries[path]["all"]["mean_anchors"] for path in (CONFIG, str(other))] == [6, 3]
    assert summaries[CONFIG]["images"] == 3
    with Image.open(tmp_path / "out/anchors.png") as picture:
        assert picture.width > 1000 and len(picture.convert("RGB").getcolors(1 << 20)) > 10


def test_table_leaves_out_sizes_without_faces():
    statistics = AnchorStatistics(1, np.array([16.0]), np.array([16.0]), np.array([1500]))
    header, _, everything, size = to_table("name", statistics.summary()).splitlines()
    assert header == "name: 1 images, anchor sizes 16"
    assert everything.split()[1:] == size.split()[1:]
    assert everything.split() == ["all", "1", "1500.00", *["0.0%"] * 4, "100.0%", "100.0%"]


def test_sizes_come_from_headers_upright(tmp_path):
    (tmp_path / "a").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "a/1.jpg")
    Image.new("RGB", (30, 20)).save(tmp_path / "a/2.jpg", exif=exif)
    (tmp_path / "faces.txt").write_text("a/1.jpg\n0\na/2.jpg\n0\n")
    records = load_records(str(tmp_path / "faces.txt"), str(tmp_path))
    add_image_sizes(records, None)
    assert [(r["width"], r["height"]) for r in records] == [(30, 20), (20, 30)]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ("image,width,height\na/1.jpg,128,128\n", "The size of a/2 is not known.*--image-sizes"),
        ("image,width,height\na/1.jpg,128,x\n", "sizes.csv, line 2: expected .*'x'"),
        ("image,width,height\na/1.jpg,128,0\n", "sizes.csv, line 2: expected .*'0'"),
        ("name,w,h\na/1.jpg,128,128\n", "sizes.csv, line 2: expected the columns image"),
        ("image,width,height\na/1.jpg,128\n", "sizes.csv, line 2: expected"),
    ],
)
def test_sizes_that_are_missing_or_wrong_are_told(files, sizes, message):
    files["sizes"].write_text(sizes)
    records = load_records(str(files["annotations"]), "")
    with pytest.raises(ValueError, match=message):
        add_image_sizes(records, str(files["sizes"]))


def test_faces_and_levels_that_cannot_be_matched_are_told():
    with pytest.raises(ValueError, match="No face of the 2 images.*INPUT.MIN_FACE_SIZE"):
        analyze(make_config(), [record(), record([5, 5, 5.5, 5.5])])
    with pytest.raises(ValueError, match=r"IN_FEATURES: expected names such as p2.*\['top'\]"):
        build_anchors(make_config({"MODEL.SHOT.IN_FEATURES": ["top"]}))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config-file", "absent.yaml"], "absent.yaml"),
        (["--annotations", "absent.txt"], "No such file or directory: 'absent.txt'"),
        (["--annotations", "list.txt"], "list.txt lists images without faces"),
        (["--samples", "0"], "--samples: expected a number above 0; found 0"),
        (["--opts", "DATASETS.TRAIN", "('none',)"], "no data set that is registered, but 'none'"),
    ],
)
def test_errors_are_one_line(run_script, files, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("a/1.jpg\na/2.jpg\n")
    if arguments[0] != "--opts":
        arguments = ["--annotations", str(files["annotations"]), *arguments]
    status, _, errors = run_script("--config-file", CONFIG, *arguments)
    assert status == 1
    assert message in errors and len(errors.splitlines()) == 1


@pytest.mark.real_data
def test_improved_anchor_matching_on_the_official_annotations(run_script, shared_data, tmp_path):
    """The paper's mean with improved anchor matching is about 6.9."""
    folder = shared_data / "official/wider_face/wider_face_split"
    start = time.perf_counter()
    status, _, errors = run_script(
        *("--config-file", REPOSITORY / "configs/DSFD/DSFD_R101.yaml"),
        *("--annotations", folder / "wider_face_train_bbx_gt.txt"),
        *("--image-sizes", folder / "image_sizes.csv"),
        *("--output", tmp_path, "--samples", 1500),
    )
    elapsed = time.perf_counter() - start
    assert status == 0, errors
    (summary,) = json.loads((tmp_path / "anchors.json").read_text()).values()
    assert summary["images"] == 1500 and summary["all"]["faces"] > 5000
    assert abs(summary["all"]["mean_anchors"] - 6.9) < 0.25
    # Between 16 and 512 pixels a face matches as many anchors whatever its size.
    means = {row["size"]: row["mean_anchors"] for row in summary["by_size"]}
    for size in ("16-32", "32-64", "64-128", "128-256"):
        assert abs(means[size] - 7.9) < 0.3
    assert elapsed < 120
