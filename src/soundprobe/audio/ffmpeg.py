"""What libsndfile can't read, by FFmpeg, where PyAV (the package `av`, which brings FFmpeg along) is installed.

Letters: T samples of each of C channels.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

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
ONE_TRACK = "keep one: ffmpeg -i FILE -map 0:a:0 FILE.wav"
LAST_RESORT = "fetch it again, or convert it to WAV with what wrote it"


def decode(audio: bytes, kind: str, name: str) -> tuple[np.ndarray, int]:
    """The sound in `audio` (T, C) float32, where C > 1, else (T,), and its rate in Hz.

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
    try:
        with av.open(io.BytesIO(audio), mode="r") as container:
            if not container.streams.audio:
                raise AudioError(name, f"{kind} without sound in it")
            if len(container.streams.audio) > 1:
                raise AudioError(name, f"{kind} with {len(container.streams.audio)} sound tracks: {ONE_TRACK}")
            stream = container.streams.audio[0]
            if stream.codec_context is None:
                raise AudioError(name, f"{kind} is not supported, by FFmpeg neither: {LAST_RESORT}")
            sounds = list(_sounds(container, stream, name))
            told_s = _told_s(container, stream)
            exact = container.format.name.split(",")[0] in EXACT
            slack_s = 0 if exact and stream.codec_context.name.startswith(LOSSLESS) else ROUNDED_S
    except (av.FFmpegError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioError(
            name, f"{kind} is not supported by libsndfile, and FFmpeg can't decode it ({reason}): {LAST_RESORT}"
        ) from error
    if not sounds:
        raise AudioError(name, "no samples")
    rate_hz, samples = sounds[0][0], sum(len(block) for _, block in sounds)
    told = None if told_s is None else round(told_s * rate_hz)
    if told is not None and samples < told - slack_s * rate_hz:
        raise AudioError(name, f"truncated: its header counts {told:,} samples, and {samples:,} are there")
    frames = np.concatenate([block for _, block in sounds])[: told if exact else None]
    return (frames[:, 0] if frames.shape[1] == 1 else frames), rate_hz


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
