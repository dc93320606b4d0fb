from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pytest

from df2s2_d2.inference.media import video as video_module
from df2s2_d2.inference.media.sources import Source
from df2s2_d2.inference.media.video import Video
from tests.fuzzing.cases import mutated, noise
from tests.fuzzing.fuzzing import ends_well, fuzz

NUM_FRAMES = 6


def video_bytes(ending: str, code: str, size: tuple[int, int] = (48, 32)) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"video{ending}")
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 10, size)
        random = np.random.default_rng(0)
        for _ in range(NUM_FRAMES):
            writer.write(random.integers(0, 256, (size[1], size[0], 3), np.uint8))
        writer.release()
        return path.read_bytes()


SEEDS = (video_bytes(".avi", "MJPG"), video_bytes(".mp4", "mp4v"), video_bytes(".mkv", "mp4v"))


@fuzz(mutated(*SEEDS) | noise(*(seed[:60] for seed in SEEDS)), short=30)
def test_videos(folder, case):
    check(folder / "a.mp4", case)


@fuzz(mutated(*SEEDS) | noise(*(seed[:60] for seed in SEEDS)), short=15)
def test_videos_by_opencv(folder, case):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(video_module, "is_pyav_installed", lambda: False)
        check(folder / "a.mp4", case)


def check(path: Path, case: bytes) -> None:
    path.write_bytes(case)
    messages: list[str] = []

    def read() -> list[np.ndarray]:
        with Video(Source(path, PurePosixPath("a.mp4"))) as video:
            return [frame.image for frame in video.frames(messages.append)]

    frames = ends_well(read, str(path))
    if frames is not None:
        assert frames or messages
        # A damaged one may be cut into many, but each takes bytes.
        assert len(frames) < max(100 * NUM_FRAMES, len(case) // 8)
        assert all(image.dtype == np.uint8 and image.ndim == 3 for image in frames)
    assert all(str(path) in message for message in messages)


def test_the_seeds_are_videos(folder):
    for seed in SEEDS:
        (folder / "a.mp4").write_bytes(seed)
        with Video(Source(folder / "a.mp4", PurePosixPath("a.mp4"))) as video:
            assert len(list(video.frames(lambda _: None))) == NUM_FRAMES
