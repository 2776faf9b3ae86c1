"""The generated data set: its layout, its honesty as data, and the physics that each recipe states."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.random import default_rng
from scipy.signal import butter, sosfiltfilt, spectrogram

from soundprobe.base.errors import ConfigError, DataError
from soundprobe.data.synth.acoustics import RATE_HZ, harmonics, place, room_response
from soundprobe.data.synth.generate import RECIPES, draw_recording, ensure_synth, render_clip, write_synth

CLASSES = [
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
]
SEEDS = range(8)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 clips: one recording of each class in each fold, one clip each."""
    folder = tmp_path_factory.mktemp("synth") / "gen ü"
    return write_synth(folder, recordings_per_class_and_fold=1, clips_per_recording=1)


@pytest.fixture(scope="module")
def rows(small: Path) -> list[dict[str, str]]:
    with (small / "metadata" / "UrbanSound8K.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# The data set on disk


def test_write_synth_gives_urbansound8ks_table(rows: list[dict[str, str]]) -> None:
    assert list(rows[0]) == ["slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class"]
    assert len(rows) == 100
    assert {int(row["classID"]): row["class"] for row in rows} == dict(enumerate(CLASSES))
    assert {row["salience"] for row in rows} == {"1", "2"}
    for row in rows:
        assert row["slice_file_name"] == f"{row['fsID']}-{row['classID']}-0-0.wav"


def test_write_synth_puts_every_class_in_every_fold(rows: list[dict[str, str]]) -> None:
    cells = {(int(row["fold"]), row["class"]) for row in rows}
    assert cells == {(fold, name) for fold in range(1, 11) for name in CLASSES}


def test_write_synth_keeps_each_recording_in_one_fold_and_class() -> None:
    seen = defaultdict(set)
    for fold in range(1, 11):
        for class_id in range(10):
            for index in range(3):
                recording = draw_recording(0, class_id, fold, index)
                seen[recording.fs_id].add((fold, class_id, index))
    assert len(seen) == 300
    assert all(len(places) == 1 for places in seen.values())


def test_write_synth_files_are_whole_22050_hz_mono_16_bit_wavs(small: Path, rows: list[dict[str, str]]) -> None:
    named = set()
    for row in rows:
        path = small / "audio" / f"fold{row['fold']}" / row["slice_file_name"]
        named.add(path)
        info = soundfile.info(path)
        assert (info.format, info.subtype, info.samplerate, info.channels) == ("WAV", "PCM_16", 22_050, 1)
        duration_s = float(row["end"]) - float(row["start"])
        assert info.frames / 22_050 == pytest.approx(duration_s, abs=1e-5)
        assert 0.3 <= duration_s <= 4.0
    assert named == set(small.rglob("*.wav"))


def test_write_synth_clips_are_audible_and_not_clipped(small: Path) -> None:
    for path in small.rglob("*.wav"):
        wave, _ = soundfile.read(path, dtype="int16")
        peak = np.abs(wave.astype(int)).max()
        assert 3000 < peak < 32_767
        assert np.unique(wave).size > 500


def test_write_synth_twice_gives_the_same_bytes_and_another_seed_others(small: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from soundprobe.data.synth.generate import write_synth\n"
        "write_synth(Path(sys.argv[1]), recordings_per_class_and_fold=1, clips_per_recording=1)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "again")], check=True)
    assert digests(tmp_path / "again") == digests(small)
    one, other = (render_clip(draw_recording(seed, 8, 1, 0), 0) for seed in (0, 1))
    assert one.shape != other.shape or not np.allclose(one, other)


def test_render_clip_is_the_same_alone_as_in_the_set(small: Path) -> None:
    recording = draw_recording(0, 3, 7, 0)
    written, _ = soundfile.read(small / "audio" / "fold7" / f"{recording.fs_id}-3-0-0.wav")
    render_clip(recording, 5)  # another clip in between changes nothing
    assert np.abs(written - render_clip(recording, 0)).max() < 1e-4


def test_render_clip_of_one_recording_differs_from_slice_to_slice() -> None:
    recording = draw_recording(0, 0, 1, 0)
    one, other = render_clip(recording, 0), render_clip(recording, 1)
    n = min(len(one), len(other))
    assert abs(np.corrcoef(one[:n], other[:n])[0, 1]) < 0.5


def test_write_synth_reports_every_clip_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundprobe.data.synth.generate.FOLDS", 1)
    calls: list[int] = []
    write_synth(tmp_path / "s", recordings_per_class_and_fold=1, on_progress=calls.append)
    assert calls == [1] * 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"recordings_per_class_and_fold": 0}, "recordings_per_class_and_fold is 0"),
        ({"clips_per_recording": -1}, "clips_per_recording is -1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_write_synth_with_an_impossible_count_is_refused(
    tmp_path: Path, arguments: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        write_synth(tmp_path / "s", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_write_synth_into_a_folder_that_holds_something_touches_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="already holds something"):
        write_synth(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_write_synth_under_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="Can't write"):
        write_synth(tmp_path / "file" / "s")


def test_write_synth_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    calls: list[int] = []

    def stop(clips: int) -> None:
        calls.append(clips)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_synth(tmp_path / "s", on_progress=stop)
    assert list(tmp_path.iterdir()) == []


ENSURE = (
    "from soundprobe.data.synth.generate import ensure_synth\n"
    "print(ensure_synth(recordings_per_class_and_fold=1, clips_per_recording=1, on_progress={}))"
)


def test_ensure_synth_after_a_kill_and_by_two_processes_at_once_gives_one_whole_set(
    small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOUNDPROBE_CACHE", str(tmp_path))
    kill = "lambda clips: __import__('os').kill(__import__('os').getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", ENSURE.format(kill)], check=False).returncode == -9
    assert [path.suffix for path in (tmp_path / "synth").iterdir() if path.is_dir()] == [".tmp"]
    command = [sys.executable, "-c", ENSURE.format(None)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = {process.communicate()[0].strip() for process in processes}
    folder = tmp_path / "synth" / "v1-seed0-1x1"
    assert printed == {str(folder)}
    assert [path for path in folder.parent.iterdir() if path.is_dir()] == [folder]
    assert digests(folder) == digests(small)
    before = (folder / "metadata" / "UrbanSound8K.csv").stat().st_mtime_ns
    assert ensure_synth(recordings_per_class_and_fold=1, clips_per_recording=1) == folder
    assert (folder / "metadata" / "UrbanSound8K.csv").stat().st_mtime_ns == before


# The recipes


def clips_of(name: str, duration_s: float = 4.0) -> list[np.ndarray]:
    """One clip of each of several recordings, without street and microphone."""
    n = round(duration_s * RATE_HZ)
    return [RECIPES[name].draw(default_rng(seed))(default_rng(100 + seed), n) for seed in SEEDS]


def spectral_peaks_hz(wave: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """The strongest frequency of each 93 ms frame between the two."""
    frequencies, _, power = spectrogram(wave, RATE_HZ, nperseg=2048, noverlap=0)
    inside = (frequencies >= low_hz) & (frequencies <= high_hz)
    return frequencies[inside][power[inside].argmax(axis=0)]


def envelope_peak_hz(wave: np.ndarray) -> float:
    """The strongest modulation of the level between 8 and 80 Hz."""
    power = np.add.reduceat(wave**2, np.arange(0, len(wave), 49))  # 450 values a second
    level = np.sqrt(power) - np.sqrt(power).mean()
    frequencies = np.fft.rfftfreq(len(level), 49 / RATE_HZ)
    spectrum = np.abs(np.fft.rfft(level * np.hanning(len(level))))
    spectrum[(frequencies < 8) | (frequencies > 80)] = 0
    return float(frequencies[spectrum.argmax()])


def test_recipes_are_the_ten_classes_in_order_and_described() -> None:
    assert list(RECIPES) == CLASSES
    for recipe in RECIPES.values():
        assert recipe.description
        assert 0 < recipe.shortest_s < recipe.longest_s


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("n", [1, 7, 2000, 44_100])
def test_recipe_at_any_length_gives_finite_samples(name: str, n: int) -> None:
    wave = RECIPES[name].draw(default_rng(3))(default_rng(4), n)
    assert wave.shape == (n,)
    assert np.isfinite(wave).all()


@pytest.mark.parametrize("name", CLASSES)
def test_recipe_never_gives_a_silent_clip(name: str) -> None:
    for wave in clips_of(name, RECIPES[name].shortest_s):
        assert np.abs(wave).max() > 1e-3


def test_siren_pitch_moves_by_more_than_300_hz() -> None:
    for wave in clips_of("siren"):
        low, high = np.percentile(spectral_peaks_hz(wave, 400, 1800), [5, 95])
        assert high - low > 300


def test_car_horn_pitch_stays_where_it_is() -> None:
    for wave in clips_of("car_horn"):
        frames = wave[: len(wave) // 2048 * 2048].reshape(-1, 2048)
        loud = (frames**2).mean(axis=1) > 0.5 * (frames**2).mean(axis=1).max()
        peaks_hz = spectral_peaks_hz(wave, 300, 620)[loud[: len(frames)]]
        assert peaks_hz.max() - peaks_hz.min() < 160  # from one plate to the other at most


def test_car_horn_spectrum_is_harmonic() -> None:
    for wave in clips_of("car_horn"):
        power = np.abs(np.fft.rfft(wave)) ** 2
        strongest = np.sort(power)[::-1]
        assert strongest[: len(power) // 50].sum() > 0.8 * power.sum()


def test_jackhammer_level_beats_15_to_35_times_a_second() -> None:
    for wave in clips_of("jackhammer"):
        assert 15 <= envelope_peak_hz(wave) <= 35


def test_engine_idling_is_low_and_fires_19_to_40_times_a_second() -> None:
    for wave in clips_of("engine_idling"):
        spectrum = np.abs(np.fft.rfft(wave)) ** 2
        frequencies = np.fft.rfftfreq(len(wave), 1 / RATE_HZ)
        assert spectrum[frequencies < 1000].sum() > 0.75 * spectrum.sum()
        lags = np.arange(int(RATE_HZ / 42), int(RATE_HZ / 17))
        opened = np.fft.irfft(np.abs(np.fft.rfft(wave, 2 * len(wave))) ** 2)
        assert opened[lags].max() > 0.1 * opened[0]


def test_air_conditioner_level_is_stationary() -> None:
    for wave in clips_of("air_conditioner"):
        levels_db = 10 * np.log10((wave[: 8 * 11_025].reshape(8, 11_025) ** 2).mean(axis=1))
        assert np.ptp(levels_db) < 3


def test_gun_shot_energy_is_in_the_first_second() -> None:
    for wave in clips_of("gun_shot"):
        assert (wave[:RATE_HZ] ** 2).sum() > 0.9 * (wave**2).sum()
        assert np.abs(wave).argmax() < 0.8 * RATE_HZ


def test_dog_bark_comes_in_bursts_between_silences() -> None:
    for wave in clips_of("dog_bark"):
        levels = np.sort((wave[: len(wave) // 441 * 441].reshape(-1, 441) ** 2).mean(axis=1))
        assert levels[len(levels) // 5] < 0.01 * levels[-1]


def test_children_playing_voices_lie_above_200_hz() -> None:
    low_cut = butter(4, 200, "low", fs=RATE_HZ, output="sos")
    for wave in clips_of("children_playing"):
        assert (sosfiltfilt(low_cut, wave) ** 2).sum() < 0.1 * (wave**2).sum()


def test_street_music_notes_lie_on_semitones() -> None:
    """A melody's pitches, counted from its strongest, fall near whole semitones far more often than chance's 40 %."""
    shares = []
    for wave in clips_of("street_music"):
        frequencies, _, power = spectrogram(wave, RATE_HZ, nperseg=8192, noverlap=6144)
        inside = (frequencies > 180) & (frequencies < 1500)
        peaks_hz = frequencies[inside][power[inside].argmax(axis=0)]
        semitones = 12 * np.log2(peaks_hz / np.median(peaks_hz))
        shares.append((np.abs(semitones - np.round(semitones)) < 0.2).mean())
    assert np.mean(shares) > 0.6


def test_drilling_goes_on_through_the_first_half_of_the_clip() -> None:
    for wave in clips_of("drilling"):
        levels = (wave[: 4 * RATE_HZ].reshape(8, -1) ** 2).mean(axis=1)
        assert (levels[:4] > 0.05 * levels.max()).all()


# The physics


def test_harmonics_of_a_steady_pitch_equal_the_sines() -> None:
    t = (np.arange(2000) + 1) / RATE_HZ
    expected = np.sin(2 * np.pi * 100 * t) + 0.5 * np.sin(2 * np.pi * 300 * t)
    assert np.abs(harmonics(np.full(2000, 100.0), [1.0, 0.0, 0.5]) - expected).max() < 1e-9


def test_harmonics_above_the_limit_are_left_out() -> None:
    wave = harmonics(np.full(4096, 6000.0), [1.0, 1.0, 1.0])
    frequencies = np.fft.rfftfreq(4096, 1 / RATE_HZ)
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(4096)))
    assert frequencies[spectrum.argmax()] == pytest.approx(6000, abs=10)
    assert spectrum[np.abs(frequencies - 6000) > 100].max() < 1e-3 * spectrum.max()


@pytest.mark.parametrize(("at", "expected"), [(-1, [2, 3, 0, 0]), (3, [0, 0, 0, 1]), (1, [0, 1, 2, 3]), (9, [0] * 4)])
def test_place_at_an_edge_cuts_what_lies_outside(at: int, expected: list[float]) -> None:
    wave = np.zeros(4)
    place(wave, np.array([1.0, 2.0, 3.0]), at)
    assert wave.tolist() == expected


def test_room_response_falls_by_60_db_in_its_reverberation_time() -> None:
    response = room_response(default_rng(0), 1.0, 1.0)
    early, late = (response[a:b] ** 2 for a, b in ((2000, 4000), (18_000, 20_000)))
    fallen_db = 10 * np.log10(early.mean() / late.mean())
    assert fallen_db == pytest.approx(60 * 16_000 / RATE_HZ, abs=2)
