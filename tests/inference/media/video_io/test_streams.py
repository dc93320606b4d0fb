"""Streams of servers on this machine that break off twice."""

from __future__ import annotations

import logging

import av
import numpy as np
import pytest

from df2s2_d2.inference.media import face_search
from df2s2_d2.inference.media.long_run_options import LongRunOptions
from df2s2_d2.inference.media.sources import LiveOptions, find_sources
from df2s2_d2.inference.media.video import Video
from df2s2_d2.inference.media.video_io import stream_reader
from tests.inference.media.drawn_videos import encode_video, tone
from tests.inference.media.runs import find, read_results
from tests.inference.media.scenes import moving_face
from tests.inference.media.stream_servers import (
    HttpFile,
    HttpStream,
    RtspStream,
    StreamServer,
    serving,
)

IMAGES = moving_face(30)


def session(part: int) -> bytes:
    """Ten of thirty pictures in a second."""
    images = IMAGES[10 * part : 10 * part + 10]
    return encode_video(images, container="mpegts", fps=20, g="5", x264opts="repeat-headers=1")


@pytest.fixture(autouse=True)
def no_frame_is_left_out(monkeypatch):
    """However slow the machine is that runs the test."""
    monkeypatch.setattr(stream_reader, "_MOST_WAITING", 1000)
    monkeypatch.setattr(stream_reader, "_FIRST_PAUSE", 0.05)
    monkeypatch.setattr(stream_reader, "_GRACE", 600)


def sources(server: StreamServer, path: str = "live", reconnect: float = 0.3):
    return find_sources([server.address(path)], live=LiveOptions(reconnect=reconnect))


def left(image: np.ndarray) -> int:
    """The first column of the face: it tells the pictures from each other."""
    return int(np.flatnonzero(image[40, :, 0] > 150)[0])


@pytest.mark.parametrize("protocol", [HttpStream, RtspStream])
def test_stream_that_breaks_off_twice_is_followed_to_its_end(protocol, caplog):
    reports: list[str] = []
    with serving(StreamServer(protocol, map(session, range(3)))) as server:
        (source,) = sources(server)
        with caplog.at_level(logging.WARNING), Video(source) as video:
            assert (video.is_live, video.num_frames) == (True, None)
            frames = list(video.frames(reports.append))
        assert server.num_served == 3
    assert [left(frame.image) for frame in frames] == pytest.approx(range(10, 70, 2), abs=1)
    assert [frame.index for frame in frames] == list(range(30))
    times = np.array([frame.time for frame in frames])
    steps = np.diff(times)
    within = np.ones(29, bool)
    within[[9, 19]] = False
    np.testing.assert_allclose(steps[within], 0.05, atol=0.002)
    assert (steps[~within] > 0).all() and times[0] == 0
    place = server.address()
    broken = [message for message in caplog.messages if "broke off" in message]
    assert len(broken) == 3 and all(place in message for message in broken)
    assert caplog.messages.count(f"The stream {place} is there again") == 2
    (report,) = reports
    assert report.startswith(f"The stream {place} gives no more frames (")
    assert "tried again for 0.3 seconds: check that it is still there" in report


@pytest.mark.parametrize("protocol", [HttpStream, RtspStream])
def test_results_and_recording_of_a_stream(tmp_path, protocol):
    with serving(StreamServer(protocol, map(session, range(3)))) as server:
        finding = find(sources(server, "room/1"), tmp_path / "out", draws_boxes=False)
        place = server.address("room/1")
        port = server.server_address[1]
    records = read_results(tmp_path / "out")
    assert (finding.num_frames, len(records)) == (30, 30)
    assert {record["file"] for record in records} == {place}
    boxes = [record["faces"][0]["box"][0] for record in records]
    assert boxes == pytest.approx(range(10, 70, 2), abs=1)
    (failure,) = finding.failures
    assert failure.startswith(f"The stream {place} gives no more frames (")
    with av.open(str(tmp_path / f"out/127.0.0.1_{port}_room_1.mp4")) as file:
        frames = list(file.decode(video=0))
    np.testing.assert_allclose(
        [frame.time for frame in frames], [record["time"] for record in records], atol=1e-3
    )


@pytest.mark.parametrize("protocol", [HttpStream, RtspStream])
def test_password_opens_the_stream_and_is_told_nobody(tmp_path, protocol, caplog):
    server = StreamServer(protocol, [session(0)], login="anna:secret")
    with serving(server), caplog.at_level(logging.DEBUG):
        finding = find(sources(server), tmp_path / "out", is_written=False)
    assert finding.num_frames == 10
    told = [*caplog.messages, *finding.failures, (tmp_path / "out/detections.json").read_text()]
    assert not any("secret" in text or "anna" in text for text in told)


def test_stream_is_left_after_its_time(tmp_path):
    with serving(StreamServer(RtspStream, [session(0)] * 3)) as server:
        live = LiveOptions(duration=0.23)
        finding = find(find_sources([server.address()], live=live), tmp_path / "out")
    assert (finding.num_frames, finding.failures) == (5, [])


def test_stream_is_not_tried_again_unasked():
    reports: list[str] = []
    with serving(StreamServer(RtspStream, [session(0)] * 2)) as server:
        (source,) = sources(server, reconnect=0)
        with Video(source) as video:
            assert len(list(video.frames(reports.append))) == 10
        assert server.num_served == 1


def test_video_on_a_web_server_is_read_like_a_file():
    """Where a connection breaks off the next one goes on."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (96, 128, 3), np.uint8) for _ in range(30)]
    content = encode_video(images, fps=10, sounds=[("aac", tone(3.0))])
    reports: list[str] = []
    with serving(StreamServer(HttpFile, [(content, len(content) // 3)] * 20)) as server:
        (source,) = sources(server, "clips/a.mp4")
        assert str(source.name).endswith("clips_a.mp4")
        with Video(source) as video:
            assert (video.is_live, video.num_frames) == (False, 30)
            frames = list(video.frames(reports.append))
        assert server.num_served > 2
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(30) / 10, atol=1e-3)
    assert reports == []


@pytest.mark.parametrize("protocol", [HttpStream, RtspStream])
def test_what_cannot_be_opened_is_one_sentence(protocol):
    with serving(StreamServer(protocol, [b"no video " * 1000])) as server:
        (source,) = sources(server)
        with pytest.raises(OSError, match=f"^The stream {server.address()} cannot be opened \\("):
            Video(source)
    with pytest.raises(OSError, match=r"cannot be opened \(Connection refused\): check the addr"):
        Video(source)


def test_lists_of_a_server_open_no_file(tmp_path):
    (tmp_path / "a.ts").write_bytes(session(0))
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{tmp_path}/a.ts\n#EXT-X-ENDLIST\n"
    with serving(StreamServer(HttpStream, [text.encode()] * 4)) as server:
        (source,) = sources(server, "list.m3u8")
        with pytest.raises(OSError, match="cannot be opened"):
            Video(source)


def test_run_over_a_stream_keeps_no_record(tmp_path):
    """It could not go on by it."""
    streams = find_sources(["rtsp://camera/1"])
    record = face_search._open_record(streams, LongRunOptions(), tmp_path, {})
    assert (record.is_kept, record.remaining) == (False, streams)
