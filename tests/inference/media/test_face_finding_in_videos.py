"""Runs over videos and cameras, with a stand-in for the predictor."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from df2s2_d2.inference.media import frame_search, video
from df2s2_d2.inference.media.sources import camera_source, find_sources
from tests.inference.media.drawn_videos import encode_video
from tests.inference.media.runs import FACE, find, is_green, read_results
from tests.inference.media.scenes import find_white, moving_face, read_video, scene, write_video


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


def test_video_of_a_variable_rate_stays_with_its_sound(tmp_path, library):
    """Of ten frames in two seconds the first five are seen in the first half second."""
    times = np.concatenate([np.arange(5) * 0.1, 0.5 + np.arange(5) * 0.3])
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(encode_video(moving_face(10), times=times, fps=5))
    finding = find(clip, tmp_path / "out", draws_boxes=False)
    assert (finding.failures, finding.num_frames) == ([], 10)
    records = read_results(tmp_path / "out")
    np.testing.assert_allclose([record["time"] for record in records], times, atol=1e-3)
    with av.open(str(tmp_path / "out/clip.mp4")) as file:
        frames = list(file.decode(video=0))
    shown = np.array([frame.time for frame in frames])
    lefts = [np.flatnonzero(f.to_ndarray(format="rgb24")[40, :, 0] > 150)[0] for f in frames]
    due = times[np.round((np.array(lefts) - 10) / 2).astype(int)]
    if library == "PyAV":
        np.testing.assert_allclose(shown, times, atol=1e-3)
        np.testing.assert_array_equal(due, times)
    else:  # in steps of a constant rate
        np.testing.assert_allclose(due, shown, atol=1.5 / 5 + 0.1)


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
    assert len(read_video(tmp_path / "out/webcam0.mp4")[0]) == 5


@pytest.mark.parametrize(("batch_size", "most_bytes"), [(2, 1 << 28), (64, 2 * 3 * 96 * 128)])
def test_memory_holds_a_few_frames_of_a_long_video(
    clip, tmp_path, monkeypatch, batch_size, most_bytes
):
    monkeypatch.setattr(frame_search, "MOST_BYTES", most_bytes)
    monkeypatch.setattr(video, "is_pyav_installed", lambda: False)
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
