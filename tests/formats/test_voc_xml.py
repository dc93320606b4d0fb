from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from df2s2_d2.formats.voc_xml import format_annotation, read_images

# As VOC's own files: the first pixel is 1, and the last one belongs to the box.
OFFICIAL = """<?xml version="1.0" encoding="utf-8"?>
<annotation>
	<folder>VOC2012</folder>
	<filename>2007_000027.png</filename>
	<size>
		<width>486</width>
		<height>500</height>
		<depth>3</depth>
	</size>
	<object>
		<name>face</name>
		<bndbox><xmax>20</xmax><xmin>1</xmin><ymax>50</ymax><ymin>11</ymin></bndbox>
		<difficult>1</difficult>
		<part><name>head</name><bndbox><xmin>3</xmin></bndbox></part>
	</object>
	<object><name>face</name>
		<bndbox><xmin>2.5</xmin><ymin>1</ymin><xmax>486</xmax><ymax>500</ymax></bndbox></object>
</annotation>
"""


@pytest.fixture
def save(tmp_path):
    def save(text: str | bytes, name: str = "Annotations/x/a.b.xml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path

    return save


def test_pixels_are_counted_from_one_in_both_ends(save):
    (image,) = read_images(save(OFFICIAL), Counter())
    assert (image.path, image.size) == ("x/a.b.png", (500, 486))
    np.testing.assert_array_equal(image.boxes, [[0, 10, 20, 40], [1.5, 0, 484.5, 500]])
    np.testing.assert_array_equal(image.ignored, [True, False])


def test_edges_are_counted_from_zero_if_that_is_said(save):
    (image,) = read_images(save(OFFICIAL), Counter(), origin=0)
    np.testing.assert_array_equal(image.boxes, [[1, 11, 19, 39], [2.5, 1, 483.5, 499]])


def test_boxes_that_begin_at_zero_are_warned_of(save, caplog):
    list(read_images(save(OFFICIAL), Counter()))
    assert not caplog.text
    folder = save(OFFICIAL.replace("<xmin>1<", "<xmin>0<"))
    list(read_images(folder, Counter(), origin=0))
    assert not caplog.text
    list(read_images(folder, Counter()))
    assert "add --voc-origin 0" in caplog.text


@pytest.mark.parametrize("origin", [0, 1])
def test_boxes_are_written_by_the_same_convention(origin):
    boxes, ignored = np.array([[0, 10, 20, 40.5]]), np.array([True])
    text = format_annotation("a & b/<c>.jpg", (50, 60), boxes, ignored, Counter(), origin=origin)
    root = ElementTree.fromstring(text)
    assert (root.findtext("folder"), root.findtext("filename")) == ("a & b", "<c>.jpg")
    (face,) = root.iter("object")
    sides = [face.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    assert sides == [str(origin), str(10 + origin), "20", "50.5"]
    assert (face.findtext("name"), face.findtext("difficult")) == ("face", "1")


def test_scores_are_written_apart_and_passed_over(save):
    boxes, ignored = np.array([[0.0, 10, 20, 40]]), np.array([False])
    scores = np.array([0.25])
    text = format_annotation("a.jpg", (50, 60), boxes, ignored, Counter(), scores=scores)
    assert ElementTree.fromstring(text).findtext("object/confidence") == "0.25"
    dropped: Counter[str] = Counter()
    (image,) = read_images(save(text), dropped)
    assert len(image.boxes) == 1 and dropped == {"scores": 1}


BOMB = (
    '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">'
    + "".join(f'<!ENTITY b{n + 1} "{f"&b{n or str()};" * 10}">' for n in range(9))
    + "]><annotation>&b9;</annotation>"
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
        '<!DOCTYPE annotation SYSTEM "http://localhost/a.dtd"><annotation/>',
    ],
)
def test_hostile_files_are_refused(save, text):
    with pytest.raises(ValueError, match=r"a\.b\.xml, line 1: it has a document type") as caught:
        list(read_images(save(text), Counter()))
    assert "\n" not in str(caught.value)


def test_deeply_nested_files_do_no_harm(save):
    depth = 100_000
    text = f"<annotation>{'<a>' * depth}{'</a>' * depth}</annotation>"
    (image,) = read_images(save(text), Counter())
    assert len(image.boxes) == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</annotation>", "", r"line 19, column 1: expected XML, found a fault in it"),
        ("utf-8", "klingon", "expected XML in UTF-8, found an encoding that cannot be read"),
        ("annotation>", "other>", "line 2: expected <annotation>; found '<other>'"),
        ("<xmin>1</xmin>", "", "line 12: expected <xmin> in pixels; found nothing"),
        ("<xmin>1<", "<xmin>one<", "line 12: expected <xmin> in pixels; found 'one'"),
        ("<xmin>1<", "<xmin>nan<", "line 12: expected <xmin> in pixels; found 'nan'"),
        ("<difficult>1", "<difficult>yes", "line 13: expected <difficult> of 0 or 1; found 'yes'"),
        ("<width>486", "<width>4.5", "line 6: expected <width> in pixels; found '4.5'"),
        ("bndbox", "box", "line 10: expected <xmin> in pixels; found nothing"),
    ],
)
def test_faults_are_named_with_their_line(save, old, new, message):
    text = OFFICIAL.replace(old, new)
    assert text != OFFICIAL
    with pytest.raises(ValueError, match=rf"x/a\.b\.xml(, |: ){message}"):
        list(read_images(save(text), Counter()))


def test_sizes_may_be_absent(save):
    text = OFFICIAL.replace("<width>486", "<width>0")
    assert next(read_images(save(text), Counter())).size is None


def test_folder_without_annotations_is_named(tmp_path):
    with pytest.raises(ValueError, match="holds no .xml: give the folder of annotations"):
        list(read_images(tmp_path, Counter()))


def test_one_file_is_read_alone(save):
    folder = save(OFFICIAL)
    save(OFFICIAL, "Annotations/x/c.xml")
    (image,) = read_images(folder / "Annotations/x/c.xml", Counter())
    assert image.path == "c.png"


def test_other_names_are_warned_of(save, caplog):
    list(read_images(save(OFFICIAL.replace("<name>face", "<name>car", 1)), Counter()))
    assert "taken as faces: 1 of category car, 1 of category face." in caplog.text
