"""Files that FFmpeg writes, and what it reads of any: a decoder that shares nothing with the package's."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np

FULL_SCALE = {"u1": 2**7, "i2": 2**15, "i4": 2**31}
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def written_by_ffmpeg(
    wave: np.ndarray, rate_hz: int, container: str, codec: str, *, options: dict[str, str] | None = None
) -> bytes:
    """wave (T,) or (T, C) float32 as a file."""
    channels = 1 if wave.ndim == 1 else wave.shape[1]
    layout = LAYOUTS[channels]
    content = io.BytesIO()
    with av.open(content, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate_hz, layout=layout, options=options or {})
        context = stream.codec_context
        context.bit_rate = 128_000
        able = [format.name for format in av.codec.Codec(codec, "w").audio_formats]
        context.format = next((name for name in ("fltp", "flt", "s16", "s16p") if name in able), able[0])
        context.open()
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(wave.reshape(len(wave), channels).T, dtype=np.float32), format="fltp", layout=layout
        )
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        resampler = av.AudioResampler(
            format=context.format, layout=layout, rate=rate_hz, frame_size=context.frame_size or 1024
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            out.mux(stream.encode(piece))
    return content.getvalue()


def read_by_ffmpeg(audio: bytes) -> tuple[np.ndarray, int]:
    """(T, C) float64 and the rate in Hz."""
    blocks = []
    with av.open(io.BytesIO(audio)) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray()
            samples = samples.T if frame.format.is_planar else samples.reshape(frame.samples, -1)
            kind = samples.dtype.str[1:]
            zero = FULL_SCALE[kind] if kind == "u1" else 0
            blocks.append((samples.astype(np.float64) - zero) / FULL_SCALE.get(kind, 1))
            rate_hz = frame.sample_rate
    return np.concatenate(blocks), rate_hz
