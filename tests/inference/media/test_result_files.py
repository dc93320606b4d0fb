from __future__ import annotations

import json
import os
import resource
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np
import pytest

from df2s2_d2.evaluation import read_detections
from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.result_files import ResultFiles, UnwritableResults
from df2s2_d2.inference.media.result_formats import file_per_frame
from df2s2_d2.inference.media.result_formats.listed import JsonResults
from df2s2_d2.inference.media.sources import Source, as_utf8
from tests.inference.media.result_writing import (
    FACES,
    FORMATS,
    image_frame,
    read_csv,
    read_json,
    save,
)
from tests.inference.media.scenes import instances, scene, video_frame


def test_json_lists_every_frame(tmp_path, found):
    save(tmp_path, found)
    image, empty, first, later = read_json(tmp_path / "detections.json")
    assert image == {
        "file": "/photos/b.png",
        "image": "photos/b",
        "width": 128,
        "height": 96,
        "faces": [
            {"box": [10.12, 20.0, 40.99, 60.5], "score": 0.987654},
            {"box": [0.33, 0.67, 7.0, 8.13], "score": 0.4},
        ],
    }
    assert (empty["file"], empty["faces"]) == ("/photos/a.jpg", [])
    assert (first["file"], first["frame"], first["time"]) == ("/videos/clip.avi", 0, 0.0)
    assert (later["frame"], later["time"]) == (12, 0.5)


def test_all_formats_hold_the_same_faces(tmp_path, found):
    save(tmp_path, found)
    expected = [
        (record["file"], record.get("frame"), *face["box"], face["score"])
        for record in read_json(tmp_path / "detections.json")
        for face in record["faces"]
    ]
    assert len(expected) == 4

    rows = read_csv(tmp_path / "detections.csv")
    sides = ("x1", "y1", "x2", "y2", "score")
    assert [
        (row["file"], int(row["frame"]) if row["frame"] else None, *(float(row[s]) for s in sides))
        for row in rows
    ] == expected
    assert {(row["width"], row["height"]) for row in rows} == {("128", "96")}

    images = {image["id"]: image for image in read_json(tmp_path / "coco_images.json")["images"]}
    coco = read_json(tmp_path / "coco.json")
    for result, face in zip(coco, expected, strict=True):
        image = images[result["image_id"]]
        assert (image["file_name"], image.get("frame")) == face[:2]
        x, y, width, height = result["bbox"]
        np.testing.assert_allclose([x, y, x + width, y + height], face[2:6], atol=1e-6)
        assert (result["category_id"], result["score"]) == (1, face[6])

    assert [json.loads(line) for line in (tmp_path / "detections.jsonl").open()] == read_json(
        tmp_path / "detections.json"
    )
    for folder, suffix in (("yolo/labels", ".txt"), ("voc/Annotations", ".xml")):
        names = {path.relative_to(tmp_path / folder) for path in (tmp_path / folder).rglob("*.*")}
        files = ("a", "b", "clip.mp4/000000", "clip.mp4/000012")
        assert names - {Path("clip.mp4")} == {Path(f"{name}{suffix}") for name in files}
    for number, name in enumerate(("b", "clip.mp4/000000", "clip.mp4/000012")):
        faces = expected[:2] if number == 0 else expected[number + 1 : number + 2]
        lines = (tmp_path / f"yolo/labels/{name}.txt").read_text().splitlines()
        shares = np.array([line.split() for line in lines], np.float64)
        sides = shares[:, 3:5] * [128, 96]
        lows = shares[:, 1:3] * [128, 96] - sides / 2
        rows = np.column_stack([lows, lows + sides, shares[:, 5]])
        np.testing.assert_allclose(rows, [face[2:] for face in faces], atol=1e-6)
        root = ElementTree.parse(tmp_path / f"voc/Annotations/{name}.xml").getroot()
        sides = ("bndbox/xmin", "bndbox/ymin", "bndbox/xmax", "bndbox/ymax", "confidence")
        rows = [[float(face.findtext(side)) for side in sides] for face in root.iter("object")]
        corners = np.array(rows) - [1, 1, 0, 0, 0]
        np.testing.assert_allclose(corners, [face[2:] for face in faces], atol=1e-6)
    assert (tmp_path / "yolo/labels/a.txt").read_text() == ""
    assert (tmp_path / "yolo/classes.txt").read_text() == "face\n"

    wider = read_detections(tmp_path / "wider")
    by_line = read_detections(tmp_path / "detections.jsonl")
    assert by_line.keys() == wider.keys()
    for name, faces in wider.items():
        np.testing.assert_allclose(by_line[name], faces, atol=1e-6)
    assert list(wider) == ["clip/000000", "clip/000012", "photos/a", "photos/b"]
    in_order = np.concatenate([wider[name] for name in ("photos/b", "clip/000000", "clip/000012")])
    corners = np.column_stack([in_order[:, :2], in_order[:, :2] + in_order[:, 2:4]])
    np.testing.assert_allclose(corners, [face[2:6] for face in expected], atol=1e-6)
    np.testing.assert_array_equal(in_order[:, 4], [face[6] for face in expected])
    assert len(wider["photos/a"]) == 0


def test_boxes_that_a_format_cannot_hold_are_told(tmp_path, caplog):
    boxes = [[10, 10, 20, 20], [5, 5, 5, 9], [200, 0, 210, 9], [-30, 0, 10, 9]]
    faces = instances(boxes, [0.9, 0.8, 0.7, 0.6])  # of an image of 128 x 96 pixels
    formats = ["json", "yolo", "voc"]
    results = ResultFiles(tmp_path, formats)
    results.start()
    results.add(image_frame("a.png"), faces)
    state = json.loads(json.dumps(results.state()))
    results.close()
    caplog.clear()
    with ResultFiles(tmp_path, formats, state=state) as results:
        results.add(image_frame("b.png"), faces)
    assert [len(image["faces"]) for image in read_json(tmp_path / "detections.json")] == [4, 4]
    assert len((tmp_path / "yolo/labels/b.txt").read_text().splitlines()) == 2
    assert (tmp_path / "voc/Annotations/b.xml").read_text().count("<object>") == 3
    assert sorted(caplog.messages) == [
        f"{tmp_path}/voc/Annotations leaves out 2 boxes without an area",
        f"{tmp_path}/yolo/labels leaves out 2 boxes without an area, 2 boxes outside the image, "
        "2 parts of boxes beyond the border",
    ]


def test_only_scores_above_the_threshold_are_written(tmp_path, found):
    with ResultFiles(tmp_path, ["csv"], score_threshold=0.5) as results:
        for frame, faces in found:
            results.add(frame, faces)
    assert results.num_faces == 2
    assert [row["score"] for row in read_csv(tmp_path / "detections.csv")] == ["0.987654"] * 2


def test_only_the_wanted_formats_are_written(tmp_path, found):
    save(tmp_path / "none", found, [])
    save(tmp_path / "csv", found, ["csv", "csv"])
    assert list((tmp_path / "none").iterdir()) == []
    assert [path.name for path in (tmp_path / "csv").iterdir()] == ["detections.csv"]


def test_earlier_results_are_replaced(tmp_path, found):
    save(tmp_path, found)
    save(tmp_path, found[1:2])
    assert len(read_json(tmp_path / "detections.json")) == 1
    assert read_json(tmp_path / "coco.json") == []
    assert read_csv(tmp_path / "detections.csv") == []


def test_files_are_whole_while_the_run_goes_on(tmp_path, found):
    results = ResultFiles(tmp_path, FORMATS)
    results.start()
    for number, (frame, faces) in enumerate(found, start=1):
        results.add(frame, faces)
        assert len(read_json(tmp_path / "detections.json")) == number
        assert len(read_json(tmp_path / "coco_images.json")["images"]) == number
        num_faces = len(read_json(tmp_path / "coco.json"))
        assert len(read_csv(tmp_path / "detections.csv")) == num_faces == results.num_faces
        assert len(list((tmp_path / "wider").rglob("*.txt"))) == number
    results.close()


def test_unsound_numbers_are_in_none_of_the_files(tmp_path):
    with ResultFiles(tmp_path, ["csv", "wider", "coco", "json"]) as results:
        results.add(image_frame("a.png"), FACES)
        with pytest.raises(ValueError, match="not finite"):
            results.add(image_frame("b.png"), instances([[0, 0, float("nan"), 1]], [0.5]))
    assert len(read_json(tmp_path / "detections.json")) == 1
    assert len(read_json(tmp_path / "coco_images.json")["images"]) == 1
    assert len(read_csv(tmp_path / "detections.csv")) == results.num_faces == 2
    assert list(read_detections(tmp_path / "wider")) == ["photos/a"]


@pytest.fixture
def synced(monkeypatch):
    """The paths that the disk was waited for, in this order."""
    paths = []
    fsync = os.fsync

    def record(descriptor):
        paths.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    return paths


def test_files_of_frames_and_then_their_folders_are_waited_for(tmp_path, found, synced):
    with ResultFiles(tmp_path, ["wider"]) as results:
        for frame, faces in found:
            results.add(frame, faces)
        assert synced == []
        results.sync()
        names = [str(path.relative_to(tmp_path)) for path in synced]
        files = ["photos/b", "photos/a", "clip/000000", "clip/000012"]
        assert names[:4] == [f"wider/{name}.txt" for name in files]
        assert sorted(names[4:]) == [".", "wider", "wider/clip", "wider/photos"]
        results.sync()
        assert len(synced) == 8


def test_names_that_are_kept_for_the_disk_are_bounded(tmp_path, synced, monkeypatch):
    monkeypatch.setattr(file_per_frame, "_MOST_UNSYNCED", 5)
    for is_resumable, expected in ((False, 0), (True, 10)):
        with ResultFiles(tmp_path, ["voc"], is_resumable=is_resumable) as results:
            for index in range(13):
                results.add(video_frame(index, 0.1 * index), FACES)
        assert sum(path.suffix == ".xml" for path in synced) == expected
        results.sync()
        assert sum(path.suffix == ".xml" for path in synced) == (13 if is_resumable else 0)


@pytest.fixture
def room():
    """Function that limits the size of the files that are written."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("name", ["json", "csv", "coco"])
def test_files_are_whole_after_there_was_no_more_room(tmp_path, room, name):
    results = ResultFiles(tmp_path, [name])
    results.start()
    room(1000)
    added = 0
    with pytest.raises(UnwritableResults, match=r"^The results end before /photos/\d+\.png: "):
        while added < 100:
            results.add(image_frame(f"{added}.png"), FACES)
            added += 1
    results.close()
    room(resource.RLIM_INFINITY)
    assert added > 1 and results.num_faces == 2 * added
    if name == "json":
        assert len(read_json(tmp_path / "detections.json")) == added
    elif name == "csv":
        rows = read_csv(tmp_path / "detections.csv")
        assert len(rows) == 2 * added and all(float(row["score"]) >= 0.4 for row in rows)
    else:
        assert len(read_json(tmp_path / "coco.json")) == 2 * added
        assert len(read_json(tmp_path / "coco_images.json")["images"]) >= added


def test_files_that_were_opened_are_closed_if_others_cannot_be(tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr(JsonResults, "close", lambda self: closed.append("json"))
    (tmp_path / "coco_images.json").mkdir()
    with pytest.raises(OSError, match="coco_images.json"):
        ResultFiles(tmp_path, ["json", "coco"])
    assert closed == ["json"]


@pytest.mark.parametrize(
    ("name", "taken"), [("coco", "coco_images.json"), ("csv", "detections.csv"), ("voc", "voc")]
)
def test_nothing_is_lost_if_a_file_cannot_be_opened(tmp_path, found, name, taken):
    save(tmp_path, found, [other for other in FORMATS if other != name])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    # A file where a folder is to be, and the other way round.
    (tmp_path / taken).touch() if name == "voc" else (tmp_path / taken).mkdir()
    with pytest.raises(OSError, match=taken), ResultFiles(tmp_path, FORMATS):
        pass
    after = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    assert after == before


# WIDER FACE


def test_event_of_an_image_is_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = [
        image_frame("0_Parade_1.jpg", "/data/images/0--Parade"),
        image_frame("x.jpg", "/data/images/9--Press"),
        image_frame("here.jpg", ""),
        image_frame("top.jpg", "/"),
    ]
    save(tmp_path, [(frame, FACES) for frame in frames], ["wider"])
    assert sorted(read_detections(tmp_path / "wider")) == sorted(
        ["0--Parade/0_Parade_1", "9--Press/x", f"{tmp_path.name}/here", "images/top"]
    )


def test_images_of_like_names_in_folders_of_like_names_are_kept_apart(tmp_path):
    frames = [image_frame("x.jpg", "/a/in"), image_frame("x.jpg", "/b/in"), image_frame("x.png")]
    save(tmp_path, [(frame, FACES) for frame in frames], ["wider"])
    assert sorted(read_detections(tmp_path / "wider")) == ["in/x", "in/x_2", "photos/x"]


SAME_NAMES = ["clip/000000.jpg", "clip.avi", "a/b.mp4", "a_b.mp4", "clip.mp4/000000.jpg"]


def same_names(folder: Path) -> list[Frame]:
    """An image or a first frame of each file; each has other faces."""
    sources = [Source(folder / name, PurePosixPath(name)) for name in SAME_NAMES]
    sources[1] = Source(sources[1].path, PurePosixPath("clip.mp4"))
    return [Frame(s, scene(), *((0, 0.0) if s.is_video else ())) for s in sources]


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1), slice(1, 4)])
@pytest.mark.parametrize("is_listed", [True, False])
def test_no_video_has_the_files_of_another_or_of_an_image(tmp_path, order, is_listed):
    frames = same_names(Path("/in"))
    sources = [frame.source for frame in frames] if is_listed else []
    boxes = [[number, 0, number + 9, 9] for number in range(len(frames))]
    found = [(frame, instances([box], [0.5])) for frame, box in zip(frames, boxes, strict=True)]
    save(tmp_path, found[order], sources=sources)
    by_event = read_detections(tmp_path / "wider")
    by_line = read_detections(tmp_path / "detections.jsonl")
    assert by_event.keys() == by_line.keys()
    for name, rows in by_event.items():
        np.testing.assert_array_equal(rows, by_line[name])
    expected = sorted(box[0] for box in boxes[order])
    assert sorted(rows[0, 0] for rows in by_event.values()) == expected
    labels = [path.read_text() for path in (tmp_path / "yolo/labels").rglob("*.txt")]
    assert len(set(labels)) == len(list((tmp_path / "voc").rglob("*.xml"))) == len(expected)
    if is_listed:
        names = ["clip/000000", "clip_2/000000", "a_b/000000", "a_b_2/000000", "clip.mp4/000000"]
        assert {name: rows[0, 0] for name, rows in by_event.items()} == {
            name: box[0] for name, box in zip(names[order], boxes[order], strict=True)
        }


def test_lines_name_an_image_as_its_file_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = [image_frame("x.jpg", ""), image_frame("x.png", ""), image_frame("top.jpg", "/")]
    save(tmp_path, [(frame, FACES) for frame in frames], ["wider", "json", "jsonl"])
    names = [f"{tmp_path.name}/x", f"{tmp_path.name}/x_2", "images/top"]
    assert list(read_detections(tmp_path / "detections.jsonl")) == names
    assert sorted(read_detections(tmp_path / "wider")) == sorted(names)
    assert [image["image"] for image in read_json(tmp_path / "detections.json")] == names


def test_video_of_any_name_has_an_event(tmp_path):
    frame = video_frame(3, 0.1, "a\\b.avi")
    save(tmp_path, [(frame, FACES)], ["wider"])
    assert list(read_detections(tmp_path / "wider")) == ["a_b/000003"]


def test_names_that_are_no_text_are_written(tmp_path):
    name = os.fsdecode(b"caf\xe9\\.jpg")
    save(tmp_path, [(image_frame(name), FACES)])
    assert list(read_detections(tmp_path / "wider")) == ["photos/caf\ufffd_"]
    assert read_json(tmp_path / "detections.json")[0]["file"] == f"/photos/{name}"
    assert b"/photos/caf\xe9\\.jpg," in (tmp_path / "detections.csv").read_bytes()


@pytest.mark.parametrize("name", ["東" * 60 + "/" + "京" * 60 + "/clip.mp4", "é" * 120 + ".png"])
def test_long_names_are_shortened_to_what_a_file_may_have(tmp_path, name):
    # Bytes that are not UTF-8 take three in a name that is.
    name = os.fsdecode(name.encode("latin-1")) if "é" in name else name
    frames = []
    for end in ("", "x"):
        path = PurePosixPath(name.replace("clip", f"clip{end}").replace(".png", f"{end}.png"))
        source = Source(Path("/in") / path, PurePosixPath(as_utf8(path)))
        frames.append(Frame(source, scene(), *((0, 0.0) if source.is_video else ())))
    save(tmp_path, [(frame, FACES) for frame in frames])
    by_event = read_detections(tmp_path / "wider")
    assert len(by_event) == 2 and all(len(rows) == 2 for rows in by_event.values())
    assert len(list((tmp_path / "voc").rglob("*.xml"))) == 2


def test_images_that_differ_in_their_endings_have_files_of_their_own(tmp_path):
    frames = [image_frame("x.jpg"), image_frame("x.png"), image_frame("x_2.png")]
    save(tmp_path, [(frame, FACES[:number]) for number, frame in enumerate(frames)], ["yolo"])
    lines = [
        len((tmp_path / f"yolo/labels/{name}.txt").read_text().splitlines())
        for name in ("x", "x_2", "x_2_2")
    ]
    assert lines == [0, 1, 2]
