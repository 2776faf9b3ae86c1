"""How fast this machine turns audio files into embeddings: what `soundprobe bench` runs.

Letters: N clips of one timed run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import soundfile
import torch

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.half import HALF_TYPES
from soundprobe.backbones.load import load_backbone
from soundprobe.backbones.spec import PRECISIONS
from soundprobe.base.config import names_in
from soundprobe.base.errors import ConfigError, unknown
from soundprobe.base.files import scratch_folder
from soundprobe.base.machine import choose_device, half_type
from soundprobe.base.progress import progress_bar
from soundprobe.base.records import Clips
from soundprobe.data.scan import scan
from soundprobe.embeddings.embed import PART_CLIPS, EmbeddingJob, embed_parts, plan_parts
from soundprobe.embeddings.precision import check_device, declared, in_precision_unchecked, precision_of
from soundprobe.embeddings.store import BATCH_CLIPS

CLIP_SECONDS = 4.0  # as UrbanSound8K's
FILE_RATE_HZ = 44_100
FILES = 8
MOST_CLIPS = 512
TRIAL_CLIPS = 4
TYPES = {"fp32": torch.float32, **HALF_TYPES}


@dataclass
class Speed:
    """What was measured of one backbone in one precision.

    Attributes:
        clips: N of each timed run; seconds: of each run, from reading files to embeddings on disk.
        gflop: operations of a clip in the network, in 1e9, without decoding and front end.
        scan_seconds: of reading and hashing one clip before, which `extract` does first.
    """

    backbone: str
    precision: str
    gflop: float
    clips: int = 0
    scan_seconds: float = 0.0
    seconds: list[float] = field(default_factory=list)

    @property
    def clips_per_s(self) -> float:
        """The median over runs."""
        return self.clips / statistics.median(self.seconds)

    @property
    def slowest_and_fastest(self) -> tuple[float, float]:
        """Clips per second of the slowest and of the fastest run."""
        return self.clips / max(self.seconds), self.clips / min(self.seconds)

    def share_of(self, peak_gflops: float) -> float:
        """The network's operations a second as a share of the machine's peak."""
        return self.gflop * self.clips_per_s / peak_gflops

    def seconds_for(self, clips: int) -> float:
        """How long `extract` takes for so many 4 s clips, scan included."""
        return clips * (1 / self.clips_per_s + self.scan_seconds)


@dataclass(frozen=True)
class Bench:
    """The outcome.

    Attributes:
        peaks_gflops: what matrix products reach on the device in each precision that is a type of PyTorch's, so in all
            but int8, in 1e9 operations a second.
        speeds: one for each backbone and precision.
        left_out: precision -> the backbones that can't be had in it here.
    """

    device: str
    threads: int
    peaks_gflops: Mapping[str, float]
    speeds: Sequence[Speed]
    left_out: Mapping[str, Sequence[str]]


def bench(
    *,
    backbone: str | Sequence[str] | None = None,
    precision: str | Sequence[str] | None = None,
    device: str = "auto",
    rounds: int = 3,
    seconds: float = 5.0,
    batch_size: int = BATCH_CLIPS,
    jobs: int | None = None,
    progress: bool = True,
) -> Bench:
    """Times the real pipeline, files to embeddings on disk, on generated 4 s clips and random weights.

    Rounds are interleaved: each runs every backbone in every precision once, so a slow minute of the machine falls on
    all of them. Int8 and fp16 networks are timed as they are: what they are worth, `extract` checks on real clips.

    Args:
        backbone: names, or several joined by commas; by default all of the catalogue.
        precision: likewise; by default fp32 and the 16-bit type that the device is fast with. A backbone that can't be
            had in one of them is left out there.
        rounds: timed runs of each; seconds: how long each should take about.
        batch_size: clips of one forward pass; jobs: decoding threads; progress: show bars.

    Raises:
        ConfigError: an unknown name, a number out of range, or no backbone can be had in any of the precisions.
    """
    if rounds < 1 or not 0 < seconds <= 3600:
        raise ConfigError(f"--rounds {rounds}, --seconds {seconds:g}: give at least 1 round of more than 0 to 3600 s.")
    if batch_size < 1:
        raise ConfigError(f"--batch-size {batch_size} is not valid: give 1 or more.")
    names = names_in(list(BACKBONES) if backbone is None else backbone, "backbone", "mn04,panns")
    for name in names:
        BACKBONES[name]
    torch_device = choose_device(device)
    usual = ["fp32", *(name for name, kind in HALF_TYPES.items() if kind == half_type(torch_device))]
    precisions = names_in(usual if precision is None else precision, "precision", "fp32,bf16")
    pairs, left_out = _offered(names, precisions, torch_device)
    types = {kind: TYPES[kind] for _, kind in pairs if kind in TYPES}
    peaks = {kind: gemm_peak_gflops(torch_device, dtype=dtype) for kind, dtype in types.items()}
    with scratch_folder() as folder:
        clips = write_clips(folder)
        began = time.perf_counter()
        scanned = scan(clips, jobs=jobs)
        scan_seconds = (time.perf_counter() - began) / len(clips)
        with progress_bar("bench", len(pairs) * (rounds + 1), "runs", shown=progress) as bar:
            runs = []
            for number, (name, kind) in enumerate(pairs):
                model = declared(load_backbone(name, weights=BACKBONES[name].weights_at_hand), kind)
                job = _ready(
                    EmbeddingJob(model, clips, scanned, torch_device, batch_size, jobs), folder / f"network-{number}"
                )
                runs.append((job, _trial(job, seconds, scan_seconds, folder)))
                bar.advance(1)
            for _ in range(rounds):
                for job, speed in runs:
                    speed.seconds.append(_time(job, speed.clips, folder))
                    bar.advance(1)
    return Bench(str(torch_device), torch.get_num_threads(), peaks, [speed for _, speed in runs], left_out)


def _offered(
    names: Sequence[str], precisions: Sequence[str], device: torch.device
) -> tuple[list[tuple[str, str]], dict[str, list[str]]]:
    """Which backbones can be had in which precision, and for each precision those that can't."""
    for precision in precisions:
        if precision not in PRECISIONS:
            raise ConfigError(unknown("precision", precision, PRECISIONS))
    pairs: list[tuple[str, str]] = []
    left_out: dict[str, list[str]] = {}
    why: ConfigError | None = None
    for name in names:
        for precision in precisions:
            try:
                BACKBONES[name].check_precision(precision)
                check_device(precision, device)
                pairs.append((name, precision))
            except ConfigError as error:
                left_out.setdefault(precision, []).append(name)
                why = why or error
    if not pairs and why is not None:
        raise why
    return pairs, left_out


def _ready(job: EmbeddingJob, folder: Path) -> EmbeddingJob:
    """The job in its precision. Int8 is calibrated on a clip of each file, which is enough for its speed."""
    folder.mkdir()
    clips = job.clips.take(np.arange(FILES))
    few = replace(job, clips=clips, scanned=scan(clips))
    return replace(job, model=in_precision_unchecked(few, folder).model)


def _trial(job: EmbeddingJob, seconds: float, scan_seconds: float, folder: Path) -> Speed:
    """Warms up, and finds how many clips take about `seconds`."""
    _time(job, 1, folder)
    per_clip = _time(job, TRIAL_CLIPS, folder) / TRIAL_CLIPS
    clips = min(MOST_CLIPS, max(TRIAL_CLIPS, int(seconds / per_clip)))
    return Speed(job.model.spec.name, precision_of(job.model), 2 * job.model.spec.gmacs, clips, scan_seconds)


def _time(job: EmbeddingJob, clips: int, folder: Path) -> float:
    """Seconds from the files of the first `clips` clips to their embeddings on disk."""
    planned = [clip for part in plan_parts(job.clips, job.scanned, job.model) for clip in part][:clips]
    parts = {start: planned[start : start + PART_CLIPS] for start in range(0, clips, PART_CLIPS)}
    with progress_bar("", clips, "clips", shown=False) as hidden:
        began = time.perf_counter()
        for _ in embed_parts(job, parts, folder, hidden):
            pass
        return time.perf_counter() - began


def write_clips(folder: Path) -> Clips:
    """`MOST_CLIPS` clips of 4 s, 44.1 kHz, stereo, 16 bits, which share a few files of noise in `folder`."""
    noise = np.random.default_rng(0)
    paths = []
    for number in range(FILES):
        samples = noise.uniform(-0.5, 0.5, (int(CLIP_SECONDS * FILE_RATE_HZ), 2))
        paths.append(folder / f"{number}.wav")
        soundfile.write(paths[-1], samples, FILE_RATE_HZ, subtype="PCM_16")
    rows = np.arange(MOST_CLIPS)
    return Clips(
        name="bench",
        ids=rows.astype(np.str_),
        sources=[paths[row % FILES] for row in rows],
        labels=rows % 2,
        folds=rows % 2 + 1,
        groups=rows.astype(np.str_),
        class_names=("a", "b"),
    )


def gemm_peak_gflops(device: torch.device | None = None, rounds: int = 7, dtype: torch.dtype = torch.float32) -> float:
    """The best rate of a matrix product of size 2,048 (8,192 on a GPU), in 1e9 operations a second."""
    device = device or torch.device("cpu")
    size = 2048 if device.type == "cpu" else 8192
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        (a @ b)[0, 0].item()  # waits for the device
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds) / 1e9
