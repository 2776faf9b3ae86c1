"""A clip made fit for a page: its sound as MP3, its spectrogram as WebP, small enough to stand inside or beside it.

MP3, because it is the one compressed format that every browser plays: Safari before version 18.4 plays neither Vorbis
nor Opus in an Ogg file. libsndfile writes the LAME header with it, so players leave out the encoder's own silence and
the sound is exactly as long as the picture.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import soundfile

from soundprobe.audio.decode import DECODE_VERSION, decode
from soundprobe.audio.encoded import Encoded
from soundprobe.base.files import digest_key
from soundprobe.viewing.spectrogram import Spectrogram, picture, spectrogram

COMPACT_RATE_HZ = 22_050
"""For many clips on one page: enough to hear what a sound is, about 4.5 kB for a second."""
FULL_RATE_HZ = 44_100
COMPRESSION = 0.7
"""libsndfile's scale from 0 (best) to 1 (smallest), with a variable bitrate."""
PICTURES = 1  # a change of how spectrograms are drawn counts it up
MADE_BY = "v" + digest_key(
    {
        "decode": DECODE_VERSION,
        "compression": COMPRESSION,
        "pictures": PICTURES,
        "libsndfile": soundfile.__libsndfile_version__,
    }
)
"""Names what makes sounds and pictures of a clip's bytes: with another, they are made again."""


@dataclass(frozen=True, eq=False)
class Playable:
    """What a player shows and plays.

    Attributes:
        sound, picture: where they are, as URLs: inside the page, or beside it; no sound where it is left out.
        taken_bytes: how much they take there.
        spectrogram: what the picture was drawn from, where frequencies are to stand beside it.
    """

    sound: str | None
    picture: str
    duration_s: float
    taken_bytes: int
    spectrogram: Spectrogram | None = None


@dataclass(frozen=True, eq=False)
class PageClip:
    """What a player needs of one clip.

    Attributes:
        name: as people know it.
        sound: MP3, or None where it is left out; picture: WebP.
        duration_s: of the sound and of the picture alike.
        spectrogram: what the picture was drawn from.
    """

    name: str
    sound: bytes | None
    picture: bytes
    duration_s: float
    spectrogram: Spectrogram

    def inline(self) -> Playable:
        """The clip inside a page, as base64."""
        sound = data_uri(self.sound, "audio/mpeg") if self.sound else None
        picture = data_uri(self.picture, "image/webp")
        return Playable(sound, picture, self.duration_s, len(sound or "") + len(picture), self.spectrogram)


def page_clip(audio: Encoded, name: str, *, sample_rate_hz: int = COMPACT_RATE_HZ, with_sound: bool = True) -> PageClip:
    """The clip in the encoded bytes `audio`.

    Raises:
        AudioError: it can't be decoded; see `soundprobe.audio.decode.decode`.
    """
    return clip_of_wave(
        decode(audio, sample_rate_hz=sample_rate_hz, name=name), sample_rate_hz, name, with_sound=with_sound
    )


def clip_of_wave(wave: np.ndarray, sample_rate_hz: int, name: str, *, with_sound: bool = True) -> PageClip:
    """The clip of wave (T,) float32 at a rate that MP3 has, such as 22,050, 32,000 or 44,100 Hz."""
    shown = spectrogram(wave, sample_rate_hz)
    return PageClip(
        name=name,
        sound=encode_mp3(wave, sample_rate_hz) if with_sound else None,
        picture=picture(shown.levels),
        duration_s=len(wave) / sample_rate_hz,
        spectrogram=shown,
    )


def encode_mp3(wave: np.ndarray, sample_rate_hz: int) -> bytes:
    """wave (T,) float32 as MP3; what goes beyond [-1, 1], which MP3 can't hold, is made quieter as a whole."""
    loudest = float(np.abs(wave).max(initial=0.0))
    file = io.BytesIO()
    soundfile.write(
        file,
        wave / loudest if loudest > 1 else wave,
        sample_rate_hz,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode="VARIABLE",
        compression_level=COMPRESSION,
    )
    return file.getvalue()


def data_uri(content: bytes, kind: str) -> str:
    """`content` as a data: URI of the media type `kind`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
