from __future__ import annotations

import json

import numpy as np
from hypothesis import strategies as st

from df2s2_d2.evaluation.fddb import load_folds, read_image_sizes
from df2s2_d2.evaluation.wider_face.submission import read_image_names
from df2s2_d2.formats import coco_json, wider_face_text
from df2s2_d2.formats.annotated_image import MAX_COORDINATE
from df2s2_d2.formats.wider_face_detections import is_submission_name
from tests.fuzzing.cases import json_objects, json_values, mutated, noise, texts
from tests.fuzzing.fuzzing import ends_well, fuzz

WIDER_FACE = (
    b"e/a.jpg\n2\n449 330 122 149 0 0 0 0 0 0\n361 98 263 339 2 0 0 1 0 0\n"
    b"e/b.jpg\n0\n0 0 0 0 0 0 0 0 0 0\nf/c.jpg\n1\n1 2 3 4\n"
)
FILE_LIST = b"e/a.jpg\ne/b.jpg\nf/c.jpg\n"
FOLD = b"a/b/img_1\n2\n67.3 44.5 -1.47 105.2 87.2  1\n12 9 0 50 60 1\na/b/img_2\n0\n"
SIZES = b"image,width,height\na/b/img_1,450,300\na/b/img_2.jpg,3,4\n"
TOKENS = (b"\n", b" ", b"-1", b"1e308", b"9" * 5000, b"nan", b"\xef\xbb\xbf", b"\r", b"\0", b"0.5")

COCO = st.builds(
    lambda images, annotations, categories, others: (
        {"images": images, "annotations": annotations, "categories": categories} | others
    ),
    st.lists(
        json_objects(
            id=st.integers(0, 5),
            file_name=st.sampled_from(("a.jpg", "e/a.jpg", "b.png", "../c.jpg", "/d.jpg")),
            height=st.integers(0, 9) | st.none(),
            width=st.integers(0, 9) | st.none(),
        ),
        max_size=4,
    ),
    st.lists(
        json_objects(
            image_id=st.integers(0, 5),
            bbox=st.lists(st.floats(-9, 999) | st.integers(-9, 999), min_size=4, max_size=4),
            iscrowd=st.sampled_from((0, 1, "0", False)),
            category_id=st.integers(1, 2),
        ),
        max_size=5,
    ),
    st.lists(json_objects(id=st.integers(1, 2), name=st.just("face")), max_size=2),
    st.dictionaries(st.sampled_from(("images", "annotations", "info")), json_values, max_size=1),
)
RIGHT_COCO = json.dumps(
    {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 5, "width": 6}],
        "annotations": [{"image_id": 1, "bbox": [1, 2, 3, 4.5], "iscrowd": 0, "category_id": 1}],
        "categories": [{"id": 1, "name": "face"}],
    }
).encode()


def check_images(images) -> None:
    for image in images or ():
        if image.boxes is not None:
            assert image.boxes.shape == (len(image.boxes), 4)
            assert (np.abs(image.boxes) < MAX_COORDINATE).all()
            assert image.ignored.shape == image.boxes.shape[:1]


@fuzz(texts() | mutated(WIDER_FACE, FILE_LIST, tokens=TOKENS) | noise())
def test_annotation_texts(folder, case):
    path = folder / "faces.txt"
    path.write_bytes(case)
    check_images(ends_well(lambda: wider_face_text.read_images(str(path)), str(path)))


@fuzz(texts() | mutated(WIDER_FACE, FILE_LIST, tokens=TOKENS))
def test_lists_of_a_submission(folder, case):
    path = folder / "list.txt"
    path.write_bytes(case)
    names = ends_well(lambda: read_image_names(path), str(path))
    assert all(map(is_submission_name, names or ()))


@fuzz(
    st.builds(lambda value: json.dumps(value).encode(), COCO)
    | mutated(RIGHT_COCO, tokens=(*TOKENS, b"[" * 5000, b"null", b"true", b'"', b"{", b"]"))
)
def test_coco_json(folder, case):
    path = folder / "faces.json"
    path.write_bytes(case)
    check_images(ends_well(lambda: coco_json.read_images(str(path), "images"), str(path)))


@fuzz(texts() | mutated(FOLD, tokens=TOKENS) | noise(FOLD))
def test_folds(folder, case):
    path = folder / "FDDB-fold-01-ellipseList.txt"
    path.write_bytes(case)
    folds = ends_well(lambda: load_folds(folder), str(path)) or {}
    for ellipses in (ellipses for images in folds.values() for ellipses in images.values()):
        assert ellipses.shape[1:] == (5,) and np.isfinite(ellipses).all()
        assert (ellipses[:, :2] > 0).all()


@fuzz(texts() | mutated(SIZES, tokens=(*TOKENS, b'"', b",")))
def test_tables_of_image_sizes(folder, case):
    path = folder / "sizes.csv"
    path.write_bytes(case)
    sizes = ends_well(lambda: read_image_sizes(path), str(path)) or {}
    assert all(width > 0 and height > 0 for width, height in sizes.values())
