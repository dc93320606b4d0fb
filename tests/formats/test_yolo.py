from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from df2s2_d2.formats.image_sizes import ImageSizes
from df2s2_d2.formats.yolo import format_labels, read_images
from df2s2_d2.formats.yolo_layout import find_layout

LABELS = "0 0.5 0.5 0.2 0.4\n\n0 0.25 0.75 0.5 0.5\n"
BOXES = [[80, 30, 40, 40], [0, 50, 100, 50]]  # of an image of 200 x 100 pixels


def save(root: Path, images: str = "images", labels: str = "labels") -> Path:
    """A data set of an image in a folder below, and one without labels."""
    for name in ("x/a.jpg", "b.png"):
        path = root / images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("1", (200, 100)).save(path, "png")
    (root / labels / "x").mkdir(parents=True, exist_ok=True)
    (root / labels / "x/a.txt").write_text(LABELS)
    return root


def read(path: Path, split: str | None = None, images: Path | None = None):
    layout = find_layout(path, split, images)
    dropped: Counter[str] = Counter()
    sizes = ImageSizes(layout.images if layout.images.is_dir() else None)
    return list(read_images(layout, sizes, dropped)), +dropped


def check(found) -> None:
    (empty, labelled), dropped = found
    assert (empty.path, len(empty.boxes), labelled.path) == ("b.png", 0, "x/a.jpg")
    np.testing.assert_array_equal(labelled.boxes, BOXES)
    assert labelled.size == (100, 200) and not dropped


@pytest.mark.parametrize("given", [".", "labels", "images"])
def test_labels_are_found_from_any_of_the_folders(tmp_path, given):
    check(read(save(tmp_path / "faces") / given))


def test_links_are_followed_but_not_round_and_round(tmp_path):
    root = save(tmp_path / "faces")
    elsewhere = root / "images/x"
    elsewhere.rename(tmp_path / "photographs")
    elsewhere.symlink_to(tmp_path / "photographs")
    (tmp_path / "photographs/back").symlink_to(root / "images")
    (root / "images/around").symlink_to(root)
    (root / "labels/around").symlink_to(root / "labels")
    check(read(root))


def test_splits_lie_above_or_below_the_folders(tmp_path):
    check(read(save(tmp_path, "images/val", "labels/val") / "labels/val"))
    check(read(save(tmp_path / "r", "val/images", "val/labels") / "val/images"))


def test_labels_may_lie_beside_the_images_or_apart(tmp_path):
    check(read(save(tmp_path / "beside", "", "") / "."))
    root = save(tmp_path / "apart", "photographs")
    with pytest.raises(ValueError, match="size of x/a.jpg is not known"):
        read(root)
    check(read(root, images=root / "photographs"))


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("train: images/train\nval: images/val\nnames: [face]", "val"),
        ("val: images/val", None),
        ("val: images/val/", "val"),
        ("path: .\nval: [images/val]\nnames:\n  0: face\n", None),
        ("val: ../images/val\ntrain: ../images/val", None),  # as Roboflow writes it
    ],
)
def test_description_names_the_images_of_a_split(tmp_path, text, split):
    save(tmp_path / "d", "images/val", "labels/val")
    (tmp_path / "d/data.yaml").write_text(text)
    check(read(tmp_path / "d/data.yaml", split))
    check(read(tmp_path / "d", split))


@pytest.mark.parametrize(
    ("text", "split", "message"),
    [
        ("train: images\nval: other", None, "data.yaml names train, val: give one of them by"),
        ("train: images", "test", "data.yaml names train: give one of them by --split"),
        ("names: [face]", None, "data.yaml names no split: give one"),
        ("train: a.txt", None, "data.yaml: expected one folder of images .* found 'a.txt'"),
        ("train: [a, b]", None, "data.yaml: expected one folder of images"),
        ("- a", None, "data.yaml: expected keys such as train"),
        ("a: [", None, "data.yaml is no YAML"),
        ("train: !!python/object/apply:os.getcwd []", None, "data.yaml is no YAML"),
    ],
)
def test_descriptions_that_are_unclear_are_refused(tmp_path, text, split, message):
    save(tmp_path)
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read(tmp_path, split)


@pytest.mark.parametrize(
    "line",
    [
        "0 0.5 0.5 0.2",
        "0 0.5 0.5 0.2 x",
        "0 0.5 0.5 0.2 1.2",
        "0 0.5 -0.5 0.2 0.2",
        "0 0.5 nan 0.2 0.2",
        "0.5 0.5 0.5 0.2 0.2",
        "0 120 40 30 30",
        "0 0.1 0.1 0.2 0.1 0.2 0.2",
    ],
)
def test_lines_that_are_no_labels_are_named(tmp_path, line):
    save(tmp_path)
    (tmp_path / "labels/x/a.txt").write_text(f"{LABELS}{line}\n")
    with pytest.raises(ValueError, match=r"x/a\.txt, line 4: expected 'class x y width height'"):
        read(tmp_path)


def test_scores_and_labels_without_images_are_counted(tmp_path):
    save(tmp_path)
    (tmp_path / "labels/x/a.txt").write_text("0 0.5 0.5 0.2 0.4 0.9\n")
    (tmp_path / "labels/c.txt").write_text("")
    images, dropped = read(tmp_path)
    np.testing.assert_array_equal(images[1].boxes, BOXES[:1])
    assert dropped == {"scores": 1, "files of labels without an image": 1}


def test_other_classes_are_warned_of(tmp_path, caplog):
    save(tmp_path)
    (tmp_path / "classes.txt").write_text("face\ncar\n")
    read(tmp_path)
    assert not caplog.text
    (tmp_path / "labels/x/a.txt").write_text("1 0.5 0.5 0.2 0.4\n")
    images, _ = read(tmp_path)
    assert len(images[1].boxes) == 1
    assert "taken as faces: 1 of category 1 (car)." in caplog.text


def test_images_that_share_labels_are_refused(tmp_path):
    save(tmp_path)
    Image.new("1", (4, 4)).save(tmp_path / "images/b.jpg")
    with pytest.raises(ValueError, match="b.png and .*b.jpg share one file of labels"):
        read(tmp_path)


def test_labels_of_other_images_are_refused(tmp_path):
    save(tmp_path)
    (tmp_path / "labels/x/a.txt").rename(tmp_path / "labels/c.txt")
    with pytest.raises(ValueError, match="has no labels of the images in"):
        read(tmp_path)


def test_boxes_are_written_as_shares():
    dropped: Counter[str] = Counter()
    text = format_labels(np.array(BOXES, np.float64), (100, 200), dropped)
    numbers = [[float(field) for field in line.split()] for line in text.splitlines()]
    assert numbers == [[float(f) for f in line.split()] for line in LABELS.split("\n") if line]
    scored = format_labels(np.array(BOXES, np.float64), (100, 200), dropped, np.array([0.5, 0.25]))
    assert [line.split()[-1] for line in scored.splitlines()] == ["0.5", "0.25"]
    assert not +dropped


def test_pixels_come_back_from_large_images(tmp_path):
    save(tmp_path)
    size = (65_000, 64_999)
    boxes = np.array([[12_345.67891, 3, 40_000.12345, 1], [1 / 3, 2 / 3, 0.5, 0.25]])
    (tmp_path / "labels/x/a.txt").write_text(format_labels(boxes, size, Counter()))
    (tmp_path / "sizes.csv").write_text(f"image,width,height\nx/a,{size[1]},{size[0]}\nb,1,1\n")
    layout = find_layout(tmp_path)
    sizes = ImageSizes(None, tmp_path / "sizes.csv")
    _, image = read_images(layout, sizes, Counter())
    np.testing.assert_array_equal(image.boxes, boxes.round(5))
