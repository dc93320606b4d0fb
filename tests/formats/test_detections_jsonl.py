from __future__ import annotations

import json

import numpy as np
import pytest

from df2s2_d2.formats.detection_files import read_detections
from df2s2_d2.formats.detections_jsonl import format_line

FACES = np.array([[1, 2, 4, 8, 0.5], [0.25, 0, 1, 1, 0.125]])


def test_a_line_tells_all_of_an_image():
    assert json.loads(format_line("a/b.jpg", (10, 20), FACES[:1])) == {
        "file": "a/b.jpg",
        "width": 20,
        "height": 10,
        "faces": [{"box": [1, 2, 4, 8], "score": 0.5}],
    }
    frame = json.loads(format_line("c.mp4", (10, 20), FACES[:0], 12, 0.5))
    assert (frame["frame"], frame["time"], frame["faces"]) == (12, 0.5, [])
    named = json.loads(format_line("a.jpg", (10, 20), FACES[:0], image="b/a"))
    assert (named["file"], named["image"]) == ("a.jpg", "b/a")
    tracked = json.loads(format_line("c.mp4", (10, 20), FACES, 0, 0.0, track_ids=np.array([7, 0])))
    assert [face["track"] for face in tracked["faces"]] == [7, None]
    with pytest.raises(ValueError):
        format_line("a.jpg", (10, 20), FACES * np.nan)


def test_lines_are_read_by_the_names_of_events(tmp_path):
    path = tmp_path / "found.jsonl"
    lines = [
        format_line("data/0--Parade/a.b.jpg", (10, 20), FACES),
        "",
        format_line("x\\人.png", (10, 20), FACES[:0]),
        format_line("y/clip.mp4", (10, 20), FACES[1:], 7, 0.25),
        format_line("z.jpg", (10, 20), FACES, image="here/z", track_ids=np.array([1, 0])),
    ]
    path.write_text("\n".join(lines))
    found = read_detections(path)
    assert list(found) == ["0--Parade/a.b", "x/人", "clip/000007", "here/z"]
    np.testing.assert_array_equal(
        found["0--Parade/a.b"], [[1, 2, 3, 6, 0.5], [0.25, 0, 0.75, 1, 0.125]]
    )
    assert found["x/人"].shape == (0, 5)


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{}",
        '{"file": "a/b.jpg"}',
        '{"file": 3, "faces": []}',
        '{"file": "a/b.jpg", "image": 3, "faces": []}',
        '{"file": "a/b.jpg", "faces": [{"box": [1, 2, 3], "score": 1}]}',
        '{"file": "a/b.jpg", "faces": [{"box": [1, 2, 3, NaN], "score": 1}]}',
        '{"file": "a/b.jpg", "faces": [{"box": [1, 2, 3, 4]}]}',
        '{"file": "a/b.jpg", "faces": 3}',
        '{"file": "a/b.jpg", "faces": [{"box": "1234", "score": 1}]}',
        '{"file": "a/b.jpg", "faces": [{"box": [1, 2, 3, 4, 0.5, 1, 2, 3, 4], "score": 1}]}',
        '{"file": "a/b.jpg", "faces": [{"box": [1, 2, 3, true], "score": 1}]}',
        '{"file": "", "faces": []}',
        '{"file": "a/b.mp4", "frame": -1, "faces": []}',
        '{"file": "a/b.mp4", "frame": "1", "faces": []}',
    ],
)
def test_lines_of_another_kind_are_named(tmp_path, line):
    path = tmp_path / "found.jsonl"
    path.write_text(f"{format_line('a/a.jpg', (10, 20), FACES)}\n{line}\n")
    with pytest.raises(ValueError, match=r'found.jsonl, line 2: expected JSON with "file"'):
        read_detections(path)


@pytest.mark.parametrize(
    ("box", "expected"),
    [([9, 9, 3, 12], "a width and height of 0"), ([0, 0, 1e8, 1], "coordinates below 10,000,000")],
)
def test_boxes_that_are_none_are_told(tmp_path, box, expected):
    path = tmp_path / "found.jsonl"
    path.write_text(json.dumps({"file": "a/b.jpg", "faces": [{"box": box, "score": 1}]}))
    with pytest.raises(ValueError, match=f"found.jsonl, line 1: expected .*{expected}"):
        read_detections(path)


def test_sizes_are_as_decimal_as_corners(tmp_path):
    path = tmp_path / "found.jsonl"
    path.write_text('{"file": "e/a.jpg", "faces": [{"box": [1.1, 0.1, 26.44, 0.3], "score": 1}]}')
    ((rows,),) = [list(read_detections(path).values())]
    assert rows.tolist() == [[1.1, 0.1, 25.34, 0.2, 1.0]]


def test_lines_that_were_cut_short_and_doubles_are_told(tmp_path):
    path = tmp_path / "found.jsonl"
    line = format_line("a/a.jpg", (10, 20), FACES)
    path.write_text(f"{line}\n{line[:50]}")
    with pytest.raises(ValueError, match="line 2: .*; it is cut short: write it again"):
        read_detections(path)
    path.write_text(f"{line}\n{line}\n")
    with pytest.raises(ValueError, match="lines 1 and 2 are both about a/a; remove one"):
        read_detections(path)
