"""What libsndfile can't read, by FFmpeg, where PyAV (the package `av`, which brings FFmpeg along) is installed.

Letters: T samples of each of C channels.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from soundprobe.audio.encoded import Encoded, Reader
from soundprobe.audio.foreign import check_whole
from soundprobe.audio.formats import NEVER_READ, remedy
from soundprobe.base.errors import AudioError

if TYPE_CHECKING:
    import av

FULL_SCALE = {"u1": 2**7, "i2": 2**15, "i4": 2**31, "i8": 2**63}
COUNTED = ("mov", "wav", "w64", "aiff", "caf", "flac", "ogg", "wv", "tta", "ape", "matroska", "asf")
"""Containers that say how long they are; FFmpeg estimates the length of others by their bitrate."""
EXACT = ("mov", "wav", "w64", "aiff", "caf", "flac", "wv", "tta", "ape")
"""Those that say it to the sample; the others round to milliseconds, and may begin late or end early by a frame."""
LOSSLESS = ("alac", "flac", "pcm_", "wavpack", "tta", "ape", "wmalossless")
ROUNDED_S = 0.15
"""Lossy codecs may lack so much, the delay of their encoder, of what the container counts."""
BLOCK_SAMPLES = 2**17
ONE_TRACK = "keep one: ffmpeg -i FILE -map 0:a:0 FILE.wav"
LAST_RESORT = "fetch it again, or convert it to WAV with what wrote it"


def blocks(audio: Encoded, kind: str, name: str) -> Generator[tuple[int, np.ndarray]]:
    """The sound in `audio` in blocks (n, C) float32, where C > 1, else (n,), each with its rate in Hz.

    Integers come to lie in [-1, 1). Where the container counts its samples, there are as many: an encoder's padding is
    left out.

    Args:
        kind: the format's name, for messages.

    Raises:
        AudioError: PyAV is not installed, FFmpeg can't read it either, or samples are missing.
    """
    refusal = AudioError(name, f"{kind} is not supported: {remedy(kind)}")
    if kind in NEVER_READ:
        raise refusal
    try:
        import av
    except ImportError:
        raise refusal from None
    check_whole(audio, name)
    reader = Reader(audio)
    try:
        with av.open(reader, mode="r") as container:
            if not container.streams.audio:
                raise AudioError(name, f"{kind} without sound in it")
            if len(container.streams.audio) > 1:
                raise AudioError(name, f"{kind} with {len(container.streams.audio)} sound tracks: {ONE_TRACK}")
            stream = container.streams.audio[0]
            if stream.codec_context is None:
                raise AudioError(name, f"{kind} is not supported, by FFmpeg neither: {LAST_RESORT}")
            exact = container.format.name.split(",")[0] in EXACT
            count, rate_hz, told_s = 0, 0, _told_s(container, stream)
            for rate_hz, samples in _gathered(_sounds(container, stream, name)):
                left = round(told_s * rate_hz) - count if exact and told_s is not None else len(samples)
                count += len(samples)
                if left > 0:
                    samples = samples[:left]
                    yield rate_hz, samples[:, 0] if samples.shape[1] == 1 else samples
            told_s = _told_s(container, stream)
            slack_s = 0 if exact and stream.codec_context.name.startswith(LOSSLESS) else ROUNDED_S
    except (av.FFmpegError, ValueError, EOFError) as error:
        if reader.failed:
            raise reader.failed from error
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioError(
            name, f"{kind} is not supported by libsndfile, and FFmpeg can't decode it ({reason}): {LAST_RESORT}"
        ) from error
    if reader.failed:
        raise reader.failed
    told = None if told_s is None else round(told_s * rate_hz)
    if told is not None and count and count < told - slack_s * rate_hz:
        raise AudioError(name, f"truncated: its header counts {told:,} samples, and {count:,} are there")


def _gathered(sounds: Iterator[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    """FFmpeg's small frames in blocks."""
    held: list[np.ndarray] = []
    rate_hz = 0
    for rate_hz, samples in sounds:
        held.append(samples)
        if sum(each.size for each in held) >= BLOCK_SAMPLES:
            yield rate_hz, np.concatenate(held)
            held = []
    if held:
        yield rate_hz, np.concatenate(held)


def _sounds(container: av.container.InputContainer, stream: Any, name: str) -> Iterator[tuple[int, np.ndarray]]:
    """Of each decoded frame its rate in Hz, which is the same in all of them, and its samples (n, C) float32."""
    first: tuple[int, int] | None = None
    for frame in container.decode(stream):
        rate_hz, channels = frame.sample_rate, len(frame.layout.channels)
        first = first or (rate_hz, channels)
        if (rate_hz, channels) != first:
            raise AudioError(name, "its rate or channels change in the middle: split it")
        if frame.is_corrupt:
            raise AudioError(name, "truncated or damaged")
        if frame.format.name == "s64":  # which to_ndarray doesn't know
            samples = np.frombuffer(frame.planes[0], np.int64)[: frame.samples * channels]
        else:
            samples = frame.to_ndarray()
        samples = samples.T if frame.format.is_planar else samples.reshape(-1, channels)
        scale = FULL_SCALE.get(samples.dtype.str[1:])
        if scale is None:
            yield rate_hz, samples.astype(np.float32)
        else:
            zero = scale if samples.dtype.kind == "u" else 0
            yield rate_hz, ((samples.astype(np.float64) - zero) / scale).astype(np.float32)


def _told_s(container: av.container.InputContainer, stream: Any) -> float | None:
    """How many seconds the container says it holds; None where it doesn't."""
    if container.format.name.split(",")[0] not in COUNTED:
        return None
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / 1_000_000 if container.duration else None
