"""The generated data set `synth`: UrbanSound8K's classes, folds and layout, made from acoustic recipes, no download.

A *recording* is one draw of a recipe, a microphone, a street and a salience; its clips share them, and it never leaves
its fold. Salience 2 means in the background: quieter than the street, often beside another class's sound. It is a
stand-in to try the whole path with, not a benchmark: its scores say nothing about real sound.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import uuid
import wave as wave_file
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.random import Generator, default_rng

from soundprobe.base.errors import ConfigError, DataError
from soundprobe.base.files import sync_folder
from soundprobe.base.places import cache_folder
from soundprobe.data.synth import acoustics as a
from soundprobe.data.synth.acoustics import Render
from soundprobe.data.synth.sounds import RECIPES, SoundRecipe

__all__ = ["RECIPES", "SoundRecipe", "ensure_synth", "write_synth"]

VERSION = 1
"""Stands in the folder's name. Raise it with any change that alters a sample."""
FOLDS = 10
LONGEST_S = 4.0
BACKGROUND_SHARE = 0.4
"""The share of recordings with salience 2; UrbanSound8K's is 0.35."""
COLUMNS = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
METADATA = Path("metadata", "UrbanSound8K.csv")

OnProgress = Callable[[int], None]
"""Called with 1 after every clip: what a progress bar advances by."""


@dataclass(frozen=True)
class Recording:
    """What the clips of one source recording share. `key` seeds them: seed, class, fold, index."""

    key: tuple[int, int, int, int]
    fs_id: int
    class_id: int
    class_name: str
    fold: int
    salience: int
    render: Render
    distractor: Render | None
    distractor_db: float
    snr_db: float
    street_slope: float
    microphone_hz: tuple[float, float]
    peak_db: float


def write_synth(
    folder: Path,
    *,
    recordings_per_class_and_fold: int = 2,
    clips_per_recording: int = 2,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Path:
    """Generate the data set in UrbanSound8K's layout: `metadata/UrbanSound8K.csv`, `audio/fold1` to `audio/fold10`.

    The clips are 22,050 Hz mono 16-bit WAV of at most 4 s. The same arguments give the same bytes (with the same
    numpy and scipy, on the same kind of processor). `folder` appears in one step when all of it is written.

    Args:
        folder: where to; it must not exist, or be empty.
        recordings_per_class_and_fold: source recordings of each class in each fold.
        clips_per_recording: clips cut from each of them.
        seed: another seed, other recordings.
        on_progress: called after every clip.

    Returns:
        `folder`, absolute.

    Raises:
        ConfigError: a count below 1, or a negative seed.
        DataError: `folder` holds something, or can't be written.
    """
    counts = {
        "recordings_per_class_and_fold": recordings_per_class_and_fold,
        "clips_per_recording": clips_per_recording,
    }
    for name, count in counts.items():
        if count < 1:
            raise ConfigError(f"{name} is {count}; give 1 or more.")
    if seed < 0:
        raise ConfigError(f"seed is {seed}; give 0 or more.")
    folder = Path(folder).absolute()
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    try:
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise DataError(f"{folder} already holds something. Delete it, or name a new folder.")
        unfinished.mkdir(parents=True)
        recordings = _draw_recordings(recordings_per_class_and_fold, seed)
        _write_clips(unfinished, recordings, clips_per_recording, on_progress)
        os.replace(unfinished, folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise DataError(f"Can't write {folder}: {error.strerror or error}. Choose another folder.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def clip_count(recordings_per_class_and_fold: int = 2, clips_per_recording: int = 2) -> int:
    """How many clips `write_synth` makes of these sizes, for a progress bar."""
    return len(RECIPES) * FOLDS * recordings_per_class_and_fold * clips_per_recording


def ensure_synth(
    *,
    recordings_per_class_and_fold: int = 2,
    clips_per_recording: int = 2,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Path:
    """The data set's folder in the cache, generated at the first call. Arguments and errors as in `write_synth`."""
    name = f"v{VERSION}-seed{seed}-{recordings_per_class_and_fold}x{clips_per_recording}"
    folder = cache_folder() / "synth" / name
    if (folder / METADATA).is_file():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(name + ".lock")):  # a second process waits, then finds it
            if (folder / METADATA).is_file():
                return folder
            for left_over in folder.parent.glob(f".{name}.*.tmp"):  # a killed process's
                shutil.rmtree(left_over, ignore_errors=True)
            return write_synth(
                folder,
                recordings_per_class_and_fold=recordings_per_class_and_fold,
                clips_per_recording=clips_per_recording,
                seed=seed,
                on_progress=on_progress,
            )
    except OSError as error:
        raise DataError(
            f"Can't write {folder}: {error.strerror or error}. Set SOUNDPROBE_CACHE to another folder."
        ) from error


def _draw_recordings(per_class_and_fold: int, seed: int) -> Iterator[Recording]:
    for fold in range(1, FOLDS + 1):
        for class_id in range(len(RECIPES)):
            for index in range(per_class_and_fold):
                yield draw_recording(seed, class_id, fold, index)


def draw_recording(seed: int, class_id: int, fold: int, index: int) -> Recording:
    """One recording from its own generator, so that it is the same however many others there are."""
    key = (seed, class_id, fold, index)
    rng = default_rng(key)
    names = list(RECIPES)
    background = rng.uniform() < BACKGROUND_SHARE
    other = names[(class_id + int(rng.integers(1, len(names)))) % len(names)]
    heard_too = rng.uniform() < (0.5 if background else 0.2)
    return Recording(
        key=key,
        fs_id=100_000 + (index * FOLDS + fold - 1) * len(names) + class_id,
        class_id=class_id,
        class_name=names[class_id],
        fold=fold,
        salience=2 if background else 1,
        render=RECIPES[names[class_id]].draw(rng),
        distractor=RECIPES[other].draw(rng) if heard_too else None,
        distractor_db=rng.uniform(-14, -2) if background else rng.uniform(-24, -10),
        snr_db=rng.uniform(-3, 9) if background else rng.uniform(6, 30),
        street_slope=rng.uniform(0.8, 2.0),
        microphone_hz=(rng.uniform(20, 200), rng.uniform(3500, 9900)),
        peak_db=rng.uniform(-20, -1),
    )


def render_clip(recording: Recording, number: int) -> np.ndarray:
    """(n,) float64 within ±1: the sound, what is heard beside it, and the street, through the microphone."""
    clip = default_rng((*recording.key, 1 + number))
    n = a.samples(_draw_duration_s(clip, RECIPES[recording.class_name]))
    mix = _at_loudness(recording.render(clip, n))
    if recording.distractor is not None:
        mix += a.db(recording.distractor_db) * _at_loudness(recording.distractor(clip, n))
    # Distant traffic: noise between pink and brown whose level comes and goes, with rms near 1.
    street = a.coloured_noise(clip, n, recording.street_slope) * a.db(1.0) ** (3 * a.wander(clip, n, 0.5))
    mix += a.db(-recording.snr_db) * street
    heard = a.band(mix, *recording.microphone_hz, order=1)
    return heard * (a.db(recording.peak_db) / max(float(np.abs(heard).max()), 1e-9))


def _draw_duration_s(clip: Generator, recipe: SoundRecipe) -> float:
    return float(min(clip.uniform(recipe.shortest_s, recipe.longest_s), LONGEST_S))


def _at_loudness(wave: np.ndarray) -> np.ndarray:
    """`wave` at rms 1 in the loudest tenth of its 20 ms frames, so that a shot counts as much as a fan."""
    frame = a.samples(0.02)
    energies = np.sort(np.add.reduceat(wave**2, np.arange(0, len(wave), frame)) / frame)
    loudest = float(energies[-max(1, len(energies) // 10) :].mean())
    return wave / np.sqrt(max(loudest, 1e-20))


def _write_clips(
    folder: Path, recordings: Iterator[Recording], clips_per_recording: int, on_progress: OnProgress | None
) -> None:
    (folder / METADATA).parent.mkdir()
    for fold in range(1, FOLDS + 1):
        (folder / "audio" / f"fold{fold}").mkdir(parents=True)
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(COLUMNS)
    for recording in recordings:
        for number in range(clips_per_recording):
            heard = render_clip(recording, number)
            name = f"{recording.fs_id}-{recording.class_id}-0-{number}.wav"
            with wave_file.open(str(folder / "audio" / f"fold{recording.fold}" / name), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(a.RATE_HZ)
                file.writeframes(np.round(heard * 32767).astype("<i2").tobytes())
            start_s, end_s = number * LONGEST_S, number * LONGEST_S + len(heard) / a.RATE_HZ
            place = (recording.salience, recording.fold, recording.class_id, recording.class_name)
            rows.writerow((name, recording.fs_id, f"{start_s:.6f}", f"{end_s:.6f}", *place))
            if on_progress is not None:
                on_progress(1)
    (folder / METADATA).write_text(table.getvalue(), encoding="utf-8")
