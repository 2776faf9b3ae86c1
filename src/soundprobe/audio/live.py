"""Sound from a pipe, heard while it is still being written: samples without a header, or an encoded stream.

Letters: n samples of each of C channels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import numpy as np
import soundfile

from soundprobe.audio.decode import RATES_HZ, ForwardFile, Sound, WaveBlocks
from soundprobe.base.errors import AudioError, ConfigError, unknown

ENCODINGS = {"f32le": ("<f4", 1.0), "s16le": ("<i2", 2.0**15), "s32le": ("<i4", 2.0**31)}
"""As FFmpeg calls them: the type of a sample, and its full scale."""
CHUNK_BYTES = 65_536
BLOCKS_A_SECOND = 20  # of an encoded stream: libsndfile waits until a block is full


@dataclass(frozen=True)
class Raw:
    """Samples without a header: how each is written, how many there are in a second, of how many channels by turns.

    Raises:
        ConfigError: one of these is not valid.
    """

    encoding: str
    rate_hz: int
    channels: int = 1

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise ConfigError(unknown("encoding of --raw", self.encoding, ENCODINGS))
        if not RATES_HZ[0] <= self.rate_hz <= RATES_HZ[1]:
            raise ConfigError(f"--rate {self.rate_hz} is not valid: give {RATES_HZ[0]} to {RATES_HZ[1]} Hz.")
        if self.channels < 1:
            raise ConfigError(f"--channels-in {self.channels} is not valid: give 1 or more.")

    def blocks(self, pipe: BinaryIO) -> Iterator[np.ndarray]:
        """(n,) or (n, C) float32 of what `pipe` gives, as soon as it does; of a last frame that is cut nothing."""
        kind, full_scale = ENCODINGS[self.encoding]
        frame_bytes, rest = np.dtype(kind).itemsize * self.channels, b""
        while chunk := pipe.read1(CHUNK_BYTES):  # type: ignore[attr-defined]  # what all but unbuffered pipes have
            rest += chunk
            whole = len(rest) // frame_bytes * frame_bytes
            samples = (np.frombuffer(rest[:whole], kind) / full_scale).astype(np.float32)
            rest = rest[whole:]
            if len(samples):
                yield samples if self.channels == 1 else samples.reshape(-1, self.channels)


@dataclass(frozen=True)
class Live:
    """A pipe to listen to; who gave it closes it.

    `raw` is None where it has encoded audio, of a format that needn't be read backwards.
    """

    name: str
    pipe: BinaryIO
    raw: Raw | None = None

    def waves(self, wanted: Sequence[tuple[int, str]]) -> list[WaveBlocks]:
        """The wave at each of the rates in Hz, of the channels, that are `wanted`; to be read by one thread.

        Raises:
            AudioError: it is none of those formats. ConfigError: channels that can be told only at the end.
        """
        if any(channels == "loudest" for _, channels in wanted):
            raise ConfigError("Which channel is the loudest is known at a stream's end. Give --channels mean or first.")
        rate_hz, channels_in, blocks = self._opened()
        waves = []
        for (wanted_hz, channels), own in zip(wanted, itertools.tee(blocks, len(wanted)), strict=True):
            sound = Sound(self.name, rate_hz, channels_in, None, "", partial(iter, own), None, lambda: None)
            waves.append(WaveBlocks(sound, 0 if channels == "first" and channels_in > 1 else None, wanted_hz))
        return waves

    def _opened(self) -> tuple[int, int, Iterator[np.ndarray]]:
        if self.raw is not None:
            return self.raw.rate_hz, self.raw.channels, self.raw.blocks(self.pipe)
        try:
            file = ForwardFile(self.pipe.fileno(), closefd=False)
        except soundfile.LibsndfileError as error:
            raise AudioError(
                self.name, "can't be heard as it comes: send WAV or AU, or samples, and give --raw f32le --rate HZ"
            ) from error
        frames = max(1, file.samplerate // BLOCKS_A_SECOND)

        def blocks() -> Iterator[np.ndarray]:
            while len(block := file.read(frames, dtype="float32")):
                yield block

        return file.samplerate, file.channels, blocks()
