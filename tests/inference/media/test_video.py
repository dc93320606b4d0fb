from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pytest

from df2s2_d2.inference.media import video as video_module
from df2s2_d2.inference.media.sources import LiveOptions, Source, camera_source, find_sources
from df2s2_d2.inference.media.video import DEFAULT_FPS, Video
from df2s2_d2.inference.media.video_io.reader import VideoReader
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
def test_frames_come_with_number_and_time_in_rgb(tmp_path, library, name, codec):
    images = moving_face(12)
    frames, reports = read(write_video(tmp_path / name, images, fps=8, codec=codec))
    assert reports == []
    assert [frame.index for frame in frames] == list(range(12))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(12) / 8, atol=0.002)
    for frame, image in zip(frames, images, strict=True):
        assert np.abs(frame.image.astype(int) - image).mean() < 6
    assert str(frames[3]) == f"{tmp_path / name}, frame 3"


def test_rate_and_length_are_told(tmp_path, library):
    write_video(tmp_path / "a.mp4", moving_face(7), fps=12.5)
    with Video(find_sources([str(tmp_path)])[0]) as video:
        assert (video.fps, video.num_frames, video.frame_bytes) == (12.5, 7, 3 * 96 * 128)
        assert not video.is_live


def test_video_that_breaks_off_gives_its_frames_and_says_so(tmp_path, library):
    path = write_video(tmp_path / "a.avi", moving_face(30), codec="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, reports = read(path)
    assert 3 < len(frames) < 27
    (report,) = reports
    assert f"{path} can be read up to frame {len(frames)} of 30 only" in report


@pytest.mark.parametrize("content", [b"", b"no video " * 1000])
def test_file_that_is_no_video_is_named(tmp_path, library, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(OSError, match=f"The video {path} cannot be read"):
        read(path)


def test_vanished_video_is_named(tmp_path, library):
    write_video(tmp_path / "a.mp4", moving_face(2))
    (source,) = find_sources([str(tmp_path)])
    source.path.unlink()
    with pytest.raises(OSError, match="does not exist"):
        Video(source)


def test_name_that_is_not_utf8_is_refused(library):
    """OpenCV would end the process."""
    source = Source(Path(os.fsdecode(b"/videos/clip_\xff.mp4")), PurePosixPath("clip.mp4"))
    with pytest.raises(OSError, match="/videos/clip_\ufffd.mp4 is not UTF-8, .*: rename it$"):
        Video(source)


# Times


class FakeReader(VideoReader):
    """Gives a picture for each time that it tells."""

    def __init__(self, told=(), **properties):
        self.told = told
        self.is_closed = False
        for name, value in properties.items():
            setattr(self, name, value)

    def pictures(self):
        for seconds in self.told:
            yield scene(), seconds

    def fault(self, num_read):
        return f"{num_read} were read"

    def close(self):
        self.is_closed = True


@pytest.fixture
def fake(monkeypatch):
    """Function that puts a reader in the place of the real ones."""

    def install(*told, **properties) -> FakeReader:
        reader = FakeReader(told, **properties)
        monkeypatch.setattr(video_module, "_open", lambda _: reader)
        return reader

    return install


SOURCE = Source(Path("clip.mp4"), PurePosixPath("clip.mp4"))


@pytest.mark.parametrize("fps", [0.0, -1.0, 90000.0, float("nan")])
def test_unlikely_rate_is_replaced(fake, fps):
    fake(fps=fps)
    with Video(SOURCE) as video:
        assert video.fps == DEFAULT_FPS


def test_fault_is_reported_at_the_end_and_the_file_closed(fake):
    reader, reports = fake(0, 0.1, 0.2), []
    with Video(SOURCE) as video:
        assert len(list(video.frames(reports.append))) == 3
    assert (reports, reader.is_closed) == (["3 were read"], True)


@pytest.mark.parametrize(
    ("told", "duration", "expected"),
    [
        ([0, 0.1, 0.7, 0.75], None, [0, 0.1, 0.7, 0.75]),
        ([0.4, 0.5], None, [0.4, 0.5]),
        ([0, 0, 0, 0], None, [0, 0.1, 0.2, 0.3]),
        ([None, None, 0.5, None], None, [0, 0.1, 0.5, 0.6]),
        ([0, 0.2, 0.1, 0.4], None, [0, 0.2, 0.3, 0.4]),
        ([0, 1e9, 0.3, -5], None, [0, 0.1, 0.3, 0.4]),
        ([0, 90, 90.1], None, [0, 0.1, 0.2]),
        ([0, 90, 90.1], 91, [0, 90, 90.1]),
        ([-5, 0.1, 93, 0.3], 91, [0, 0.1, 0.2, 0.3]),
    ],
    ids=[
        *("variable", "late", "zero", "unknown", "backwards", "far off", "long still"),
        *("announced still", "beyond the end"),
    ],
)
def test_times_are_those_of_the_file_unless_they_cannot_be_true(fake, told, duration, expected):
    fake(*told, fps=10.0, duration=duration)
    with Video(SOURCE) as video:
        frames = list(video.frames(lambda _: None))
    assert [frame.time for frame in frames] == pytest.approx(expected)


def test_camera_is_left_after_its_time_without_a_report(fake):
    fake(0.0, 0.4, 0.9, 1.3, fps=10.0, is_live=True)
    reports: list[str] = []
    with Video(camera_source(0, LiveOptions(duration=0.9))) as video:
        frames = list(video.frames(reports.append))
    assert ([frame.time for frame in frames], reports) == ([0.0, 0.4], [])


def test_a_file_has_no_time_limit(fake):
    fake(0.0, 5.0)
    source = Source(SOURCE.path, SOURCE.name, live=LiveOptions(duration=1.0))
    with Video(source) as video:
        assert len(list(video.frames(lambda _: None))) == 2


# Cameras


class FakeCapture:
    """Stands for cv2.VideoCapture."""

    def __init__(self, images: list[np.ndarray]):
        self.images = list(images)

    def isOpened(self) -> bool:
        return True

    def set(self, *_) -> bool:
        return True

    def get(self, number: int) -> float:
        return {cv2.CAP_PROP_FPS: 30.0, cv2.CAP_PROP_FRAME_COUNT: 500.0}.get(number, 0.0)

    def read(self):
        return (True, self.images.pop(0)) if self.images else (False, None)

    def release(self) -> None:
        pass


def test_camera_gives_frames_with_the_time_that_passes(monkeypatch):
    numbers = []
    monkeypatch.setattr(
        cv2, "VideoCapture", lambda number: numbers.append(number) or FakeCapture([scene()] * 3)
    )
    reports: list[str] = []
    with Video(camera_source(2)) as video:
        assert (video.num_frames, video.is_live) == (None, True)
        frames = list(video.frames(reports.append))
    assert numbers == [2]
    times = [frame.time for frame in frames]
    assert times == sorted(times) and times[0] >= 0
    assert reports == ["webcam2 gives no more frames: is it still connected?"]


def test_absent_camera_is_one_sentence():
    with pytest.raises(OSError, match="^Camera 99 gives no pictures: check that it is connected"):
        Video(camera_source(99))
