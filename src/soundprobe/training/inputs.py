"""A data set's clips as a network takes them, decoded once for a whole run and memory-mapped by every fold.

`<run>/inputs/spectrograms.npy` holds each clip's clean spectrogram; `waves.npy` its samples too, where the recipe
changes waveforms. All of UrbanSound8K takes 1.8 GB of spectrograms and 4.5 GB of samples for mn04. The folder is
deleted when every fold of the run is done.
Letters: N clips, T samples, F mel bands, M frames, n clips of a part.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from soundprobe.audio.checks import Findings
from soundprobe.backbones.load import LoadedBackbone
from soundprobe.base.digests import digest_of, note_damage
from soundprobe.base.errors import AudioError, DamagedError, DataError, StoreError, one_line
from soundprobe.base.files import make_folder, refused, sync_file
from soundprobe.base.machine import exactly
from soundprobe.base.progress import Progress
from soundprobe.base.records import Clips
from soundprobe.base.stored import Count, Record, Settings
from soundprobe.data.scan import Scan
from soundprobe.embeddings.embed import DECODE_THREADS, decode_scanned
from soundprobe.embeddings.forward import stacked

CHUNK_CLIPS = 64


class InputsRecord(Record):
    """`inputs.json`: samples: T of every clip; waves: whether they are kept; failures: clip id -> reason; findings:
    clip id -> what is conspicuous about its sound; digests: of each array's file, by its name."""

    FORMAT: ClassVar[int | None] = None
    REMEDY: ClassVar[str] = "Run the command again."
    samples: Count
    waves: bool
    failures: dict[str, str]
    findings: dict[str, Settings] = Field(default={})
    digests: dict[str, str] = Field(default={})


@dataclass(frozen=True, eq=False)
class Inputs:
    """What every fold reads.

    Attributes:
        spectrograms: (N, F, M) float32, memory-mapped; rows of failed clips are zero.
        waves: (N, T) float32, memory-mapped, or None where no augmentation needs them.
        lengths: (N,) int64, how many of the T samples are audio; failures: clip id -> reason.
        findings: clip id -> what is conspicuous about its sound; see `soundprobe.audio.checks`.
    """

    spectrograms: np.ndarray
    waves: np.ndarray | None
    lengths: np.ndarray
    samples: int
    failures: Mapping[str, str]
    findings: Mapping[str, Findings] = field(default_factory=dict)


def input_samples(model: LoadedBackbone, scanned: Scan) -> int:
    """T: the backbone's length; where it takes any, that of the longest clip of all folds, rounded up to its step."""
    return model.input_samples(float(scanned.duration_s.max()))


def prepare_inputs(
    folder: Path,
    clips: Clips,
    scanned: Scan,
    model: LoadedBackbone,
    device: torch.device,
    *,
    keep_waves: bool,
    bar: Progress,
) -> None:
    """Decodes every clip into `folder`, unless that was done before and is whole. `open_inputs` reads it.

    Raises:
        StoreError: the disk is full. DataError: no clip can be read.
    """
    if _is_whole(folder):
        bar.advance(len(clips))
        return
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder)
    samples = input_samples(model, scanned)
    network = model.on_spectrograms().to(device)
    with torch.inference_mode():
        shape = network.spectrogram(torch.zeros(1, samples, device=device)).shape[1:]
    spectrograms = _new_array(folder / "spectrograms.npy", (len(clips), *shape))
    waves = _new_array(folder / "waves.npy", (len(clips), samples)) if keep_waves else None
    lengths = np.zeros(len(clips), dtype=np.int64)
    failures: dict[str, str] = {}
    found: dict[int, Findings] = {}

    def read(row: int) -> np.ndarray | AudioError:
        return decode_scanned(clips, scanned, row, model.spec.sample_rate_hz, samples, model.channels, found)

    with (
        ThreadPoolExecutor(DECODE_THREADS, thread_name_prefix="decode") as pool,
        torch.inference_mode(),
        exactly(device),
    ):
        for start in range(0, len(clips), CHUNK_CLIPS):
            decoded = list(pool.map(read, range(start, min(start + CHUNK_CLIPS, len(clips)))))
            for row, wave in enumerate(decoded, start):
                if isinstance(wave, AudioError):
                    failures[str(clips.ids[row])] = wave.reason
            good = [(row, wave) for row, wave in enumerate(decoded, start) if isinstance(wave, np.ndarray)]
            if good:
                rows = [row for row, _ in good]
                batch, lengths[rows] = stacked([wave for _, wave in good], samples)
                own = torch.from_numpy(lengths[rows]).to(device)
                made = network.spectrogram(torch.from_numpy(batch).to(device), own)
                spectrograms[rows] = made.float().cpu().numpy()
                if waves is not None:
                    waves[rows] = batch
            bar.advance(len(decoded))
    if len(failures) == len(clips):
        raise DataError(f"No clip of {clips.name!r} can be read; the first: {next(iter(failures.values()))}.")
    for array in (spectrograms, waves):
        if isinstance(array, np.memmap):
            array.flush()
    np.save(folder / "lengths.npy", lengths)
    for file in folder.iterdir():
        sync_file(file)
    path = folder / "inputs.json"
    findings = {str(clips.ids[row]): found[row] for row in sorted(found)}
    digests = {one.name: digest_of(one) for one in sorted(folder.glob("*.npy"))}
    content = {
        "samples": samples, "waves": keep_waves, "failures": failures, "findings": findings, "digests": digests,
    }  # fmt: skip
    InputsRecord.of(content, path).write(path)


def _is_whole(folder: Path) -> bool:
    """Whether `prepare_inputs` has left everything there as it was written. What is damaged is named in a note."""
    record = InputsRecord.read_or_make(folder / "inputs.json")
    if record is None:
        return False
    needed = {"spectrograms.npy", "lengths.npy", *(["waves.npy"] if record.waves else [])}
    for name in sorted({*needed, *record.digests}):
        path = folder / name
        if not path.exists():
            note_damage(DamagedError(path, "it is gone"))
            return False
        if record.digests and digest_of(path) != record.digests.get(name):
            note_damage(DamagedError(path))
            return False
    return True


def open_inputs(folder: Path) -> Inputs:
    """What `prepare_inputs` left in `folder`.

    Raises:
        StoreError: something is missing or no array.
    """
    record = InputsRecord.read(folder / "inputs.json")
    try:
        spectrograms = np.load(folder / "spectrograms.npy", mmap_mode="r")
        waves = np.load(folder / "waves.npy", mmap_mode="r") if record.waves else None
        lengths = np.load(folder / "lengths.npy")
    except (OSError, ValueError, EOFError) as error:
        raise StoreError(f"Can't read the decoded clips in {folder} ({one_line(error)}). {record.REMEDY}") from error
    return Inputs(
        spectrograms=spectrograms,
        waves=waves,
        lengths=lengths,
        samples=record.samples,
        failures=record.failures,
        findings=record.findings,
    )


def _new_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A memory-mapped file of float32 zeros of `shape`, its space reserved: a full disk would be a bus error later."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    if hasattr(os, "posix_fallocate"):
        size = path.stat().st_size
        try:
            with path.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            what = f"Can't reserve {math.ceil(size / 2**20)} MiB for the decoded clips in {path.parent}"
            raise StoreError(refused(what, error)) from error
    return array


@dataclass(frozen=True, eq=False)
class ClipsPart:
    """Some clips of a data set, and nothing of the others: what a network is trained on, or judged by.

    Attributes:
        inputs: all N clips'; rows: (n,) int64, the clips of this part.
        ids: (n,) str; labels: (n,) int64; recordings: (n,) int64, numbers of the source recordings.
        weights: (n,) float32, of each clip's loss.
    """

    inputs: Inputs
    rows: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    recordings: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def spectrograms(self, which: np.ndarray) -> torch.Tensor:
        """(B, F, M) float32 of the clips `which` (B,), numbers from 0 to n - 1."""
        return torch.from_numpy(self.inputs.spectrograms[self.rows[which]])

    def waves(self, which: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T) float32 and lengths (B,) int64 of the clips `which` (B,)."""
        assert self.inputs.waves is not None, "waves are kept where an augmentation needs them"
        rows = self.rows[which]
        return torch.from_numpy(self.inputs.waves[rows]), torch.from_numpy(self.inputs.lengths[rows])


@dataclass(frozen=True, eq=False)
class ClipsTable:
    """The columns of all N clips that parts are cut from; see `ClipsPart`."""

    ids: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    groups: np.ndarray
    weights: np.ndarray

    def part(self, inputs: Inputs, rows: np.ndarray) -> ClipsPart:
        recordings = np.unique(self.groups, return_inverse=True)[1]
        return ClipsPart(inputs, rows, self.ids[rows], self.labels[rows], recordings[rows], self.weights[rows])
