from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from df2s2_d2.inference.media.video_recorder import VideoRecorder, can_copy_sound
from tests.inference.media.scenes import moving_face, read_video, scene


def record(path: Path, images, fps: float = 10.0, times=None, **options) -> None:
    with VideoRecorder(path, fps, **options) as recorder:
        for index, image in enumerate(images):
            recorder.write(image, None if times is None else times[index])


def test_video_holds_the_pictures_at_their_size_and_rate(tmp_path):
    images = moving_face(9)
    record(tmp_path / "new/folder/a.mp4", images, fps=12.5)
    found, fps = read_video(tmp_path / "new/folder/a.mp4")
    assert fps == 12.5
    assert len(found) == 9
    for picture, image in zip(found, images, strict=True):
        assert np.abs(picture.astype(int) - image).mean() < 6


@pytest.mark.parametrize("size", [(97, 128), (96, 129), (97, 129)])
def test_odd_size_loses_a_row_or_column_only(tmp_path, size):
    record(tmp_path / "a.mp4", [scene((10, 10, 40, 40), size=size)] * 3)
    found, _ = read_video(tmp_path / "a.mp4")
    assert len(found) == 3
    shape = found[0].shape
    assert size[0] - shape[0] in (0, 1) and size[1] - shape[1] in (0, 1)


def test_picture_of_another_size_is_refused(tmp_path):
    with pytest.raises(OSError, match=r"from 128 x 96 to 64 x 48 pixels: .*a\.mp4"):
        record(tmp_path / "a.mp4", [scene(), scene(), scene(size=(48, 64))])
    assert len(read_video(tmp_path / "a.mp4")[0]) == 2


def test_size_that_no_video_has_is_refused(tmp_path):
    with pytest.raises(OSError, match=r"a\.mp4 of 1 x 1 pixels cannot be written"):
        record(tmp_path / "a.mp4", [scene(size=(1, 1))])


def test_pictures_of_a_slow_camera_are_seen_at_their_times(tmp_path):
    images = [scene((x, 10, x + 20, 30)) for x in (0, 40, 80)]
    record(tmp_path / "a.mp4", images, fps=10, times=[0.0, 0.5, 0.75])
    found, _ = read_video(tmp_path / "a.mp4")
    # At 0.5 s the first picture was due five times.
    columns = [int(np.flatnonzero(picture[20, :, 0] > 150)[0]) // 40 for picture in found]
    assert len(columns) == 9
    assert columns[0] == 0 and columns[-1] == 2
    assert columns == sorted(columns)


def test_pictures_of_a_fast_camera_are_left_out(tmp_path):
    record(tmp_path / "a.mp4", [scene()] * 20, times=np.arange(20) / 40)
    assert 5 <= len(read_video(tmp_path / "a.mp4")[0]) <= 7


@pytest.mark.parametrize(
    "shift", [0.0, 1 / 30, "jitter"], ids=["exact", "counted from the second", "jitter"]
)
def test_constant_rate_keeps_exactly_its_pictures(tmp_path, shift):
    if shift == "jitter":
        shift = np.random.default_rng(0).uniform(-0.03, 0.03, 200)
    record(tmp_path / "a.mp4", [scene()] * 200, fps=30, times=np.arange(200) / 30 + shift)
    assert len(read_video(tmp_path / "a.mp4")[0]) == 200


def test_name_that_is_not_utf8_is_refused(tmp_path):
    """OpenCV would end the process."""
    path = tmp_path / os.fsdecode(b"found_\xff") / "a.mp4"
    with pytest.raises(OSError, match="found_\ufffd/a.mp4 is not UTF-8, .*: rename it$"):
        record(path, [scene()])


def test_nothing_is_written_without_a_picture(tmp_path):
    record(tmp_path / "a.mp4", [], sound_of=tmp_path / "b.mp4")
    assert list(tmp_path.iterdir()) == []


# Sound


@pytest.fixture
def fake_ffmpeg(tmp_path, monkeypatch):
    """Function that puts a shell script in ffmpeg's place; its arguments are in a file."""

    def install(script: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "ffmpeg"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/arguments\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return folder / "arguments"

    return install


def test_sound_is_taken_over_without_recompression(tmp_path, fake_ffmpeg):
    last_argument = 'for last; do :; done; printf "with sound" > "${last#file:}"'
    arguments = fake_ffmpeg(last_argument)
    assert can_copy_sound()
    record(tmp_path / "out.mp4", moving_face(5), fps=10, sound_of=tmp_path / "original.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == b"with sound"
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "out.mp4"}
    options = " ".join(arguments.read_text().split())
    assert f"-i file:{tmp_path}/out.mp4 -i file:{tmp_path}/original.mp4" in options
    assert "-c copy -t 0.500" in options


def test_files_beside_the_video_stay_while_it_gets_its_sound(tmp_path, fake_ffmpeg):
    fake_ffmpeg('for last; do :; done; printf "with sound" > "${last#file:}"')
    (tmp_path / "out.with_sound.mp4").write_text("another's")
    record(tmp_path / "out.mp4", moving_face(2), sound_of=tmp_path / "original.mp4")
    assert (tmp_path / "out.with_sound.mp4").read_text() == "another's"


def test_video_stays_if_its_sound_cannot_be_taken_over(tmp_path, fake_ffmpeg, caplog):
    fake_ffmpeg("echo 'no room' >&2; exit 1")
    with caplog.at_level(logging.WARNING):
        record(tmp_path / "out.mp4", moving_face(5), sound_of=tmp_path / "original.mp4")
    assert caplog.messages == [f"{tmp_path / 'out.mp4'} is without sound: no room"]
    assert len(read_video(tmp_path / "out.mp4")[0]) == 5


def test_video_is_written_without_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not can_copy_sound()
    record(tmp_path / "out.mp4", moving_face(5), sound_of=tmp_path / "original.mp4")
    assert len(read_video(tmp_path / "out.mp4")[0]) == 5
