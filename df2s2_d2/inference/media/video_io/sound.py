"""The sound of a video, handed on to another one while that is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Protocol

import av
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer

from df2s2_d2.inference.media.video_io.containers import beginning

# What browsers play in MP4 is copied as it is, everything else becomes AAC.
_COPIED = frozenset({"aac", "mp3", "opus", "flac"})
_CODEC = "aac"
_RATES = frozenset(
    {96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000}
)
_OTHER_RATE = 48000


class _Track(Protocol):
    """A stream of sound on its way."""

    def convert(self, packet: av.Packet) -> Iterable[av.Packet]:
        """What becomes of a packet, or of what is left if it is empty."""


class Sound:
    """All sound of a video, on its way into another.

    Packets go there as soon as the pictures of their time do, so that few wait in memory.
    """

    def __init__(self, original: InputContainer, video: OutputContainer):
        """
        Args:
            original: nothing else reads from it.
            video: gets the streams, so nothing may have been written to it.

        Raises:
            av.error.FFmpegError: if the sound is in a code that cannot be read.
        """
        self._video = video
        self._beginning = beginning(original)
        streams = [stream for stream in original.streams.audio if stream.codec_context is not None]
        self._tracks: dict[int, _Track] = {
            stream.index: _track(stream, video, self._beginning) for stream in streams
        }
        self._packets = original.demux(streams) if streams else iter(())
        self._next: av.Packet | None = next(self._packets, None)

    def hand_on(self, until: float) -> None:
        """Write the sound before a time, in seconds.

        Raises:
            av.error.FFmpegError: if it can be read no further.
        """
        while self._next is not None and _seconds(self._next, self._beginning) < until:
            self._write(self._next)
            self._next = next(self._packets, None)

    def finish(self, until: float) -> None:
        """Write the rest of the sound before a time, in seconds.

        Raises:
            av.error.FFmpegError: if it can be read no further.
        """
        self.hand_on(until)
        for track in self._tracks.values():
            self._video.mux(list(track.convert(av.Packet())))

    def _write(self, packet: av.Packet) -> None:
        if packet.size:  # those that end a stream come from finish alone
            self._video.mux(list(self._tracks[packet.stream.index].convert(packet)))


def _seconds(packet: av.Packet, beginning: Fraction) -> float:
    """When a packet is heard; one that does not tell goes with that before it."""
    told = packet.pts if packet.pts is not None else packet.dts
    if told is None:
        return float("-inf")
    return float(told * packet.time_base - beginning)


def _track(stream: AudioStream, video: OutputContainer, beginning: Fraction) -> _Track:
    is_copied = stream.codec_context.codec.canonical_name in _COPIED
    return (_CopiedTrack if is_copied else _EncodedTrack)(stream, video, beginning)


class _CopiedTrack:
    """Sound as it is, from the beginning of the video on."""

    def __init__(self, stream: AudioStream, video: OutputContainer, beginning: Fraction):
        self._stream = video.add_stream_from_template(stream)
        self._shift = round(beginning / stream.time_base)

    def convert(self, packet: av.Packet) -> Iterator[av.Packet]:
        if packet.size:
            packet.stream = self._stream
            packet.pts = None if packet.pts is None else packet.pts - self._shift
            packet.dts = None if packet.dts is None else packet.dts - self._shift
            yield packet


class _EncodedTrack:
    """Sound encoded anew."""

    def __init__(self, stream: AudioStream, video: OutputContainer, beginning: Fraction):
        source = stream.codec_context
        rate = source.sample_rate if source.sample_rate in _RATES else _OTHER_RATE
        layout = "mono" if source.layout.nb_channels == 1 else "stereo"
        self._input = stream
        self._output = video.add_stream(_CODEC, rate=rate, layout=layout)
        self._resampler = AudioResampler(format="fltp", layout=layout, rate=rate)
        self._beginning = beginning

    def convert(self, packet: av.Packet) -> Iterator[av.Packet]:
        for frame in self._decoded(packet):
            for resampled in self._resampler.resample(frame):
                yield from self._output.encode(resampled)
        if not packet.size:
            for resampled in self._resampler.resample(None):
                yield from self._output.encode(resampled)
            yield from self._output.encode(None)

    def _decoded(self, packet: av.Packet) -> Iterator[av.AudioFrame]:
        try:
            frames = self._input.decode(packet if packet.size else None)
        except (av.error.FFmpegError, EOFError):
            return
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= round(self._beginning / frame.time_base)
            yield frame
