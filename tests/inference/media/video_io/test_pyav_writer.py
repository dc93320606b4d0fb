"""Videos that browsers play: what is in the file, by what FFmpeg and OpenCV read of it."""

from __future__ import annotations

import logging
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.sources import find_sources
from df2s2_d2.inference.media.video import Video
from df2s2_d2.inference.media.video_io import pyav_writer
from df2s2_d2.inference.media.video_recorder import VideoRecorder
from tests.inference.media.drawn_videos import RATE, encode_video, frequency, heard, tone
from tests.inference.media.scenes import moving_face, read_video, scene


def record(path: Path, images, fps: float = 10.0, times=None, **options) -> Path:
    with VideoRecorder(path, fps, **options) as recorder:
        for index, image in enumerate(images):
            recorder.write(image, None if times is None else times[index])
    return path


def read_frames(path: Path) -> list[Frame]:
    with Video(find_sources([str(path)])[0]) as video:
        return list(video.frames(lambda _: None))


def decoded(path: Path) -> tuple[list[float], list[np.ndarray]]:
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
    return [frame.time for frame in frames], [frame.to_ndarray(format="rgb24") for frame in frames]


def test_it_is_what_browsers_play(tmp_path):
    path = record(tmp_path / "a.mp4", moving_face(5))
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert stream.codec_context.codec.canonical_name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.codec_context.profile in ("High", "Main", "Constrained Baseline")
        assert "mp4" in file.format.name
    boxes = path.read_bytes()
    assert 0 < boxes.index(b"moov") < boxes.index(b"mdat")  # plays while it loads


VARIABLE = [0, 0.04, 0.08, 0.5, 0.55, 2.0, 2.1, 75.0, 75.04]


def test_a_picture_an_hour_is_a_video_too(tmp_path):
    path = record(tmp_path / "a.mp4", moving_face(3), fps=1 / 3600, times=[0, 3600, 7200])
    times, _ = decoded(path)
    np.testing.assert_allclose(times, [0, 3600, 7200])


def test_each_picture_is_seen_at_its_time_once(tmp_path):
    path = record(tmp_path / "a.mp4", moving_face(9), fps=25, times=VARIABLE)
    times, images = decoded(path)
    np.testing.assert_allclose(times, VARIABLE, atol=1e-4)
    for picture, image in zip(images, moving_face(9), strict=True):
        assert np.abs(picture.astype(int) - image).mean() < 6
    with av.open(str(path)) as file:  # the last one is seen too
        assert file.duration / av.time_base == pytest.approx(75.08, abs=1e-3)


@pytest.mark.parametrize("fps", [8, 12.5, 25, 24000 / 1001, 30000 / 1001, 59.94, 14.837])
def test_constant_rate_is_told(tmp_path, fps):
    times = np.arange(7) / fps
    path = record(tmp_path / "a.mp4", moving_face(7), fps=fps, times=times)
    assert read_video(path)[1] == pytest.approx(fps, rel=1e-5)
    np.testing.assert_allclose(decoded(path)[0], times, atol=1e-4)


def test_pictures_of_one_time_follow_each_other(tmp_path):
    path = record(tmp_path / "a.mp4", moving_face(4), times=[0, 0.1, 0.1, 0.05])
    times, images = decoded(path)
    assert len(images) == 4 and times == sorted(set(times))


def test_video_that_begins_later_does_so(tmp_path):
    path = record(tmp_path / "a.mp4", moving_face(3), times=[0.5, 0.6, 0.7])
    np.testing.assert_allclose(decoded(path)[0], [0.5, 0.6, 0.7], atol=1e-4)


@pytest.mark.parametrize("size", [(64, 64), (720, 1280)])
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 160, 140)])
def test_colours_stay_and_are_told(tmp_path, size, colour):
    """Of sizes for which players would guess different ones."""
    path = record(tmp_path / "a.mp4", [np.full((*size, 3), colour, np.uint8)] * 2)
    for image in (read_video(path)[0][0], read_frames(path)[0].image):
        np.testing.assert_allclose(image.mean((0, 1)), colour, atol=3)
    with av.open(str(path)) as file:
        told = file.streams.video[0].codec_context
        assert (told.colorspace, told.color_range) == (1, 1)  # BT.709, limited


def test_shape_of_pixels_is_taken_over(tmp_path):
    original = tmp_path / "original.mp4"
    for turned in (False, True):
        with av.open(str(original), "w") as output:
            stream = output.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
            for _ in range(2):
                output.mux(stream.encode(av.VideoFrame(96, 64, "yuv420p")))
            output.mux(stream.encode(None))
        picture = scene(size=(96, 64) if turned else (64, 96))
        path = record(tmp_path / "a.mp4", [picture] * 2, original=original)
        with av.open(str(path)) as file:
            shape = file.streams.video[0].sample_aspect_ratio
        assert shape == (Fraction(3, 4) if turned else Fraction(4, 3))


def test_full_disk_is_named(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    (tmp_path / "a.mp4").symlink_to("/dev/full")
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (96, 128, 3), np.uint8) for _ in range(60)]
    with pytest.raises(OSError, match=r"a.mp4 of 128 x 96 pixels cannot be written \("):
        record(tmp_path / "a.mp4", images)


def test_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(OSError, match=r"a.mp4 of 128 x 96 pixels cannot be written \(Is a dir"):
        record(tmp_path / "a.mp4", [scene()])


# Sound


def original(path: Path, *codes: str, container: str = "mp4", seconds: float = 2.0) -> Path:
    sounds = [(code, tone(seconds, 440.0 + 220 * i)) for i, code in enumerate(codes)]
    codec = "mjpeg" if container == "avi" else "libx264"
    path.write_bytes(encode_video(moving_face(20), container=container, codec=codec, sounds=sounds))
    return path


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size]


@pytest.mark.parametrize("code", ["aac", "libmp3lame", "libopus", "flac"])
def test_sound_that_browsers_play_is_copied(tmp_path, code):
    source = original(tmp_path / "in.mp4", code)
    path = record(tmp_path / "out.mp4", moving_face(20), times=np.arange(20) / 10, original=source)
    before, after = packets(source), packets(path)
    assert after == before[: len(after)] and len(before) - len(after) <= 2
    assert frequency(heard(path)[0]) == pytest.approx(440, abs=2)
    assert len(decoded(path)[1]) == 20


@pytest.mark.parametrize(
    ("container", "code"),
    [("avi", "pcm_s16le"), ("mov", "pcm_s16le"), ("mpegts", "mp2"), ("mp4", "ac3")],
)
def test_other_sound_becomes_aac(tmp_path, container, code):
    source = original(tmp_path / "in.mov", code, container=container)
    path = record(tmp_path / "out.mp4", moving_face(20), original=source)
    with av.open(str(path)) as file:
        assert file.streams.audio[0].codec_context.codec.canonical_name == "aac"
    samples, start = heard(path)
    assert frequency(samples) == pytest.approx(440, abs=2)
    assert start == pytest.approx(0, abs=0.03)
    assert len(samples) / RATE == pytest.approx(2.0, abs=0.05)


def test_sound_of_a_transport_stream_is_copied(tmp_path):
    """There each packet tells its code itself, in MP4 the file does."""
    source = original(tmp_path / "in.ts", "aac", container="mpegts")
    path = record(tmp_path / "out.mp4", moving_face(20), original=source)
    assert frequency(heard(path)[0]) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("code", ["aac", "pcm_s16le"])
@pytest.mark.parametrize("container", ["mov", "matroska"])
def test_sound_stays_with_the_pictures(tmp_path, container, code):
    """It begins at the second in which the face appears."""
    samples = tone(3.0) * (np.arange(3 * RATE) >= 1.5 * RATE)
    images = [scene(*([(40, 30, 72, 62)] if i >= 15 else [])) for i in range(30)]
    source = tmp_path / "in.mov"
    # Of a recording whose clock does not begin at 0, as the pictures come a second later.
    source.write_bytes(
        encode_video(
            images, times=np.arange(30) / 10 + 0.25, container=container, sounds=[(code, samples)]
        )
    )
    frames = read_frames(source)
    path = record(
        tmp_path / "out.mp4",
        [frame.image for frame in frames],
        times=[frame.time for frame in frames],
        original=source,
    )
    times, pictures = decoded(path)
    appears = next(t for t, image in zip(times, pictures, strict=True) if image[45, 55, 0] > 150)
    sound, start = heard(path)
    begins = start + np.flatnonzero(np.abs(sound) > 0.1)[0] / RATE
    assert appears - begins == pytest.approx(0.25, abs=0.03)


def test_sound_ends_with_the_pictures(tmp_path):
    source = original(tmp_path / "in.mp4", "aac", seconds=10.0)
    path = record(tmp_path / "out.mp4", moving_face(20), original=source)
    samples, _ = heard(path)
    assert len(samples) / RATE == pytest.approx(2.0, abs=0.05)


def test_all_tracks_are_kept(tmp_path):
    source = original(tmp_path / "in.mov", "aac", "pcm_s16le", container="mov")
    path = record(tmp_path / "out.mp4", moving_face(20), original=source)
    assert [frequency(heard(path, track)[0]) for track in (0, 1)] == pytest.approx(
        [440, 660], abs=2
    )


def test_video_without_sound_has_none(tmp_path):
    source = original(tmp_path / "in.mp4")
    path = record(tmp_path / "out.mp4", moving_face(20), original=source)
    with av.open(str(path)) as file:
        assert len(file.streams) == 1


def test_video_is_written_though_its_sound_cannot_be_read(tmp_path, caplog):
    (tmp_path / "in.mp4").write_bytes(b"nothing")
    with caplog.at_level(logging.WARNING):
        path = record(tmp_path / "out.mp4", moving_face(5), original=tmp_path / "in.mp4")
    assert len(decoded(path)[1]) == 5
    (message,) = caplog.messages
    assert message.startswith(f"The sound of {tmp_path / 'in.mp4'} cannot be read: ")


def test_video_is_written_though_its_sound_breaks_off(tmp_path, caplog):
    source = original(tmp_path / "in.mov", "pcm_s16le", container="avi")
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with caplog.at_level(logging.WARNING):
        path = record(tmp_path / "out.mp4", moving_face(20), original=source)
    assert len(decoded(path)[1]) == 20
    assert 0.5 < len(heard(path)[0]) / RATE < 1.5


def test_video_is_written_though_its_sound_fits_no_mp4(tmp_path, caplog, monkeypatch):
    source = original(tmp_path / "in.mp4", "aac")

    def refuse(*_):
        raise av.error.InvalidDataError(1094995529, "Invalid data found when processing input")

    monkeypatch.setattr(pyav_writer, "Sound", refuse)
    with caplog.at_level(logging.WARNING):
        path = record(tmp_path / "out.mp4", moving_face(5), original=source)
    assert len(decoded(path)[1]) == 5
    assert caplog.messages == [f"{path} is without sound: Invalid data found when processing input"]
