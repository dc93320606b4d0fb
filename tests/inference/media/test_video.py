from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pytest

from df2s2_d2.inference.media.sources import Source, camera_source, find_sources
from df2s2_d2.inference.media.video import DEFAULT_FPS, Video
from tests.inference.media.scenes import moving_face, scene, write_video


def read(path: Path):
    """All frames of a video file, and what was reported."""
    reports: list[str] = []
    (source,) = find_sources([str(path)])
    with Video(source) as video:
        return list(video.frames(reports.append)), reports


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.mkv", "mp4v"), ("a.webm", "VP80")]
)
def test_frames_come_with_number_and_time_in_rgb(tmp_path, name, codec):
    images = moving_face(12)
    frames, reports = read(write_video(tmp_path / name, images, fps=8, codec=codec))
    assert reports == []
    assert [frame.index for frame in frames] == list(range(12))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(12) / 8, atol=0.002)
    for frame, image in zip(frames, images, strict=True):
        assert np.abs(frame.image.astype(int) - image).mean() < 6
    assert str(frames[3]) == f"{tmp_path / name}, frame 3"


def test_rate_and_length_are_told(tmp_path):
    write_video(tmp_path / "a.mp4", moving_face(7), fps=12.5)
    with Video(find_sources([str(tmp_path)])[0]) as video:
        assert (video.fps, video.num_frames, video.frame_bytes) == (12.5, 7, 3 * 96 * 128)


def test_video_that_breaks_off_gives_its_frames_and_says_so(tmp_path):
    path = write_video(tmp_path / "a.avi", moving_face(30), codec="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, reports = read(path)
    assert 3 < len(frames) < 27
    (report,) = reports
    assert f"{path} can be read up to frame {len(frames)} of 30 only" in report


@pytest.mark.parametrize("content", [b"", b"no video " * 1000])
def test_file_that_is_no_video_is_named(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(OSError, match=f"The video {path} cannot be read"):
        read(path)


def test_vanished_video_is_named(tmp_path):
    write_video(tmp_path / "a.mp4", moving_face(2))
    (source,) = find_sources([str(tmp_path)])
    source.path.unlink()
    with pytest.raises(OSError, match="does not exist"):
        Video(source)


def test_name_that_is_not_utf8_is_refused():
    """OpenCV would end the process."""
    source = Source(Path(os.fsdecode(b"/videos/clip_\xff.mp4")), PurePosixPath("clip.mp4"))
    with pytest.raises(OSError, match="/videos/clip_\ufffd.mp4 is not UTF-8, .*: rename it$"):
        Video(source)


class FakeCapture:
    """Stands for cv2.VideoCapture; gives the times of the frames one after the other."""

    def __init__(self, images: list[np.ndarray], times=(), **properties: float):
        self.images = list(images)
        self.times = list(times)
        self.properties = properties
        self.is_released = False

    def isOpened(self) -> bool:
        return True

    def set(self, *_) -> bool:
        return True

    def get(self, number: int) -> float:
        if number == cv2.CAP_PROP_POS_MSEC and self.times:
            return 1000 * self.times.pop(0)
        names = {cv2.CAP_PROP_FPS: "fps", cv2.CAP_PROP_FRAME_COUNT: "count"}
        return self.properties.get(names.get(number, ""), 0.0)

    def read(self):
        return (True, self.images.pop(0)) if self.images else (False, None)

    def release(self) -> None:
        self.is_released = True


@pytest.mark.parametrize("fps", [0.0, -1.0, 90000.0, float("nan")])
def test_unlikely_rate_is_replaced(tmp_path, monkeypatch, fps):
    path = write_video(tmp_path / "a.mp4", moving_face(2))
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: FakeCapture([], fps=fps))
    with Video(find_sources([str(path)])[0]) as video:
        assert video.fps == DEFAULT_FPS


def test_video_of_unknown_length_ends_without_a_report(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", moving_face(2))
    fake = FakeCapture([scene()] * 3, count=-1)
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: fake)
    frames, reports = read(path)
    assert (len(frames), reports) == (3, [])
    assert fake.is_released


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([0, 0.1, 0.7, 0.75], [0, 0.1, 0.7, 0.75]),
        ([0, 0, 0, 0], [0, 0.1, 0.2, 0.3]),
        ([0, 0.2, 0.1, 0.4], [0, 0.2, 0.3, 0.4]),
        ([0, 1e9, 0.3, -5], [0, 0.1, 0.3, 0.4]),
    ],
    ids=["variable", "unknown", "backwards", "far off"],
)
def test_times_are_those_of_the_file_unless_they_cannot_be_true(
    tmp_path, monkeypatch, told, expected
):
    path = write_video(tmp_path / "a.mp4", moving_face(2))
    fake = FakeCapture([scene()] * len(told), told, fps=10)
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: fake)
    frames, _ = read(path)
    assert [frame.time for frame in frames] == pytest.approx(expected)


def test_camera_gives_frames_with_the_time_that_passes(monkeypatch):
    numbers = []
    monkeypatch.setattr(
        cv2,
        "VideoCapture",
        lambda number: numbers.append(number) or FakeCapture([scene()] * 3, fps=30, count=500),
    )
    reports: list[str] = []
    with Video(camera_source(2)) as video:
        assert video.num_frames is None
        frames = list(video.frames(reports.append))
    assert numbers == [2]
    times = [frame.time for frame in frames]
    assert times == sorted(times) and 0 <= times[0] and times[-1] < 10
    assert reports == ["webcam2 gives no more frames: is it still connected?"]


def test_absent_camera_is_one_sentence():
    with pytest.raises(OSError, match="^Camera 99 gives no pictures: check that it is connected"):
        Video(camera_source(99))
