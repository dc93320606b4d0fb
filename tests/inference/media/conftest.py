"""Images and a video in files, to look for faces in; frames with faces that were found."""

from __future__ import annotations

from pathlib import Path

import pytest

from df2s2_d2.inference.media import video, video_recorder
from tests.inference.media.result_writing import FACES, NOTHING, image_frame
from tests.inference.media.scenes import (
    moving_face,
    scene,
    video_frame,
    write_image,
    write_video,
)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Folder of seven images of two sizes, the fourth without a face, in two folders."""
    folder = tmp_path / "photos"
    for number in range(7):
        face = [] if number == 3 else [(10 + 10 * number, 30, 34 + 10 * number, 54)]
        image = scene(*face, size=(96, 128) if number % 2 else (100, 130))
        write_image(folder / ("a" if number < 3 else "b") / f"{number}.png", image)
    return folder


@pytest.fixture(params=["PyAV", "OpenCV"])
def library(request, monkeypatch) -> str:
    """What videos are read and written by."""
    has_pyav = request.param == "PyAV"
    monkeypatch.setattr(video, "is_pyav_installed", lambda: has_pyav)
    monkeypatch.setattr(video_recorder, "writes_h264", lambda: has_pyav)
    return request.param


@pytest.fixture
def clip(tmp_path) -> Path:
    return write_video(tmp_path / "clip.avi", moving_face(11), codec="MJPG")


@pytest.fixture
def found():
    """Two images, one without a face, and two frames of a video."""
    return [
        (image_frame("b.png"), FACES),
        (image_frame("a.jpg"), NOTHING),
        (video_frame(0, 0.0), FACES[:1]),
        (video_frame(12, 0.5), FACES[1:]),
    ]
