"""A network in int8 for one data set: calibrated on some of its clips, checked on others, and kept beside the set.

The 16-bit types get the same check, on fewer clips: nothing in them was fitted to any.

Which clips: `POOL` of them are drawn by their digests, decoded and put in the order of their loudness. The quietest and
then every n-th calibrate; the check takes others in the same way. Labels and folds have no part in it, and neither has
the order of the clips, so the same data give the same network. Near-silence is added to both: digital silence, faint
noise, and clips turned down by 60 dB.

The network is calibrated on clips of every fold. Its embeddings are as unsupervised as the float32 ones: no label is
seen, and all that is learnt from a clip is the range of each layer's values.

Letters: N clips checked, T samples, D the embedding's dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soundprobe.backbones.int8 import SCHEMES, Int8, Scheme, write_network
from soundprobe.backbones.load import LoadedBackbone
from soundprobe.backbones.protocol import Backbone
from soundprobe.backbones.weights.verify import sha256_of
from soundprobe.base.errors import AudioError, DataError, QuantisationError
from soundprobe.base.files import remove_file, sync_file
from soundprobe.base.progress import progress_bar
from soundprobe.base.remote import push
from soundprobe.base.stored import Count, Entry, Record
from soundprobe.embeddings.embed import EmbeddingJob, decode_scanned
from soundprobe.embeddings.forward import embed_waves, stacked

CPU = torch.device("cpu")
POOL = 256
QUIETEST = 0.25  # of the clips taken are the pool's quietest
HALF_CHECKED = 8  # clips that a 16-bit type is checked on
FAINT = (1e-3, 1e-4)  # -60 and -80 dB of full scale
NEAR_SILENT = 3 + len(FAINT)  # clips that `faint` makes
COSINE_BOUND = 0.98
CENTRED_BOUND = 0.9
BOUNDS = {"cosine_bound": COSINE_BOUND, "centred_bound": CENTRED_BOUND}


@dataclass(frozen=True)
class Heard:
    """A clip as the network hears it: samples (T,), how many of them are its own, and its name."""

    name: str
    wave: np.ndarray
    length: int


class Check(Entry):
    """How near embeddings in fewer bits are to float32 ones, over N clips.

    Attributes:
        clips: N; cosine_min, cosine_mean: between the two embeddings of each clip.
        centred_min, centred_mean: the same after the mean float32 embedding of the N clips is subtracted from both:
            what tells clips apart, without what all share.
        worst: the clip with the least centred cosine.
    """

    clips: Count
    cosine_min: float
    cosine_mean: float
    centred_min: float
    centred_mean: float
    worst: str


class QuantisedRecord(Record):
    """`network.json`: SHA-256 of network.xml and network.bin, and what the check of that network found."""

    files: list[str]
    check: Check


def quantised(job: EmbeddingJob, folder: Path, progress: bool) -> tuple[EmbeddingJob, dict[str, Any]]:
    """The job with its network in int8, and what its check found, for `meta.json`.

    The network is kept in `folder` (network.xml, network.bin, and network.json, which is written last), so a run that
    was killed goes on with the very network that it began with. Only the holder of the set's lock may call this.

    Raises:
        QuantisationError: the check falls under `COSINE_BOUND` or `CENTRED_BOUND`.
        DataError: no clip can be decoded.
    """
    scheme, file, about = SCHEMES[job.model.spec.name], folder / "network.xml", folder / "network.json"
    kept = QuantisedRecord.read_or_make(about)
    if kept is None or kept.files != _digests(file):
        remove_file(about)
        found = _quantise(job, scheme, file, progress).model_dump()
        for path in _files(file):
            sync_file(path)
            push(path, path)
        kept = QuantisedRecord.of({"format": QuantisedRecord.FORMAT, "files": _digests(file), "check": found}, about)
        kept.write(about)
    network = Int8(job.model.on_spectrograms(), file, faint_in_float32=scheme.faint_in_float32)
    return replace(job, model=replace(job.model, network=network)), {**kept.check.model_dump(), **BOUNDS}


def quantised_unchecked(job: EmbeddingJob, folder: Path, progress: bool) -> EmbeddingJob:
    """The job with its network in int8, however far from float32, written to `folder`: for measuring speed."""
    scheme, file = SCHEMES[job.model.spec.name], folder / "network.xml"
    _calibrate(job, scheme, file, progress)
    network = Int8(job.model.on_spectrograms(), file, faint_in_float32=scheme.faint_in_float32)
    return replace(job, model=replace(job.model, network=network))


def check_half(job: EmbeddingJob, half: Backbone, precision: str, progress: bool) -> dict[str, Any]:
    """How near `half`, the network of `job` in a 16-bit type, is to float32 on some of the clips, for `meta.json`.

    Raises:
        QuantisationError: the check falls under `COSINE_BOUND` or `CENTRED_BOUND`.
        DataError: no clip can be decoded.
    """
    rows = _pool_rows(job)[:HALF_CHECKED]
    with progress_bar(f"check {job.model.spec.name}", len(rows) + NEAR_SILENT, "clips", shown=progress) as bar:
        clips = _decoded(job, rows, precision, lambda _: None)
        found = compare(job.model, half, [*clips, *faint(clips, seed=1)], bar.advance, device=job.device)
    judge(job.model.spec.name, found, precision)
    return {**found.model_dump(), **BOUNDS}


def _quantise(job: EmbeddingJob, scheme: Scheme, file: Path, progress: bool) -> Check:
    model, checked = job.model, _calibrate(job, scheme, file, progress)
    with progress_bar(f"check {model.spec.name}", len(checked), "clips", shown=progress) as bar:
        int8 = Int8(model.on_spectrograms(), file, faint_in_float32=scheme.faint_in_float32)
        found = compare(model, int8, checked, bar.advance)
    try:
        judge(model.spec.name, found, "int8")
    except QuantisationError:
        for path in _files(file):  # nothing will use it
            remove_file(path)
        raise
    return found


def _calibrate(job: EmbeddingJob, scheme: Scheme, file: Path, progress: bool) -> list[Heard]:
    """Writes the int8 network to `file`. Returns the clips to check it with."""
    model, rows = job.model, _pool_rows(job)
    with progress_bar(f"quantise {model.spec.name}", len(rows), "clips", shown=progress) as bar:
        pool = _decoded(job, rows, "int8", bar.advance)
    calibration, checked = shares(pool, scheme.calibration_clips)
    calibration, checked = [*calibration, *faint(calibration, seed=0)], [*checked, *faint(checked, seed=1)]
    with progress_bar(f"calibrate {model.spec.name}", len(calibration), "clips", shown=progress) as bar:
        write_network(model, scheme, [_spectrogram(model, clip) for clip in calibration], file, bar.advance)
    return checked


def _pool_rows(job: EmbeddingJob) -> list[int]:
    """The rows of `POOL` clips that can be read, those with the least digests: any, but the same ones every time."""
    good = [row for row in range(len(job.clips)) if not job.scanned.errors[row]]
    return sorted(good, key=lambda row: (str(job.scanned.sha256[row]), str(job.clips.ids[row])))[:POOL]


def _decoded(job: EmbeddingJob, rows: Sequence[int], precision: str, on_clip: Callable[[int], None]) -> list[Heard]:
    """The clips at `rows` that can be decoded, cut or padded as `extract` does, the quietest first."""
    heard = []
    for row in rows:
        samples = job.model.input_samples(float(job.scanned.duration_s[row]))
        wave = decode_scanned(job.clips, job.scanned, row, job.model.spec.sample_rate_hz, samples, job.model.channels)
        on_clip(1)
        if not isinstance(wave, AudioError):
            batch, lengths = stacked([wave], samples)
            heard.append(Heard(str(job.clips.ids[row]), batch[0], int(lengths[0])))
    if not heard:
        raise DataError(
            f"--precision {precision} needs clips to try it on, and none of {job.clips.name} can be decoded."
        )
    return sorted(heard, key=lambda clip: float(np.square(clip.wave, dtype=np.float64).mean()))  # stable


def shares(pool: Sequence[Heard], clips: int) -> tuple[list[Heard], list[Heard]]:
    """Of a pool in the order of loudness the clips to calibrate on, and as many others to check with.

    The quietest go to both in turn; the others are spread over the rest. Of a pool too small for both, all are in both.
    """
    if len(pool) < 2 * clips:
        return list(pool), list(pool)
    quiet = 2 * round(clips * QUIETEST)
    rest = np.linspace(quiet, len(pool) - 1, 2 * clips - quiet).round().astype(int)
    taken = [*range(quiet), *rest.tolist()]
    return [pool[row] for row in taken[::2]], [pool[row] for row in taken[1::2]]


def faint(clips: Sequence[Heard], *, seed: int) -> list[Heard]:
    """Near-silence of the last clip's length: digital, faint noise, and the loudest clip turned down or cut off."""
    loudest = clips[-1]
    noise = np.random.default_rng(seed).standard_normal(len(loudest.wave), dtype=np.float32)
    tenth = len(loudest.wave) // 10
    made = {
        f"the first tenth of {loudest.name}": np.pad(loudest.wave[:tenth], (0, len(loudest.wave) - tenth)),
        "digital silence": np.zeros_like(loudest.wave),
        **{f"noise at {20 * np.log10(scale):.0f} dB": noise * np.float32(scale) for scale in FAINT},
        f"{loudest.name} turned down by 60 dB": loudest.wave * np.float32(1e-3),
    }
    return [Heard(name, wave, loudest.length) for name, wave in made.items()]


def compare(
    model: LoadedBackbone,
    other: Backbone,
    clips: Sequence[Heard],
    on_clip: Callable[[int], None],
    device: torch.device = CPU,
) -> Check:
    """How near the embeddings of `other` are to those of `model` on `clips`, both computed on `device`."""
    pairs, networks = [], [network.to(device) for network in (model.network, other)]
    for clip in clips:
        heard = clip.wave[None], np.array([clip.length])
        pairs.append([embed_waves(network, *heard, device)[0] for network in networks])
        on_clip(1)
    full, ours = np.asarray(pairs, dtype=np.float64).transpose(1, 0, 2)  # (N, D) each
    mean = full.mean(axis=0)
    plain, centred = cosines(full, ours), cosines(full - mean, ours - mean)
    return Check(
        clips=len(clips),
        cosine_min=round(float(plain.min()), 4),
        cosine_mean=round(float(plain.mean()), 4),
        centred_min=round(float(centred.min()), 4),
        centred_mean=round(float(centred.mean()), 4),
        worst=clips[int(centred.argmin())].name,
    )


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) cosines of the rows of a and b (N, D); of zeros or what is not finite 1 where they are equal, else 0."""
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    told = (norms > 0) & np.isfinite(norms)
    cosine = (a * b).sum(axis=1) / np.where(told, norms, 1.0)
    return np.where(told, cosine, (a == b).all(axis=1))


def judge(
    name: str,
    found: Check,
    precision: str,
    *,
    cosine_bound: float = COSINE_BOUND,
    centred_bound: float = CENTRED_BOUND,
) -> None:
    """Raises QuantisationError where `found` is under a bound."""
    if found.cosine_min < cosine_bound or found.centred_min < centred_bound:
        raise QuantisationError(
            f"--precision {precision} is refused for {name}: over {found.clips} clips, yours and near-silent ones, "
            f"the cosine of its embeddings to float32's falls to {found.cosine_min} (least allowed: {cosine_bound}), "
            f"centred to {found.centred_min} (least allowed: {centred_bound}), at {found.worst!r}. "
            f"Extract without --precision {precision}."
        )


def _spectrogram(model: LoadedBackbone, clip: Heard) -> Tensor:
    """(F, M) of one clip, by itself."""
    with torch.no_grad():
        return model.on_spectrograms().spectrogram(torch.from_numpy(clip.wave)[None], torch.tensor([clip.length]))[0]


def _files(file: Path) -> tuple[Path, Path]:
    return file, file.with_suffix(".bin")


def _digests(file: Path) -> list[str]:
    """What the network's files are; empty where one is missing."""
    if not all(path.is_file() for path in _files(file)):
        return []
    return [sha256_of(path) for path in _files(file)]
