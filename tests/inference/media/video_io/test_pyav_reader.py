"""What containers say of their pictures is heeded."""

from __future__ import annotations

import re
import struct
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from df2s2_d2.inference.media.sources import find_sources
from df2s2_d2.inference.media.video import Video
from tests.inference.media.drawn_videos import encode_video, tone
from tests.inference.media.scenes import moving_face, scene


def read(path: Path, content: bytes | None = None):
    """Times and images of all frames of a video file, and what was reported."""
    if content is not None:
        path.write_bytes(content)
    reports: list[str] = []
    with Video(find_sources([str(path)])[0]) as video:
        frames = list(video.frames(reports.append))
    return [frame.time for frame in frames], [frame.image for frame in frames], reports


def test_titles_in_other_encodings_are_nobodys_business(tmp_path):
    path = tmp_path / "title.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Titel: Muenchen"
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.metadata["title"] = "Spur: Muenchen"
        for image in moving_face(3):
            small = np.ascontiguousarray(image[:48, :64])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
        container.mux(stream.encode())
    latin = path.read_bytes().replace(b"Muenchen", "M\xfcnchen!".encode("latin-1"))
    assert latin.count(b"M\xfcnchen!") == 2
    times, _, reports = read(tmp_path / "a.mkv", latin)
    assert (len(times), reports) == (3, [])


VARIABLE = [0, 0.04, 0.08, 0.5, 0.55, 2.0, 2.1, 75.0, 75.04]


@pytest.mark.parametrize("container", ["mp4", "matroska", "mov"])
def test_times_are_those_of_the_container(tmp_path, container):
    content = encode_video(moving_face(9), times=VARIABLE, container=container)
    times, images, reports = read(tmp_path / "a.mp4", content)
    np.testing.assert_allclose(times, VARIABLE, atol=1e-3)
    assert (len(images), reports) == (9, [])


def test_frames_that_are_stored_in_another_order_come_in_that_of_time(tmp_path):
    images = moving_face(30)
    content = encode_video(images, bf="3", b_strategy="0")
    times, found, _ = read(tmp_path / "a.mp4", content)
    np.testing.assert_allclose(times, np.arange(30) / 10, atol=1e-3)
    for picture, image in zip(found, images, strict=True):
        assert np.abs(picture.astype(int) - image).mean() < 6


def test_time_begins_with_the_sound_if_that_is_first(tmp_path):
    content = encode_video(
        moving_face(5), times=np.arange(5) / 10 + 0.5, sounds=[("aac", tone(1.0))]
    )
    times, _, reports = read(tmp_path / "a.mp4", content)
    np.testing.assert_allclose(times, np.arange(5) / 10 + 0.5, atol=2e-3)
    assert reports == []


@pytest.mark.parametrize("container", ["mpegts", "matroska"])
def test_time_begins_with_the_first_frame_of_a_recording_cut_out_of_another(tmp_path, container):
    content = encode_video(moving_face(5), times=np.arange(5) / 10 + 100, container=container)
    times, _, _ = read(tmp_path / "a.mp4", content)
    np.testing.assert_allclose(times, np.arange(5) / 10, atol=1e-3)


def turned(content: bytes, a: int, b: int, c: int, d: int) -> bytes:
    """An MP4 whose track has another display matrix."""
    # Of 36 bytes, behind 40 of version 0's fields before it, and the four letters.
    place = content.index(b"tkhd") + 4 + 40
    one = 1 << 16
    matrix = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    return content[:place] + matrix + content[place + 36 :]


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [
        ((1, 0, 0, 1), (slice(0, 40), slice(0, 50))),
        ((0, 1, -1, 0), (slice(0, 50), slice(-40, None))),
        ((-1, 0, 0, -1), (slice(-40, None), slice(-50, None))),
        ((0, -1, 1, 0), (slice(-50, None), slice(0, 40))),
        ((-1, 0, 0, 1), (slice(0, 40), slice(-50, None))),
    ],
    ids=["upright", "90", "180", "270", "mirrored"],
)
def test_pictures_are_upright(tmp_path, matrix, corner):
    content = turned(encode_video([scene((0, 0, 50, 40))] * 3), *matrix)
    _, images, _ = read(tmp_path / "a.mp4", content)
    expected = np.full((96, 128, 3) if matrix[0] else (128, 96, 3), (20, 30, 90), int)
    expected[corner] = 255
    for image in images:
        assert image.shape == expected.shape
        assert np.abs(image - expected).mean() < 6


def test_what_was_trimmed_without_a_copy_is_not_missed(tmp_path):
    """The first ten frames are in the file, but not in the video."""
    content = encode_video(moving_face(30), times=np.arange(30) / 10 - 1.0)
    times, images, reports = read(tmp_path / "a.mp4", content)
    np.testing.assert_allclose(times, np.arange(20) / 10, atol=1e-3)
    assert np.flatnonzero(images[0][40, :, 0] > 150)[0] == pytest.approx(30, abs=1)
    assert reports == []


def noise(num_frames: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (96, 128, 3), np.uint8) for _ in range(num_frames)]


def test_break_is_told_in_seconds_where_frames_are_not_counted(tmp_path):
    content = encode_video(noise(30), container="matroska")
    _, images, reports = read(tmp_path / "a.mkv", content[: len(content) // 2])
    assert 3 < len(images) < 27
    (report,) = reports
    assert report.startswith(f"The video {tmp_path / 'a.mkv'} can be read up to ")
    assert re.search(r"up to 1\.\d of 3\.0 seconds only: it is damaged or cut short", report)


def test_still_with_long_sound_is_whole(tmp_path):
    sound = tone(4.0)
    content = encode_video([scene()] * 2, container="matroska", sounds=[("libopus", sound)])
    _, images, reports = read(tmp_path / "a.mkv", content)
    assert (len(images), reports) == (2, [])


def test_frames_behind_damaged_ones_are_read(tmp_path):
    content = bytearray(encode_video(noise(30), container="mpegts", g="5"))
    middle = len(content) // 2 // 188 * 188
    content[middle : middle + 188 * 20] = bytes(188 * 20)
    times, _, _ = read(tmp_path / "a.mts", bytes(content))
    assert 20 <= len(times) <= 30
    assert times[-1] == pytest.approx(2.9, abs=0.01)
    assert times == sorted(times)


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as output:
        track = output.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            tone(0.5)[None].astype(np.float32), format="fltp", layout="mono"
        )
        frame.rate = 48000
        output.mux(track.encode(frame))
        output.mux(track.encode(None))
    with pytest.raises(OSError, match=r"The video .*a\.mp4 cannot be read: it holds no pictures"):
        read(tmp_path / "a.mp4")


@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.ffconcat"])
@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile b.ts\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nb.ts\n#EXT-X-ENDLIST\n",
    ],
    ids=["concat", "hls"],
)
def test_file_opens_no_other_file(tmp_path, name, text):
    (tmp_path / "b.ts").write_bytes(encode_video([scene()] * 3, container="mpegts"))
    (tmp_path / name).write_text(text)
    with pytest.raises(OSError, match="cannot be read"):
        read(tmp_path / name)


def test_file_opens_no_address(tmp_path):
    """A list of what lies on servers may have the name of a video."""
    requests = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/a.ts"
        (tmp_path / "b.ts").write_bytes(encode_video([scene()] * 3, container="mpegts"))
        for line in (address, str(tmp_path / "b.ts")):
            path = tmp_path / "a.mp4"
            path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{line}\n")
            with pytest.raises(OSError, match="cannot be read"):
                read(path)
        server.shutdown()
    assert requests == []
