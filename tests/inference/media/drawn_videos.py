"""Videos of any container, code and times, with sound, made by PyAV alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 48000  # samples a second
TONE = 440.0


def encode_video(
    images: Sequence[np.ndarray],
    *,
    times: Sequence[float] | None = None,
    fps: int = 10,
    container: str = "mp4",
    codec: str = "libx264",
    sounds: Sequence[tuple[str, np.ndarray]] = (),
    **options: str,
) -> bytes:
    """A video file.

    Args:
        images: RGB.
        times: of each, in seconds; by default as the rate says.
        fps: images a second.
        container, codec: FFmpeg's names.
        sounds: the code of each track, and its samples from second 0 on, (N,) from -1 to 1.
        options: of the codec.
    """
    times = np.arange(len(images)) / fps if times is None else times
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        height, width = images[0].shape[:2]
        options = ({"bf": "0"} if codec == "libx264" else {}) | options
        stream = output.add_stream(codec, rate=fps, options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000 if codec != "mpeg4" else fps)
        tracks = [
            (output.add_stream(code, rate=RATE, layout="mono"), samples) for code, samples in sounds
        ]
        for track, samples in tracks:
            frame = av.AudioFrame.from_ndarray(
                samples[None].astype(np.float32), format="fltp", layout="mono"
            )
            frame.rate, frame.pts = RATE, 0
            for part in av.AudioResampler(track.format, "mono", RATE).resample(frame):
                output.mux(track.encode(part))
            output.mux(track.encode(None))
        for image, time in zip(images, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.time_base = stream.codec_context.time_base
            frame.pts = round(time / frame.time_base)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def tone(seconds: float, frequency: float = TONE) -> np.ndarray:
    """Samples of a sine."""
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)


def heard(path: Path, track: int = 0) -> tuple[np.ndarray, float]:
    """The samples of a file's sound, (N,), and the second at which they begin."""
    with av.open(str(path)) as file:
        frames = list(file.decode(audio=track))
        start = float(frames[0].pts * frames[0].time_base)
        resampler = av.AudioResampler("fltp", "mono", RATE)
        parts = [part for frame in (*frames, None) for part in resampler.resample(frame)]
    return np.concatenate([part.to_ndarray()[0] for part in parts]), start


def frequency(samples: np.ndarray) -> float:
    """The loudest one, in Hz."""
    return float(np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples))
