"""Faces of videos that are numbered, or stay hidden where no detector found them."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from df2s2_d2.inference.media import pictures
from df2s2_d2.inference.media.sources import find_sources
from df2s2_d2.inference.media.video_recorder import VideoRecorder
from tests.inference.media.runs import FACE, find, read_results
from tests.inference.media.scenes import (
    find_white,
    instances,
    moving_face,
    read_video,
    scene,
    write_image,
    write_video,
)

NUM_FRAMES = 30
HIDDEN = {"hide": "fill", "draws_boxes": False}


@pytest.fixture
def walk(tmp_path):
    """A face that moves through three seconds."""
    return write_video(tmp_path / "walk.avi", moving_face(NUM_FRAMES), codec="MJPG")


def finds_but(*missed: int, weak: bool = False):
    """Finds the face of :func:`moving_face`, but not in some frames, or there with a low score."""

    def predict(images):
        return [
            _miss(image, found) for image, found in zip(images, find_white(images), strict=True)
        ]

    def _miss(image, found):
        whole = found[found.scores > 0.5]
        if not len(whole):
            return found
        number = round((whole.pred_boxes.tensor[0, 0].item() - 10) / 2)
        if number not in missed:
            return found
        boxes = whole.pred_boxes.tensor if weak else []
        return instances(boxes, [0.15] * len(boxes), image.shape[:2])

    return predict


def frames_with_white(path) -> list[int]:
    """In which frames of a video something is as white as faces are."""
    return [i for i, frame in enumerate(read_video(path)[0]) if (frame.min(axis=2) > 220).sum() > 9]


def test_a_face_that_is_missed_for_a_while_stays_hidden(walk, tmp_path):
    missed = (0, 1, 2, 10, 14, 15, 16, 17, 18, 28, 29)
    find(walk, tmp_path / "shown", predict=finds_but(*missed), max_gap=0.0, **HIDDEN)
    assert frames_with_white(tmp_path / "shown/walk.mp4") == list(missed)
    finding = find(walk, tmp_path / "out", predict=finds_but(*missed), **HIDDEN)
    assert (finding.failures, finding.num_frames) == ([], NUM_FRAMES)
    assert frames_with_white(tmp_path / "out/walk.mp4") == []
    assert len(read_video(tmp_path / "out/walk.mp4")[0]) == NUM_FRAMES
    # What is held is hidden, not found.
    found = [bool(record["faces"]) for record in read_results(tmp_path / "out")]
    assert found == [number not in missed for number in range(NUM_FRAMES)]


def test_a_face_is_held_for_no_longer_than_the_longest_gap(walk, tmp_path):
    missed = range(8, 30)
    find(walk, tmp_path / "out", predict=finds_but(*missed), max_gap=0.55, **HIDDEN)
    assert frames_with_white(tmp_path / "out/walk.mp4") == list(range(13, 30))


def test_a_face_that_is_found_weakly_is_hidden_where_it_is(walk, tmp_path):
    predict = finds_but(*range(10, 30), weak=True)
    find(walk, tmp_path / "out", predict=predict, threshold=0.5, **HIDDEN)
    assert frames_with_white(tmp_path / "out/walk.mp4") == []


def test_the_other_pixels_of_a_hidden_video_are_shown(walk, tmp_path):
    find(walk, tmp_path / "out", predict=finds_but(12), **HIDDEN)
    frame = read_video(tmp_path / "out/walk.mp4")[0][12].astype(int)
    outside = np.ones(frame.shape[:2], bool)
    outside[22:62, 22:70] = False
    np.testing.assert_allclose(frame[outside], scene()[outside], atol=30)


def test_a_frame_that_the_detector_fails_in_is_hidden_as_a_whole(walk, tmp_path):
    def predict(images):
        if any(30 <= np.flatnonzero(image[40, :, 0] > 150)[0] <= 31 for image in images):
            raise RuntimeError("broken")
        return find_white(images)

    finding = find(walk, tmp_path / "out", predict=predict, **HIDDEN)
    (failure,) = finding.failures
    assert failure.startswith(f"{walk}, frame 10: ")
    frames, _ = read_video(tmp_path / "out/walk.mp4")
    assert len(frames) == NUM_FRAMES and frames_with_white(tmp_path / "out/walk.mp4") == []
    spread = [np.ptp(frame.astype(int), axis=(0, 1)).max() for frame in frames]
    assert [number for number, one in enumerate(spread) if one < 20] == [10]


def test_faces_of_images_are_not_held(tmp_path):
    for number, image in enumerate(moving_face(3)):
        write_image(tmp_path / f"in/{number}.png", image)
    find(tmp_path / "in", tmp_path / "out", predict=finds_but(1), has_tracks=True, **HIDDEN)
    assert (tmp_path / "out/1.png").read_bytes() and all(
        "track" not in face for record in read_results(tmp_path / "out") for face in record["faces"]
    )


@pytest.mark.parametrize("ending", ["interrupt", "window closed"])
def test_frames_that_wait_are_in_the_video_of_a_run_that_ends_early(walk, tmp_path, ending):
    calls = []

    def predict(images):
        calls.append(images)
        if ending == "interrupt" and len(calls) == 8:
            raise KeyboardInterrupt
        return find_white(images)

    def look(shown, **_) -> bool:
        for number, _ in enumerate(shown):
            if ending == "window closed" and number == 2:
                return False
        return True

    finding = find(walk, tmp_path / "out", predict=predict, follow=look, **HIDDEN)
    num_found = len(read_results(tmp_path / "out"))
    assert num_found == finding.num_frames and 12 < num_found < NUM_FRAMES
    assert len(read_video(tmp_path / "out/walk.mp4")[0]) == num_found
    assert frames_with_white(tmp_path / "out/walk.mp4") == []


def test_a_video_that_cannot_be_written_is_told_once_and_stops_no_other(
    walk, tmp_path, monkeypatch
):
    write = VideoRecorder.write

    def fail(self, picture, time=None):
        if self.path.stem == "walk" and time >= 0.5:
            raise OSError(f"{self.path} cannot be written")
        write(self, picture, time)

    monkeypatch.setattr(VideoRecorder, "write", fail)
    later = write_video(tmp_path / "z.avi", moving_face(5), codec="MJPG")
    finding = find(find_sources([str(walk), str(later)]), tmp_path / "out", **HIDDEN)
    assert finding.failures == [f"{tmp_path / 'out/walk.mp4'} cannot be written"]
    assert len(read_video(tmp_path / "out/z.mp4")[0]) == 5


def test_results_number_the_faces_of_each_video_from_one(walk, tmp_path):
    write_image(tmp_path / "a.png", scene(FACE))
    second = write_video(tmp_path / "second.avi", moving_face(4), codec="MJPG")
    inputs = find_sources([str(path) for path in (tmp_path / "a.png", walk, second)])
    formats = ("json", "jsonl", "csv", "wider", "coco")
    predict = finds_but(2, 10, 11, 12)
    find(inputs, tmp_path / "out", predict=predict, formats=formats, has_tracks=True)

    image, *frames = read_results(tmp_path / "out")
    assert [list(face) for face in image["faces"]] == [["box", "score"]] * 2
    tracks = [[face["track"] for face in record["faces"]] for record in frames]
    expected = [[] if number in (2, 10, 11, 12) else [1, None] for number in range(NUM_FRAMES)]
    assert tracks == expected + [[1, None], [1, None], [], [1, None]]
    lines = (tmp_path / "out/detections.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [image, *frames]
    with (tmp_path / "out/detections.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["track"] for row in rows[:2]] == ["", ""]
    numbers = [str(track or "") for one in tracks for track in one]
    assert [row["track"] for row in rows[2:]] == numbers


def test_results_have_no_numbers_unasked(walk, tmp_path):
    find(walk, tmp_path / "out", formats=("json", "csv"), **HIDDEN)
    assert {tuple(face) for one in read_results(tmp_path / "out") for face in one["faces"]} == {
        ("box", "score")
    }
    header = (tmp_path / "out/detections.csv").read_text().splitlines()[0]
    assert header.endswith("y2,score")


@pytest.mark.parametrize("has_tracks", [True, False])
def test_pictures_tell_the_numbers_if_results_do(walk, tmp_path, monkeypatch, has_tracks):
    drawn = []

    def draw(image, faces):
        drawn.append(faces.track_ids.tolist() if faces.has("track_ids") else None)
        return image

    monkeypatch.setattr(pictures, "draw_detections", draw)
    find(walk, tmp_path / "out", has_tracks=has_tracks, hide="fill", draws_boxes=True)
    assert drawn == [[1] if has_tracks else None] * NUM_FRAMES
