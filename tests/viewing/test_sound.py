from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from soundprobe.audio.decode import decode
from soundprobe.base.errors import AudioError
from soundprobe.viewing.sound import COMPACT_RATE_HZ, clip_of_wave, encode_mp3, page_clip
from sounds import RATE_HZ, tone


@pytest.mark.parametrize("seconds", [0.05, 0.5, 4.0])
def test_mp3_is_exactly_as_long_as_the_clip_and_sounds_alike(seconds):
    wave = tone(440, seconds)
    heard = decode(encode_mp3(wave, RATE_HZ), sample_rate_hz=RATE_HZ, name="x")
    assert len(heard) == len(wave)
    assert np.corrcoef(heard, wave)[0, 1] > 0.95


def test_mp3_of_four_seconds_is_small():
    assert len(encode_mp3(tone(440, 4.0), COMPACT_RATE_HZ)) < 40_000


def test_what_goes_beyond_full_scale_is_made_quieter_rather_than_clipped():
    wave = 3 * tone(440, 1.0)
    heard = decode(encode_mp3(wave, RATE_HZ), sample_rate_hz=RATE_HZ, name="x")
    assert np.corrcoef(heard, wave)[0, 1] > 0.98


def test_page_clip_of_stereo_at_another_rate_is_mono_of_the_same_length():
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone(440, 1.0)] * 2, axis=1), 48_000, format="FLAC")
    clip = page_clip(file.getvalue(), "clip")
    assert clip.duration_s == pytest.approx(RATE_HZ / 48_000, abs=0.001)
    assert clip.inline().taken_bytes > len(clip.sound) + len(clip.picture)


def test_clip_without_sound_has_only_the_picture():
    clip = clip_of_wave(tone(440, 1.0), RATE_HZ, "clip", with_sound=False)
    assert clip.sound is None
    assert 0 < clip.inline().taken_bytes < 30_000


def test_damaged_audio_is_one_clear_line():
    with pytest.raises(AudioError, match="clip.wav: not audio"):
        page_clip(b"nothing to hear", "clip.wav")
