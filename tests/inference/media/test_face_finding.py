"""Runs over images, with a stand-in for the predictor."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from df2s2_d2.inference.media import frame_search, pictures
from df2s2_d2.inference.media.frames import read_frame
from df2s2_d2.inference.media.result_files import UnwritableResults
from df2s2_d2.inference.media.result_formats.listed import JsonResults
from df2s2_d2.inference.media.sources import find_sources
from tests.inference.media.runs import find, is_green, read_results
from tests.inference.media.scenes import find_white, read_image, read_video, scene, write_video


def test_results_of_images_come_in_order(photos, tmp_path):
    finding = find(photos, tmp_path / "out")
    assert finding.failures == []
    assert (finding.num_images, finding.num_frames, finding.num_shown) == (7, 0, 6)
    records = read_results(tmp_path / "out")
    assert [Path(record["file"]).stem for record in records] == list("0123456")
    for number, record in enumerate(records):
        assert (record["height"], record["width"]) == ((96, 128) if number % 2 else (100, 130))
        left = 10.0 + 10 * number
        expected = [] if number == 3 else [[left, 30, left + 24, 54], [left, 30, left + 12, 54]]
        assert [face["box"] for face in record["faces"]] == expected


def test_pictures_show_the_faces_above_the_threshold(photos, tmp_path):
    for threshold in (0.5, 0.95):
        finding = find(photos, tmp_path / "out", threshold=threshold)
        assert finding.num_shown == (6 if threshold == 0.5 else 0)
        for name in ("a/0", "b/5"):
            picture = read_image(tmp_path / f"out/{name}.png")
            assert is_green(picture).any() == (threshold == 0.5)
            if threshold == 0.95:
                np.testing.assert_array_equal(picture, read_image(photos / f"{name}.png"))


def test_boxes_are_drawn_around_the_faces(photos, tmp_path):
    find(photos, tmp_path / "out", threshold=0.5)
    rows, columns = np.nonzero(is_green(read_image(tmp_path / "out/a/0.png")))
    # The face fills columns 10 to 33 and rows 30 to 53; the line is 2 pixels wide. Above it is the
    # score.
    assert (columns.min(), columns.max(), rows.max()) == (8, 35, 55)


def test_broken_images_are_noted_and_stop_nothing(photos, tmp_path):
    whole = (photos / "a/1.png").read_bytes()
    (photos / "a/1.png").write_bytes(whole[: len(whole) // 2])
    (photos / "b/3.png").write_bytes(b"")
    (photos / "b/4.png").write_text("no image")
    sources = find_sources([str(photos)])
    (photos / "b/6.png").unlink()
    finding = find(sources, tmp_path / "out")
    assert finding.num_images == 3
    for name in ("a/1", "b/3", "b/4", "b/6"):
        (failure,) = [line for line in finding.failures if f"{photos / name}.png" in line]
        assert "\n" not in failure
    assert len(finding.failures) == 4
    pictures = sorted(path.stem for path in (tmp_path / "out").rglob("*.png"))
    assert (
        pictures
        == ["0", "2", "5"]
        == [Path(r["file"]).stem for r in read_results(tmp_path / "out")]
    )


def test_image_that_the_detector_fails_on_stops_no_other(photos, tmp_path):
    def fail_on_the_second(images):
        if any(image[35, 25].min() == 255 and image[35, 15].min() < 255 for image in images):
            raise RuntimeError("out of\nmemory")
        return find_white(images)

    finding = find(photos, tmp_path / "out", predict=fail_on_the_second, batch_size=8)
    failed = [line.split(":")[0] for line in finding.failures]
    assert failed == [str(photos / "a/1.png")]
    assert finding.failures[0].endswith("the detector failed (out of memory)")
    assert finding.num_images == 6
    assert not (tmp_path / "out/a/1.png").exists()


def test_picture_that_cannot_be_written_stops_no_other(photos, tmp_path):
    (tmp_path / "out/a/1.png").mkdir(parents=True)
    finding = find(photos, tmp_path / "out")
    (failure,) = finding.failures
    assert failure.startswith(f"{photos / 'a/1.png'}: ")
    assert len(read_results(tmp_path / "out")) == 7
    assert (tmp_path / "out/b/6.png").exists()


@pytest.mark.parametrize(
    ("error", "reason"), [(MemoryError(), "MemoryError"), (cv2.error("too\nlarge"), "too large")]
)
def test_picture_that_cannot_be_drawn_stops_no_other(
    photos, clip, tmp_path, monkeypatch, error, reason
):
    def draw(image, faces):
        if image[35, 25].min() > 200 and image[35, 15].min() < 200:
            raise error
        return image

    monkeypatch.setattr(pictures, "draw_detections", draw)
    write_video(tmp_path / "later.avi", [scene()] * 3, codec="MJPG")
    inputs = [str(photos), str(clip), str(tmp_path / "later.avi")]
    finding = find(find_sources(inputs), tmp_path / "out")
    assert finding.failures == [f"{photos / 'a/1.png'}: {reason}", f"{clip}: {reason}"]
    assert len(list((tmp_path / "out").rglob("*.png"))) == 6
    assert len(read_video(tmp_path / "out/later.mp4")[0]) == 3


def test_results_that_cannot_be_written_end_the_run(photos, clip, tmp_path, monkeypatch):
    def add(self, frame, faces, track_ids):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JsonResults, "add", add)
    for inputs in (photos, clip):
        with pytest.raises(UnwritableResults, match="No space left on device; run again once"):
            find(inputs, tmp_path / "out")


def test_interrupted_run_keeps_what_was_found(photos, tmp_path):
    calls = []

    def interrupt(images):
        calls.append(len(images))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return find_white(images)

    finding = find(photos, tmp_path / "out", predict=interrupt, batch_size=1)
    assert finding.failures == ["interrupted"]
    names = [Path(record["file"]).stem for record in read_results(tmp_path / "out")]
    assert names == list("0123")
    assert sorted(path.stem for path in (tmp_path / "out").rglob("*.png")) == names


def test_only_results_are_written_without_pictures(photos, clip, tmp_path):
    find(find_sources([str(photos), str(clip)]), tmp_path / "out", is_written=False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["detections.json"]
    assert len(read_results(tmp_path / "out")) == 18


def test_pictures_are_made_for_who_looks_at_them(photos, tmp_path):
    seen = []

    def look(pictures, **about) -> bool:
        seen.append(about)
        seen.extend(pictures)
        return True

    find(photos, tmp_path / "out", follow=look, is_written=False, is_shown=True)
    assert seen[0] == {"name": "images", "unit": "image", "total": 7}
    assert [is_green(picture).any() for picture in seen[1:]] == [n != 3 for n in range(7)]


def test_pictures_that_nobody_looks_at_are_not_kept(photos, clip, tmp_path):
    kept = []

    def look(pictures, **_) -> bool:
        kept.extend(pictures)
        return True

    find(find_sources([str(photos), str(clip)]), tmp_path / "out", follow=look)
    assert kept == [None] * (7 + 11)


def test_large_images_are_read_one_by_one(photos, tmp_path, monkeypatch):
    read, detected = [], []

    def note(source):
        read.append(source)
        return read_frame(source)

    def predict(images):
        detected.extend(images)
        assert len(read) <= len(detected) + 1
        return find_white(images)

    monkeypatch.setattr(frame_search, "read_frame", note)
    monkeypatch.setattr(frame_search, "MOST_BYTES", 96 * 128)
    finding = find(photos, tmp_path / "out", predict=predict, batch_size=7)
    assert (finding.failures, len(detected)) == ([], 7)
