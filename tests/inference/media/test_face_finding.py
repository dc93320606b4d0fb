"""Runs over images and videos, with a stand-in for the predictor."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from df2s2_d2.inference.media import face_finding, pictures
from df2s2_d2.inference.media.face_finding import FaceFinding
from df2s2_d2.inference.media.frames import read_frame
from df2s2_d2.inference.media.pictures import Pictures
from df2s2_d2.inference.media.result_files import JsonResults, ResultFiles, UnwritableResults
from df2s2_d2.inference.media.sources import camera_source, find_sources
from tests.inference.media.scenes import (
    find_white,
    instances,
    moving_face,
    read_image,
    read_video,
    scene,
    write_image,
    write_video,
)

FACE = (40, 30, 72, 62)


def consume(pictures, **_) -> bool:
    """Follows a run to its end."""
    for _ in pictures:
        pass
    return True


def find(
    inputs, output: Path, *, predict=find_white, follow=consume, batch_size: int = 2, **options
) -> FaceFinding:
    """Run over inputs, or sources, with options of the pictures."""
    if isinstance(inputs, Path):
        inputs = find_sources([str(inputs)])
    with ResultFiles(output, ["json"], score_threshold=0.01) as results:
        pictures = Pictures(output, **options)
        finding = FaceFinding(predict, results, pictures, follow=follow, batch_size=batch_size)
        try:
            finding.run(inputs)
        except KeyboardInterrupt:
            finding.failures.append("interrupted")
    return finding


def read_results(output: Path) -> list[dict]:
    return json.loads((output / "detections.json").read_text())


def is_green(picture: np.ndarray) -> np.ndarray:
    """(H, W) bool: where the green of a drawn box dominates."""
    red, green, blue = np.moveaxis(picture.astype(int), 2, 0)
    return (green > red + 60) & (green > blue + 60)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Folder of seven images of two sizes, the fourth without a face, in two folders."""
    folder = tmp_path / "photos"
    for number in range(7):
        face = [] if number == 3 else [(10 + 10 * number, 30, 34 + 10 * number, 54)]
        image = scene(*face, size=(96, 128) if number % 2 else (100, 130))
        write_image(folder / ("a" if number < 3 else "b") / f"{number}.png", image)
    return folder


@pytest.fixture
def clip(tmp_path) -> Path:
    return write_video(tmp_path / "clip.avi", moving_face(11), codec="MJPG")


# Images


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
    def add(self, frame, faces):
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

    monkeypatch.setattr(face_finding, "read_frame", note)
    monkeypatch.setattr(face_finding, "_MOST_BYTES", 96 * 128)
    finding = find(photos, tmp_path / "out", predict=predict, batch_size=7)
    assert (finding.failures, len(detected)) == ([], 7)


# Crops and hidden faces


def test_every_face_above_the_threshold_is_cut_out(tmp_path):
    image = scene((0, 10, 20, 30), (60, 40, 100, 80))
    image[12, 4] = image[45, 70] = (220, 210, 205)
    path = write_image(tmp_path / "in/x/photo.png", image)
    find(path.parents[1], tmp_path / "out", crop_margin=0.25, is_written=False)
    folder = tmp_path / "out/crops/x/photo.png"
    assert sorted(file.name for file in folder.iterdir()) == ["1.jpg", "2.jpg"]
    crops = [read_image(folder / name).astype(int) for name in ("1.jpg", "2.jpg")]
    assert [crop.shape for crop in crops] == [(30, 25, 3), (60, 60, 3)]
    assert np.abs(crops[0] - image[5:35, 0:25]).mean() < 3
    assert np.abs(crops[1] - image[30:90, 50:110]).mean() < 3


def test_crops_show_the_image_without_boxes(tmp_path):
    write_image(tmp_path / "in/photo.png", scene(FACE))
    find(tmp_path / "in", tmp_path / "out", crop_margin=0.3)
    assert is_green(read_image(tmp_path / "out/photo.png")).any()
    assert not is_green(read_image(tmp_path / "out/crops/photo.png/1.jpg")).any()


def textured(images):
    """Finds the one face of :func:`textured_scene`."""
    return [instances([FACE], [0.9], image.shape[:2]) for image in images]


def textured_scene() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 2, (96, 128, 1)) * 255
    return noise.repeat(3, axis=2).astype(np.uint8)


def contrast(picture: np.ndarray) -> float:
    """Mean step between neighbours inside of the face."""
    x1, y1, x2, y2 = FACE
    return float(np.abs(np.diff(picture[y1:y2, x1:x2].astype(int), axis=1)).mean())


def test_hidden_faces_are_hidden_in_images_and_videos(tmp_path):
    write_image(tmp_path / "in/a.png", textured_scene())
    write_video(tmp_path / "in/b.avi", [textured_scene()] * 5, codec="MJPG")
    find(tmp_path / "in", tmp_path / "out", predict=textured, hide="pixelate", draws_boxes=False)
    original, picture = textured_scene(), read_image(tmp_path / "out/a.png")
    frames, _ = read_video(tmp_path / "out/b.mp4")
    assert len(frames) == 5
    for shown in (picture, *frames):
        assert contrast(shown) < 0.3 * contrast(original)
        assert not is_green(shown)[:, 30:82].any()
    np.testing.assert_array_equal(picture[:, :30], original[:, :30])


def test_both_hidden_and_framed(tmp_path):
    write_image(tmp_path / "in/a.png", textured_scene())
    find(tmp_path / "in", tmp_path / "out", predict=textured, hide="fill", draws_boxes=True)
    picture = read_image(tmp_path / "out/a.png")
    assert is_green(picture).any() and contrast(picture[1:-1]) < 20


@pytest.mark.parametrize("unsound", ["fails", "gives nonsense"])
def test_where_detection_fails_no_face_is_shown(tmp_path, unsound):
    """An image is left out; of a video, which must keep its length, the whole frame is hidden."""
    write_image(tmp_path / "in/a.png", textured_scene())
    write_video(tmp_path / "in/b.avi", [textured_scene()] * 3, codec="MJPG")

    def predict(images):
        if unsound == "fails":
            raise RuntimeError("broken")
        return [instances([[0, 0, float("nan"), 5]], [0.9])] * len(images)

    finding = find(tmp_path / "in", tmp_path / "out", predict=predict, hide="pixelate")
    assert not (tmp_path / "out/a.png").exists()
    frames, _ = read_video(tmp_path / "out/b.mp4")
    assert len(frames) == 3
    for frame in frames:
        assert np.abs(np.diff(frame.astype(int), axis=1)).mean() < 15
    assert len(finding.failures) == 4
    assert any(line.startswith(f"{tmp_path / 'in/b.avi'}, frame 2: ") for line in finding.failures)
    assert (finding.num_images, finding.num_frames) == (0, 0)


# Videos


def test_video_keeps_its_length_and_rate(clip, tmp_path):
    finding = find(clip, tmp_path / "out", batch_size=4)
    assert finding.failures == []
    assert (finding.num_images, finding.num_frames, finding.num_shown) == (0, 11, 11)
    frames, fps = read_video(tmp_path / "out/clip.mp4")
    assert (len(frames), fps) == (11, 10)
    assert all(is_green(frame).any() for frame in frames)
    records = read_results(tmp_path / "out")
    assert [record["frame"] for record in records] == list(range(11))
    assert [record["time"] for record in records] == pytest.approx(np.arange(11) / 10, abs=1e-3)
    lefts = [record["faces"][0]["box"][0] for record in records]
    np.testing.assert_allclose(lefts, 10 + 2 * np.arange(11), atol=1)


def test_video_of_a_variable_rate_stays_with_its_sound(tmp_path, monkeypatch):
    """Of ten frames in two seconds the first five are seen in the first half second."""
    clip = write_video(tmp_path / "clip.avi", moving_face(10), fps=5, codec="MJPG")
    times = np.concatenate([np.arange(5) * 0.1, 0.5 + np.arange(5) * 0.3])
    capture = cv2.VideoCapture

    class VariableRate:
        def __init__(self, path):
            self._capture, self._number = capture(path), -1

        def read(self):
            self._number += 1
            return self._capture.read()

        def get(self, number):
            is_time = number == cv2.CAP_PROP_POS_MSEC
            return 1000 * times[self._number] if is_time else self._capture.get(number)

        def __getattr__(self, name):
            return getattr(self._capture, name)

    monkeypatch.setattr(cv2, "VideoCapture", VariableRate)
    finding = find(clip, tmp_path / "out", draws_boxes=False)
    monkeypatch.undo()
    assert (finding.failures, finding.num_frames) == ([], 10)
    frames, fps = read_video(tmp_path / "out/clip.mp4")
    lefts = np.array([np.flatnonzero(frame[40, :, 0] > 150)[0] for frame in frames])
    shown = np.round((lefts - 10) / 2).astype(int)
    np.testing.assert_allclose(times[shown], np.arange(len(frames)) / fps, atol=1.5 / fps + 0.1)
    assert abs(len(frames) - 1.7 * fps) <= 1.5


def test_frames_before_a_break_are_kept_and_other_videos_go_on(clip, tmp_path):
    broken = tmp_path / "broken.avi"
    write_video(broken, moving_face(30), codec="MJPG")
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    (tmp_path / "none.mp4").write_text("nothing")
    sources = find_sources(
        [str(tmp_path / name) for name in ("none.mp4", "broken.avi", "clip.avi")]
    )
    finding = find(sources, tmp_path / "out")
    first, second = finding.failures
    assert str(tmp_path / "none.mp4") in first and str(broken) in second
    kept = len(read_video(tmp_path / "out/broken.mp4")[0])
    assert 3 < kept < 27
    assert len(read_video(tmp_path / "out/clip.mp4")[0]) == 11
    assert len(read_results(tmp_path / "out")) == kept + 11 == finding.num_frames
    assert not (tmp_path / "out/none.mp4").exists()


def test_interrupted_video_can_be_played_up_to_there(clip, tmp_path):
    calls = []

    def interrupt(images):
        calls.append(images)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return find_white(images)

    finding = find(clip, tmp_path / "out", predict=interrupt, batch_size=2)
    assert finding.failures == ["interrupted"]
    assert len(read_video(tmp_path / "out/clip.mp4")[0]) == 6
    assert len(read_results(tmp_path / "out")) == 6


def test_crops_of_a_video_are_named_by_their_frames(clip, tmp_path):
    find(clip, tmp_path / "out", crop_margin=0.0, is_written=False)
    names = sorted(path.name for path in (tmp_path / "out/crops/clip.mp4").iterdir())
    assert names == [f"{index:06d}_1.jpg" for index in range(11)]


class FakeCamera:
    """Stands for cv2.VideoCapture; never ends."""

    def __init__(self, _):
        self.num_reads = 0

    def isOpened(self):
        return True

    def set(self, *_):
        return True

    def get(self, number):
        values = {cv2.CAP_PROP_FRAME_WIDTH: 128, cv2.CAP_PROP_FRAME_HEIGHT: 96}
        return 20.0 if number == cv2.CAP_PROP_FPS else values.get(number, 0.0)

    def read(self):
        self.num_reads += 1
        return True, scene(FACE)

    def release(self):
        pass


def test_camera_is_followed_until_the_window_is_closed(tmp_path, monkeypatch):
    cameras = []
    monkeypatch.setattr(cv2, "VideoCapture", lambda n: cameras.append(FakeCamera(n)) or cameras[-1])
    seen = []

    def look(pictures, **about) -> bool:
        assert about == {"name": "webcam0", "unit": "frame", "total": None}
        for picture in pictures:
            seen.append(picture)
            # What is seen is what the camera saw last.
            assert cameras[0].num_reads == len(seen)
            if len(seen) == 5:
                return False
        return True

    finding = find(
        [camera_source(0), camera_source(1)], tmp_path / "out", follow=look, is_shown=True
    )
    monkeypatch.undo()
    assert finding.failures == []
    assert len(cameras) == 1
    assert len(read_results(tmp_path / "out")) == 5
    assert all(is_green(picture).any() for picture in seen)
    frames, fps = read_video(tmp_path / "out/webcam0.mp4")
    assert fps == 20 and len(frames) >= 1


@pytest.mark.parametrize(("batch_size", "most_bytes"), [(2, 1 << 28), (64, 2 * 3 * 96 * 128)])
def test_memory_holds_a_few_frames_of_a_long_video(
    clip, tmp_path, monkeypatch, batch_size, most_bytes
):
    monkeypatch.setattr(face_finding, "_MOST_BYTES", most_bytes)
    cameras = []
    monkeypatch.setattr(cv2, "VideoCapture", lambda n: cameras.append(FakeCamera(n)) or cameras[-1])

    def look(pictures, **_) -> bool:
        for number, _ in enumerate(pictures, start=1):
            # In each of three stages two batches of 2 at most.
            assert cameras[0].num_reads <= number + 12
            if number == 100:
                return False
        return True

    finding = find(clip, tmp_path / "out", follow=look, is_written=False, batch_size=batch_size)
    assert finding.failures == []
