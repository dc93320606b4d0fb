from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.formats.annotated_image import AnnotatedImage
from df2s2_d2.formats.wider_face_text import (
    ATTRIBUTES,
    read_annotations,
    read_images,
)
from tests.formats.annotation_texts import WIDER_FACE_TEXT as TEXT


@pytest.fixture
def write(tmp_path):
    def write(text: str, encoding: str = "utf-8") -> str:
        path = tmp_path / "faces.txt"
        path.write_bytes(text.encode(encoding))
        return str(path)

    return write


def test_reads_every_box_as_it_stands(write):
    first, second, third = read_annotations(write(TEXT))
    assert first.path == "0--Parade/a.jpg"
    np.testing.assert_array_equal(first.boxes, [[10, 20, 30, 40], [1, 2, 0, 5], [-3, 4, 8.5, 9]])
    np.testing.assert_array_equal(first.ignored, [False, False, True])
    assert {name: values.tolist() for name, values in first.attributes.items()} == {
        "blur": [2, 0, 0],
        "expression": [1, 0, 0],
        "illumination": [0, 0, 1],
        "occlusion": [1, 0, 2],
        "pose": [0, 0, 1],
    }
    assert second.path == "1--Handshaking/b b.jpg"
    assert second.boxes.shape == (0, 4) and second.ignored.shape == (0,)
    assert all(values.shape == (0,) for values in second.attributes.values())
    np.testing.assert_array_equal(third.boxes, [[7, 8, -9, 10]])


@pytest.mark.parametrize(
    "variant",
    [
        TEXT.replace("\n", "\r\n"),
        TEXT.removesuffix("\n"),
        "\ufeff" + TEXT,
        "\n" + TEXT.replace("\n", " \n\n"),
        TEXT.replace("0\n0 0 0 0 0 0 0 0 0 0\n", "0\n"),
        TEXT.replace("0\n0 0 0 0 0 0 0 0 0 0\n", "0\n0 0 0 0\n"),
    ],
    ids=["CRLF", "no last newline", "BOM", "blank lines", "no dummy row", "short dummy row"],
)
def test_variants_of_the_text_read_the_same(write, variant):
    expected = read_annotations(write(TEXT))
    found = read_annotations(write(variant))
    assert [image.path for image in found] == [image.path for image in expected]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.boxes, b.boxes)
        np.testing.assert_array_equal(a.ignored, b.ignored)
        np.testing.assert_equal(a.attributes, b.attributes)


def test_dummy_row_may_end_the_file(write):
    (image,) = read_annotations(write("a.jpg\n0\n0 0 0 0 0 0 0 0 0 0"))
    assert len(image.boxes) == 0


def test_rows_of_boxes_alone_have_neutral_attributes(write):
    (image,) = read_annotations(write("a.jpg\n1\n1 2 3 4\n"))
    np.testing.assert_array_equal(image.boxes, [[1, 2, 3, 4]])
    np.testing.assert_array_equal(image.ignored, [False])
    np.testing.assert_equal(image.attributes, dict.fromkeys(set(ATTRIBUTES) - {"invalid"}, [0]))


@pytest.mark.parametrize(
    ("text", "line", "expected", "found"),
    [
        ("a.jpg\n1\n1 2 3 4\n5 6 7 8\n", 4, "the path of an image", "5 6 7 8"),
        ("a.jpg\n2\n1 2 3 4\nb.jpg\n0\n", 4, "a face of a.jpg (line 1)", "b.jpg"),
        ("a.jpg\nb.jpg\n1\n", 2, "the number of faces of a.jpg", "b.jpg"),
        ("a.jpg\n-1\n", 2, "the number of faces", "-1"),
        ("a.jpg\n1\n1 2 3 4 5\n", 3, "x y w h blur", "1 2 3 4 5"),
        ("a.jpg\n1\n1 2 x 4\n", 3, "x y w h blur", "1 2 x 4"),
        ("\na.jpg\n1\n1 nan 3 4\n", 4, "x y w h blur", "1 nan 3 4"),
        ("a.jpg\n1\n1 2 inf 4\n", 3, "x y w h blur", "1 2 inf 4"),
        ("a.jpg\n0\n1 2 3 4\n", 3, "zeros", "1 2 3 4"),
        ("a.jpg\n0\nb.jpg\n3\n1 2 3 4\n", 3, "3 faces, not 1", "the end of the file"),
        ("a.jpg\n0\nb.jpg\n", 3, "the number of faces", "the end of the file"),
        ("a.jpg\n1\n1 2 3e9 4\n", 3, "x y w h blur", "1 2 3e9 4"),
        ("a.jpg\n0\na.png\n0\n", 3, "a name that differs from that of line 1", "a.png"),
        ("e/a.jpg\n0\n./e/a.jpg\n0\n", 3, "a name that differs from that of line 1", "./e/a.jpg"),
    ],
)
def test_errors_name_file_line_expectation_and_finding(write, text, line, expected, found):
    path = write(text)
    with pytest.raises(ValueError) as error:
        read_annotations(path)
    assert str(error.value).startswith(f"{path}, line {line}: expected ")
    assert expected in str(error.value)
    assert found in str(error.value).split("; found ")[1]


def test_empty_and_binary_files_are_told_by_name(write):
    for text, encoding in (("\n \n", "utf-8"), ("Zürich.jpg\n0\n", "latin-1")):
        path = write(text, encoding)
        with pytest.raises(ValueError, match="expected .* found") as error:
            read_annotations(path)
        assert str(error.value).startswith(path)


def test_file_list(write):
    path = write("0--Parade/a.jpg\r\n\r\n1--Handshaking/b.jpg")
    assert read_images(path) == [
        AnnotatedImage("0--Parade/a.jpg", None),
        AnnotatedImage("1--Handshaking/b.jpg", None),
    ]


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("split", "num_images", "num_boxes", "num_degenerate", "num_invalid"),
    [("train", 12880, 159424, 31, 0), ("val", 3226, 39708, 11, 585)],
)
def test_official_annotations(
    shared_data, split, num_images, num_boxes, num_degenerate, num_invalid
):
    path = str(shared_data / f"official/wider_face/wider_face_split/wider_face_{split}_bbx_gt.txt")
    images = read_annotations(path)
    assert len(images) == num_images
    assert sum(len(image.boxes) for image in images) == num_boxes
    assert sum((image.boxes[:, 2:] <= 0).any(axis=1).sum() for image in images) == num_degenerate
    assert sum(image.ignored.sum() for image in images) == num_invalid


@pytest.mark.real_data
def test_official_crowds(shared_data):
    path = shared_data / "official/wider_face/wider_face_split/wider_face_val_bbx_gt.txt"
    images = {image.path: image for image in read_annotations(str(path))}
    assert max(len(image.boxes) for image in images.values()) == 709
    first = images["0--Parade/0_Parade_marchingband_1_465.jpg"]
    assert len(first.boxes) == 126
    np.testing.assert_array_equal(first.boxes[0], [345, 211, 4, 4])
    assert not first.ignored[0]
    assert {name: values[0] for name, values in first.attributes.items()} == {
        "blur": 2,
        "expression": 0,
        "illumination": 0,
        "occlusion": 2,
        "pose": 0,
    }


def test_each_box_knows_its_line_whatever_lines_are_blank(write):
    images = read_images(write("\na.jpg\n\n2\n1 2 3 4\n\n5 6 7 8\nb.jpg\n0\nc.jpg\n1\n1 2 3 4\n"))
    assert [image.places.tolist() for image in images] == [[5, 7], [], [12]]


@pytest.mark.parametrize(
    "line",
    [
        "e/a.jpg 1 449 330 570 478",
        "e/a.jpg 449,330,570,478,0 1,2,3,4,0",
        "e/a.PNG\t449 330 570 478",
    ],
)
@pytest.mark.parametrize("rest", ["", "e/b.jpg\n1\n1 2 3 4\n"])
def test_faces_behind_the_path_are_of_another_format(tmp_path, line, rest):
    path = tmp_path / "faces.txt"
    path.write_text(f"{line}\n{rest}")
    with pytest.raises(ValueError, match=r"faces\.txt, line 1: expected the path of an image al"):
        read_images(str(path))


def test_names_may_hold_numbers_behind_a_dot(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("e/a.jpg 2.jpg\ne/b 1 2 3.png\n")
    assert [image.path for image in read_images(str(path))] == ["e/a.jpg 2.jpg", "e/b 1 2 3.png"]


def test_a_number_of_faces_has_no_thousands_of_digits(tmp_path):
    path = tmp_path / "faces.txt"
    path.write_text(f"e/a.jpg\n{'9' * 5_000}\n1 2 3 4\n")
    with pytest.raises(ValueError, match=r"faces\.txt, line 2: expected the number of faces"):
        read_images(str(path))
