"""The one decode path: a file or bytes -> mono float32 at a rate, cut or padded to a length.

Decoding is libsndfile's (WAV, FLAC, Ogg Vorbis and Opus, MP3, AIFF), or FFmpeg's where libsndfile can't and PyAV is
installed; resampling is soxr's. A clip of up to `WHOLE_SAMPLES` is decoded at once and looked at to its end. Of a
longer recording only as much is decoded as is used, block by block, in memory that doesn't grow with it.

T is the number of samples, C of channels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from soundprobe.audio import checks, ffmpeg
from soundprobe.audio.containers import Streams, streams
from soundprobe.audio.encoded import Encoded, Reader
from soundprobe.audio.formats import not_audio, other_format
from soundprobe.audio.hushed import hushed
from soundprobe.base.errors import AudioError, ConfigError, unknown

DECODE_VERSION = 1
"""Enters the key of every embedding: raise it when `decode` returns other samples than before.

What some clips alone are read by since then, `AudioInfo.decoder` says, and that enters the keys of their sets.
"""

CHANNELS = ("mean", "first", "loudest")
"""What becomes of a clip with several channels; the loudest is the one with the most energy."""

RATES_HZ = (1_000, 1_000_000)
"""Lower and higher rates in a header are damage; resampling from 1 Hz would fill the memory."""

SLACK_FRAMES = 64
"""Some writers of AIFF count a few samples more or less than there are."""
WHOLE_SAMPLES = 2**23
"""Of all channels together, or resampled: 3 minutes of one channel at 44.1 kHz."""
BLOCK_SAMPLES = 2**20
"""Of all channels together."""
MOST_SAMPLES = 2**33
"""Of all channels together, in one file: 54 hours of one channel at 44.1 kHz. A header that counts more is refused."""
MOST_HELD = 2**28
"""Samples of a wave that is wanted whole, after resampling: 1 GiB."""
TOO_LONG = f"more than {MOST_SAMPLES:,} samples: split it"
TOO_MUCH = f"more than {MOST_HELD:,} samples at once: split it"
UNKNOWN_FRAMES = 2**63 - 1  # libsndfile's SF_COUNT_MAX
UNSUPPORTED_ENCODING = 4  # libsndfile's SF_ERR_UNSUPPORTED_ENCODING
MAGIC = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS")


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a clip's header says: seconds, Hz, channels, and frames (samples of one channel).

    `decoder` is empty where libsndfile reads the file as it is, or as it always was; else "FFmpeg", or what had to be
    mended for libsndfile: "joined", "size", "padding", "bits", "tag", "tail", "zeros", "BW64", "MP3 in WAV".
    """

    duration_s: float
    sample_rate_hz: int
    channels: int
    frames: int
    decoder: str = ""


class ForwardFile(soundfile.SoundFile):
    """A SoundFile that is only read onwards.

    SoundFile seeks to where it is after every read, which fails at the end of a FLAC stream of unknown length.
    """

    def seekable(self) -> bool:
        return False


def inspect(audio: Encoded, name: str) -> AudioInfo:
    """Length, rate and channels of encoded audio, from its headers; no sample is decoded.

    A FLAC stream of unknown length, as encoders write it into a pipe, is decoded to count its frames; so are joined
    files and what FFmpeg reads. No more than a block of them is held.

    Raises:
        AudioError: as `decode`, but for what only the samples show: a FLAC file cut short, NaN.
    """
    with closing(_open(audio, name)) as sound:
        frames = sound.frames
        if frames is None:
            frames = sum(len(block) for block in sound.blocks())
        if frames == 0:
            raise AudioError(name, "no samples")
        return AudioInfo(frames / sound.rate_hz, sound.rate_hz, sound.channels, frames, sound.decoder)


def decode(
    audio: Encoded, *, sample_rate_hz: int, name: str, channels: str = "mean", samples: int | None = None
) -> np.ndarray:
    """Encoded audio -> wave (T,) float32, its channels made one, resampled to `sample_rate_hz` (soxr, HQ).

    Integer samples come to lie in [-1, 1). Floating-point files, lossy codecs and resampling may go beyond;
    such samples are kept as they are, since clipping would distort what the file holds.

    A file is called truncated where its header promises over 64 bytes more than there are (some writers count their
    own header), unless the size is one that is made up before the length is known; where FLAC frames are missing or
    broken, a page of an Ogg stream is missing, damaged or incomplete, or the last isn't marked so, or an MP3's last
    frame is incomplete or its Xing header promises frames that aren't there. What follows the samples of a WAV, RF64,
    W64, CAF, AU, AIFF or Ogg file must be chunks, tags or zeros. What can't be told: a cut file that was streamed with
    an unknown size; a FLAC without its total, or an MP3 without a Xing header, that was cut between two frames; a
    single missing MP3 frame; a cut in what libsndfile reads beside WAV, RF64, W64, CAF, AU, AIFF and NIST SPHERE.

    Args:
        audio: the bytes of a whole file (docs/data.md lists the formats), with any number of channels, at 1 kHz to
            1 MHz. Files of one format that were joined are read to the last one's end.
        name: stands in messages.
        channels: one of `CHANNELS`.
        samples: how many of T are used at most. Of a recording above `WHOLE_SAMPLES` no more is then decoded and
            checked than they need; with "loudest", all of it is once.

    Raises:
        AudioError: "empty file", "not audio", "not audio but ...", "... is not supported", "unsupported encoding",
            "no samples", "truncated", "truncated or damaged", "... bytes follow the samples ...", "joined of ...",
            "several ...", "NaN or infinite samples", "sample rate of ... Hz", or "more than ... samples ...".
    """
    return decode_checked(audio, sample_rate_hz=sample_rate_hz, name=name, channels=channels, samples=samples)[0]


def decode_checked(
    audio: Encoded, *, sample_rate_hz: int, name: str, channels: str = "mean", samples: int | None = None
) -> tuple[np.ndarray, checks.Findings]:
    """As `decode`, and what `soundprobe.audio.checks` has to say of the samples, before they are resampled."""
    with closing(_open(audio, name)) as sound:
        begun = sound.begin(max(sound.channels, sample_rate_hz / sound.rate_hz))
        if not isinstance(begun, np.ndarray):
            looked = _Looked(sound.pick(channels, audio), name)
            return _collect(
                _resampled(looked.waves(begun), sound.rate_hz, sample_rate_hz, name), samples, name
            ), looked.found
    wave = _one_channel(begun, channels)
    found = _check(begun if channels == "mean" else wave, wave, name)
    if sound.rate_hz != sample_rate_hz:
        wave = soxr.resample(wave, sound.rate_hz, sample_rate_hz, quality="HQ")
        _check_finite(wave, name)
    return (wave if samples is None or len(wave) <= samples else wave[:samples].copy()), found


class WaveBlocks(Iterator[np.ndarray]):
    """A wave in blocks (n,) float32 that follow each other, in memory that doesn't grow with T.

    Where the blocks end says nothing, and may change.

    Attributes:
        told_s: how long its header says that it is, in seconds; None where only decoding tells.

    Raises:
        AudioError: as `decode`, as soon as it shows.
    """

    def __init__(self, sound: Sound, channel: int | None, sample_rate_hz: int) -> None:
        self.told_s = None if sound.frames is None else sound.frames / sound.rate_hz
        self._looked = _Looked(channel, sound.name)
        self._blocks = self._read(sound, sample_rate_hz)

    def _read(self, sound: Sound, sample_rate_hz: int) -> Generator[np.ndarray]:
        with closing(sound):
            yield from _resampled(self._looked.waves(sound.blocks()), sound.rate_hz, sample_rate_hz, sound.name)
        if not self._looked.any:
            raise AudioError(sound.name, "no samples")

    def __next__(self) -> np.ndarray:
        return next(self._blocks)

    @property
    def findings(self) -> checks.Findings:
        """What `soundprobe.audio.checks` has to say of all that was read so far."""
        return self._looked.found


def decode_blocks(audio: Encoded, *, sample_rate_hz: int, name: str, channels: str = "mean") -> WaveBlocks:
    """The wave that `decode` gives, to the bit, in blocks.

    Args:
        audio: of `soundprobe.audio.encoded.open_encoded`, which leaves a large file on the disk.

    Raises:
        AudioError: as `decode`, here or as soon as it shows.
    """
    sound = _open(audio, name)
    return WaveBlocks(sound, sound.pick(channels, audio), sample_rate_hz)


def survey(audio: Encoded, name: str, channels: str = "mean") -> tuple[float, checks.Findings]:
    """The largest |sample| of all, and what `soundprobe.audio.checks` has to say of them; every sample is decoded.

    Raises:
        AudioError: as `decode`.
    """
    with closing(_open(audio, name)) as sound:
        begun = sound.begin(sound.channels)
        if not isinstance(begun, np.ndarray):
            looked = _Looked(sound.pick(channels, audio), name)
            return max(float(np.abs(wave).max(initial=0.0)) for wave in looked.waves(begun)), looked.found
    wave = _one_channel(begun, channels)
    return float(np.abs(wave).max(initial=0.0)), _check(begun if channels == "mean" else wave, wave, name)


def decode_frames(audio: Encoded, name: str, first: int = 0, last: int | None = None) -> tuple[np.ndarray, int]:
    """Samples as they are, (T,) or (T, C) float32, from frame `first` up to `last`, and their rate in Hz.

    Raises:
        AudioError: as `decode`, but for NaN.
    """
    kept: list[np.ndarray] = []
    at = 0
    with closing(_open(audio, name)) as sound:
        for block in sound.blocks():
            kept.append(block[max(0, first - at) : None if last is None else max(0, last - at)])
            at += len(block)
            if last is not None and at >= last:
                break
            if sum(each.size for each in kept) > MOST_HELD:
                raise AudioError(name, TOO_MUCH)
    if not at:
        raise AudioError(name, "no samples")
    return np.concatenate(kept), sound.rate_hz


def check_channels(channels: str) -> None:
    """Raises ConfigError where `channels` is none of `CHANNELS`."""
    if channels not in CHANNELS:
        raise ConfigError(unknown("choice of --channels", channels, CHANNELS))


def fit_length(wave: np.ndarray, samples: int) -> np.ndarray:
    """wave (T,) -> (samples,) float32: cut at the end, or padded with zeros there. May be a view of `wave`."""
    if len(wave) >= samples:
        return wave[:samples].astype(np.float32, copy=False)
    fitted = np.zeros(samples, dtype=np.float32)
    fitted[: len(wave)] = wave
    return fitted


@dataclass(frozen=True)
class Sound:
    """Sound that was opened: what its header says, and its samples in blocks.

    `frames` is None where only decoding tells. `blocks()`, called once, yields (n,) or (n, C) float32 of about
    `BLOCK_SAMPLES`; `whole` reads all at once, where that is not None.
    """

    name: str
    rate_hz: int
    channels: int
    frames: int | None
    decoder: str
    blocks: Callable[[], Iterator[np.ndarray]]
    whole: Callable[[], np.ndarray] | None
    close: Callable[[], None]

    def begin(self, made_of_each: float) -> np.ndarray | Iterator[np.ndarray]:
        """All frames (T,) or (T, C), or the blocks of what is more than `WHOLE_SAMPLES`.

        Args:
            made_of_each: how many samples are made of each frame.
        """
        most = WHOLE_SAMPLES / made_of_each
        if self.frames is not None and self.frames > most:
            return self.blocks()
        if self.whole is not None:
            frames = self.whole()
        else:
            blocks, held, count = self.blocks(), [], 0
            for block in blocks:
                held.append(block)
                count += len(block)
                if count > most:
                    return itertools.chain(held, blocks)
            frames = np.concatenate(held) if held else np.empty(0, np.float32)
        if len(frames) == 0:
            raise AudioError(self.name, "no samples")
        return frames

    def pick(self, channels: str, audio: Encoded) -> int | None:
        """Which channel is taken, None: their mean. For the loudest all of `audio` is decoded, once more."""
        if channels == "mean" or self.channels == 1:
            return None
        if channels == "first":
            return 0
        energy = np.zeros(self.channels)
        with closing(_open(audio, self.name)) as again:
            for block in again.blocks():
                energy += np.square(block, dtype=np.float64).sum(axis=0)
        return int(energy.argmax())


class _Looked:
    """Blocks of frames, made one channel and checked as they pass; `found` is what all of them have so far."""

    def __init__(self, channel: int | None, name: str) -> None:
        self._channel, self._name, self.any = channel, name, False
        self.found: checks.Findings = {}

    def waves(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """(n, C) or (n,) -> (n,).

        Raises:
            AudioError: NaN or infinite samples.
        """
        for block in blocks:
            if self._channel is not None and block.ndim == 2:
                block = np.ascontiguousarray(block[:, self._channel])
            wave = _one_channel(block, "mean")
            found = _check(block, wave, self._name)
            self.found = checks.in_both(self.found, found) if self.any else found
            self.any = True
            yield wave


def _check(frames: np.ndarray, wave: np.ndarray, name: str) -> checks.Findings:
    return checks.findings(frames, wave, *_check_finite(wave, name))


def _check_finite(wave: np.ndarray, name: str) -> tuple[float, float]:
    """The least and the largest sample. Raises AudioError where one is not finite; so may be what is made of 1e38."""
    lowest, highest = float(wave.min()), float(wave.max())
    if not np.isfinite([lowest, highest]).all():
        raise AudioError(name, "NaN or infinite samples")
    return lowest, highest


def _resampled(waves: Iterator[np.ndarray], rate_hz: int, wanted_hz: int, name: str) -> Iterator[np.ndarray]:
    """The waves at another rate. soxr gives the same samples of a stream as of the whole."""
    if rate_hz == wanted_hz:
        yield from waves
        return
    stream = soxr.ResampleStream(rate_hz, wanted_hz, 1, dtype="float32", quality="HQ")
    last = np.empty(0, np.float32)
    for wave in itertools.chain(waves, [last]):
        for piece in np.array_split(wave, max(1, round(len(wave) * wanted_hz / rate_hz / BLOCK_SAMPLES))):
            made = stream.resample_chunk(piece, last=wave is last)
            if len(made):
                _check_finite(made, name)
                yield made


def _collect(waves: Iterator[np.ndarray], samples: int | None, name: str) -> np.ndarray:
    """The first `samples` of waves, or all."""
    kept: list[np.ndarray] = []
    count = 0
    for wave in waves:
        kept.append(wave if samples is None else wave[: samples - count])
        count += len(wave)
        if samples is not None and count >= samples:
            break
        if count > MOST_HELD:
            raise AudioError(name, TOO_MUCH)
    return np.concatenate(kept)


def _open(audio: Encoded, name: str) -> Sound:
    if not len(audio):
        raise AudioError(name, "empty file")
    found = streams(audio, name)
    sound = _open_found(found, name)
    if found.frames is not None:
        frames = sound.frames
        if frames is None:
            frames = sum(len(block) for block in sound.blocks())
            sound.close()
            sound = _open_found(found, name)
        if abs(found.frames - frames) > SLACK_FRAMES * audio.startswith(b"FORM"):
            sound.close()
            if audio.startswith(b"NIST"):
                raise AudioError(name, "truncated")
            if audio.startswith(b"FORM"):
                raise AudioError(
                    name, f"its header counts {found.frames:,} samples, and {frames:,} are there: write it anew"
                )
            sound = _open_foreign(audio, "MPEG layer II", name)
    refusal = ""
    if not RATES_HZ[0] <= sound.rate_hz <= RATES_HZ[1]:
        refusal = f"sample rate of {sound.rate_hz} Hz"
    elif (sound.frames or 0) * sound.channels > MOST_SAMPLES:
        refusal = TOO_LONG
    if refusal:
        sound.close()
        raise AudioError(name, refusal)
    return sound


def _open_found(found: Streams, name: str) -> Sound:
    return _open_joined(found, name) if len(found.parts) > 1 else _open_whole(found.parts[0], name, found.mended)


def _open_whole(audio: Encoded, name: str, mended: str = "") -> Sound:
    """A file that is one stream."""
    reader = Reader(audio)
    quiet = nullcontext if audio.startswith(MAGIC) else hushed
    try:
        with quiet():
            file = ForwardFile(reader)
    except soundfile.LibsndfileError as error:
        if reader.failed:
            raise reader.failed from error
        kind = other_format(audio)
        if kind is not None:
            return _open_foreign(audio, kind, name)
        if error.code == UNSUPPORTED_ENCODING:
            raise AudioError(name, "unsupported encoding") from error
        raise AudioError(name, "truncated or damaged" if audio.startswith(MAGIC) else not_audio(audio)) from error
    told = None if file.frames == UNKNOWN_FRAMES else file.frames

    def read(frames: int) -> np.ndarray:
        try:
            with quiet():
                block = file.read(frames, dtype="float32")
        except soundfile.LibsndfileError as error:
            raise reader.failed or AudioError(name, "truncated or damaged") from error
        if reader.failed:
            raise reader.failed
        return block

    def blocks() -> Iterator[np.ndarray]:
        count = 0
        while len(block := read(max(1, BLOCK_SAMPLES // file.channels))):
            count += len(block)
            if count * file.channels > MOST_SAMPLES:
                raise AudioError(name, TOO_LONG)
            yield block
        if told is not None and count < told:
            raise AudioError(name, "truncated")

    def whole() -> np.ndarray:
        frames = read(file.frames)
        if len(frames) < file.frames:
            raise AudioError(name, "truncated")
        return frames

    at_once = whole if told is not None else None
    return Sound(name, file.samplerate, file.channels, told, mended, blocks, at_once, file.close)


def _open_foreign(audio: Encoded, kind: str, name: str) -> Sound:
    """What FFmpeg reads: its rate and channels are those of the first block."""
    blocks = ffmpeg.blocks(audio, kind, name)
    first = next(blocks, None)
    if first is None:
        raise AudioError(name, "no samples")
    rate_hz, block = first
    channels = 1 if block.ndim == 1 else block.shape[1]

    def limited() -> Iterator[np.ndarray]:
        count = 0
        for each in itertools.chain([block], (following for _, following in blocks)):
            count += each.size
            if count > MOST_SAMPLES:
                raise AudioError(name, TOO_LONG)
            yield each

    return Sound(name, rate_hz, channels, None, "FFmpeg", limited, None, blocks.close)


def _open_joined(found: Streams, name: str) -> Sound:
    """Encoded files that follow each other; each is opened when the one before has ended."""
    kinds = set()
    for part in found.parts:
        with closing(_open_whole(part, name)) as sound:
            kinds.add((sound.rate_hz, sound.channels))
    if len(kinds) > 1:
        raise AudioError(name, "joined of parts with different rates or channels: split it")

    def blocks() -> Iterator[np.ndarray]:
        for part in found.parts:
            with closing(_open_whole(part, name)) as sound:
                yield from sound.blocks()

    rate_hz, channels = next(iter(kinds))
    return Sound(name, rate_hz, channels, None, found.mended, blocks, None, lambda: None)


def _one_channel(frames: np.ndarray, channels: str) -> np.ndarray:
    """(T,) or (T, channels) -> (T,): the mean a column at a time, since rows are short."""
    if frames.ndim == 1:
        return frames
    if channels == "first":
        return frames[:, 0].copy()
    if channels == "loudest":
        return frames[:, np.square(frames, dtype=np.float64).sum(axis=0).argmax()].copy()
    mono = frames[:, 0].copy()
    for channel in range(1, frames.shape[1]):
        mono += frames[:, channel]
    mono /= frames.shape[1]
    return mono
