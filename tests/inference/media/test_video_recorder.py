from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from df2s2_d2.inference.media import video_recorder
from df2s2_d2.inference.media.video_recorder import VideoRecorder
from tests.inference.media.scenes import moving_face, read_video, scene


@pytest.fixture
def opencv(monkeypatch) -> None:
    """Videos are written by OpenCV, as where PyAV is not installed."""
    monkeypatch.setattr(video_recorder, "writes_h264", lambda: False)


def record(path: Path, images, fps: float = 10.0, times=None, **options) -> None:
    with VideoRecorder(path, fps, **options) as recorder:
        for index, image in enumerate(images):
            recorder.write(image, None if times is None else times[index])


def test_video_holds_the_pictures_at_their_size_and_rate(tmp_path, library):
    images = moving_face(9)
    record(tmp_path / "new/folder/a.mp4", images, fps=12.5)
    found, fps = read_video(tmp_path / "new/folder/a.mp4")
    assert fps == 12.5
    assert len(found) == 9
    for picture, image in zip(found, images, strict=True):
        assert np.abs(picture.astype(int) - image).mean() < 6


@pytest.mark.parametrize("size", [(97, 128), (96, 129), (97, 129)])
def test_odd_size_loses_a_row_or_column_only(tmp_path, library, size):
    record(tmp_path / "a.mp4", [scene((10, 10, 40, 40), size=size)] * 3)
    found, _ = read_video(tmp_path / "a.mp4")
    assert len(found) == 3
    assert found[0].shape == (96, 128, 3)
    assert np.abs(found[0].astype(int) - scene((10, 10, 40, 40))).mean() < 6


def test_picture_of_another_size_is_refused(tmp_path, library):
    with pytest.raises(OSError, match=r"from 128 x 96 to 64 x 48 pixels: .*a\.mp4"):
        record(tmp_path / "a.mp4", [scene(), scene(), scene(size=(48, 64))])
    assert len(read_video(tmp_path / "a.mp4")[0]) == 2


def test_size_that_no_video_has_is_refused(tmp_path, library):
    with pytest.raises(OSError, match=r"a\.mp4 of 1 x 1 pixels cannot be written"):
        record(tmp_path / "a.mp4", [scene(size=(1, 1))])


def test_pictures_of_a_slow_camera_are_seen_at_their_times(tmp_path, opencv):
    images = [scene((x, 10, x + 20, 30)) for x in (0, 40, 80)]
    record(tmp_path / "a.mp4", images, fps=10, times=[0.0, 0.5, 0.75])
    found, _ = read_video(tmp_path / "a.mp4")
    # At 0.5 s the first picture was due five times.
    columns = [int(np.flatnonzero(picture[20, :, 0] > 150)[0]) // 40 for picture in found]
    assert len(columns) == 9
    assert columns[0] == 0 and columns[-1] == 2
    assert columns == sorted(columns)


def test_pictures_of_a_fast_camera_are_left_out(tmp_path, opencv):
    record(tmp_path / "a.mp4", [scene()] * 20, times=np.arange(20) / 40)
    assert 5 <= len(read_video(tmp_path / "a.mp4")[0]) <= 7


@pytest.mark.parametrize(
    "shift", [0.0, 1 / 30, "jitter"], ids=["exact", "counted from the second", "jitter"]
)
def test_constant_rate_keeps_exactly_its_pictures(tmp_path, library, shift):
    if shift == "jitter":
        shift = np.random.default_rng(0).uniform(-0.03, 0.03, 200)
    record(tmp_path / "a.mp4", [scene()] * 200, fps=30, times=np.arange(200) / 30 + shift)
    assert len(read_video(tmp_path / "a.mp4")[0]) == 200


def test_name_that_is_not_utf8_is_refused(tmp_path, library):
    """OpenCV would end the process."""
    path = tmp_path / os.fsdecode(b"found_\xff") / "a.mp4"
    with pytest.raises(OSError, match="found_\ufffd/a.mp4 is not UTF-8, .*: rename it$"):
        record(path, [scene()])


def test_nothing_is_written_without_a_picture(tmp_path):
    record(tmp_path / "a.mp4", [], original=tmp_path / "b.mp4")
    assert list(tmp_path.iterdir()) == []
