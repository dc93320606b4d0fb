from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import strategies as st

from df2s2_d2.formats import voc_xml, yolo
from df2s2_d2.formats.annotated_image import MAX_COORDINATE
from df2s2_d2.formats.image_size_table import read_image_sizes
from df2s2_d2.formats.image_sizes import ImageSizes
from df2s2_d2.formats.yolo_layout import YoloLayout, find_layout
from tests.fuzzing.cases import mutated, noise, texts
from tests.fuzzing.fuzzing import ends_well, fuzz

LABELS = b"0 0.5 0.5 0.25 0.125\n1 0.1 0.2 0.1 0.1 0.9\n"
SIZES = b"image,width,height\na,450,300\n"
CLASSES = b"face\nperson\n"
DESCRIPTION = b"path: .\ntrain: ../images\nval: [images]\nnames:\n  0: face\n  1: person\nnc: 2\n"
BOMB = b"a: &a [x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (key, key, b", ".join([b"*%c" % (key - 1)] * 9)) for key in b"bcdefghijk"
)
MERGE_BOMB = b"a: &a {train: images}\n" + b"".join(
    b"%c: &%c {<<: [%s]}\n" % (key, key, b", ".join([b"*%c" % (key - 1)] * 9))
    for key in b"bcdefghijk"
)
ANNOTATION = (
    b'<?xml version="1.0" encoding="utf-8"?>\n<annotation><filename>a.png</filename>'
    b"<size><width>450</width><height>300</height><depth>3</depth></size>"
    b"<object><name>face</name><difficult>1</difficult><confidence>0.5</confidence>"
    b"<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30.5</xmax><ymax>40</ymax></bndbox></object>"
    b"<object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax>"
    b"</bndbox></object></annotation>\n"
)
NUMBERS = (b"-1", b"1e308", b"9" * 5000, b"nan", b"inf", b"0.5", b"1.00001", b"\xff", b"\0", b"\n")
YAML_TOKENS = (
    *(b"!!python/object/apply:os.getcwd []", b"&a ", b"*a", b"<<: ", b"[" * 2000),
    *(b"? ", b"path: /x", b"names: *a", b"train: ", b'"\\ud800"', b'"\\0"', b"../" * 900, b"\t"),
    *(b"x" * 400, b"2001-99-99", b"0x", b"0b2", b"9" * 5000, b"!!binary '='", b"images.txt"),
)
XML_TOKENS = (
    *(
        b'<!DOCTYPE a [<!ENTITY b "c">]>',
        b"&b;",
        b"&#0;",
        b"<annotation>",
        b"<object>",
        b"<a>" * 900,
    ),
    *(b"utf-7", b"idna", b"utf-16", b"utf-32", b"big5", b"ascii", b"hex", b"<bndbox>", b"]]>"),
    *(b"<![CDATA[", b"<!--", b"<?", b"</object>", b"\xef\xbb\xbf"),
)


def check(images) -> None:
    for image in images or ():
        assert image.boxes.shape == (len(image.ignored), 4)
        assert (np.abs(image.boxes) <= 2 * MAX_COORDINATE).all()
        assert image.size is None or min(image.size) > 0


@fuzz(texts() | mutated(LABELS, tokens=NUMBERS) | noise(LABELS[:20]))
def test_labels_of_yolo(folder, case):
    (folder / "sizes.csv").write_bytes(SIZES)
    (folder / "labels").mkdir(exist_ok=True)
    path = folder / "labels/a.txt"
    path.write_bytes(case)
    layout = YoloLayout(folder / "images", folder / "labels")
    sizes = ImageSizes(table=folder / "sizes.csv")
    check(ends_well(lambda: list(yolo.read_images(layout, sizes, Counter())), str(path)))


@fuzz(
    st.tuples(
        mutated(DESCRIPTION, BOMB, MERGE_BOMB, tokens=YAML_TOKENS)
        | st.just(BOMB + b"train: *k\nnames: {0: *k}\n")
        | st.just(MERGE_BOMB)
        | noise(b"train: "),
        st.sampled_from(("train", "val", "test", None)),
    )
)
def test_descriptions_of_yolo(folder, case):
    content, split = case
    for name in ("images", "labels"):
        (folder / name).mkdir(exist_ok=True)
    path = folder / "data.yaml"
    path.write_bytes(content)
    layout = ends_well(lambda: find_layout(path, split), str(path))
    if layout is not None:
        assert all(isinstance(name, str) for name in layout.class_names.values())


@fuzz(texts() | mutated(CLASSES, tokens=NUMBERS))
def test_classes_of_yolo(folder, case):
    (folder / "labels").mkdir(exist_ok=True)
    (folder / "classes.txt").write_bytes(case)
    layout = ends_well(lambda: find_layout(folder), str(folder))
    assert all(isinstance(name, str) and name for name in layout.class_names.values())


@fuzz(mutated(ANNOTATION, tokens=(*NUMBERS, *XML_TOKENS)) | noise(ANNOTATION[:60]))
def test_annotations_of_voc(folder, case):
    path = folder / "a.xml"
    path.write_bytes(case)
    check(ends_well(lambda: list(voc_xml.read_images(folder, Counter())), str(path)))


def test_cells_without_an_end(folder):
    """Longer than the limit of the csv module, which no variant of a short file reaches."""
    path = folder / "sizes.csv"
    path.write_bytes(SIZES + b'"' + b"x" * 200_000)
    assert ends_well(lambda: read_image_sizes(path), str(path)) is None
