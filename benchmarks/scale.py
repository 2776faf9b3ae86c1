"""What `extract` costs beside the network as the data grow: time a part, the engine's share, memory.

    python benchmarks/scale.py --clips 600000 --dim 64                                         store and plan alone
    python benchmarks/scale.py --clips 20000 --engine dask --workers 2 --network-ms 20    the engine's overhead
    python benchmarks/scale.py --clips 2000000 --dim 64 --classes 10 --probe                   and a fold on disk
    python benchmarks/scale.py --clips 10000000 --manifest                                     a CSV manifest alone

Clips are 64 samples made when they are read; the network is a matrix product, which takes `--network-ms` a clip more.
All else is real: scan, fingerprint, decoding, the engine, parts on disk with their digests, and reading them again. The
time of a part is that between two parts' files.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from machine_note import describe
from soundprobe import extract, probe
from soundprobe.backbones.protocol import Backbone
from soundprobe.backbones.spec import BackboneSpec
from soundprobe.base.files import size_of
from soundprobe.base.records import Clips, EncodedAudio
from soundprobe.base.texts import texts_of
from soundprobe.data.catalog import open_data
from soundprobe.embeddings.store import open_set, read_embeddings

RATE_HZ, SAMPLES = 16_000, 64
DIM = int(os.environ.get("SCALE_DIM", "960"))  # in workers, too
HEADER = struct.pack(
    "<4sI4s4sIHHIIHH4sI",
    *(b"RIFF", 36 + 2 * SAMPLES, b"WAVE", b"fmt ", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16, b"data", 2 * SAMPLES),
)
FOLDS, CLASSES = 10, int(os.environ.get("SCALE_CLASSES", "527"))  # AudioSet's
RECORDING = 80  # clips of one
PATTERNS = np.random.default_rng(0).choice(np.array([-2000, 2000], dtype=np.int16), (CLASSES, SAMPLES // 2))


class Generated(Backbone):
    """(B, T) -> (B, DIM), in a time that is given."""

    spec = BackboneSpec(name="generated", embedding_dim=DIM, sample_rate_hz=RATE_HZ, parameters=0, clip_seconds=0.1)
    fills_cores = True  # one batch at a time, here as in a worker

    def __init__(self, *, clip_seconds: float | None = None) -> None:
        self.seconds_per_clip = float(os.environ.get("SCALE_NETWORK_MS", "0")) / 1000
        self.matrix = torch.randn(SAMPLES, DIM, generator=torch.Generator().manual_seed(0))

    def embed(self, waves: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        time.sleep(self.seconds_per_clip * len(waves))
        return waves[:, :SAMPLES] @ self.matrix


def encoded(number: int) -> bytes:
    """A WAV file of noise that is this number's alone, on its class's pattern; no check finds it conspicuous."""
    noise = np.frombuffer(hashlib.shake_128(str(number).encode()).digest(SAMPLES // 2), np.int8) * np.int16(100)
    noise = noise + PATTERNS[number % CLASSES]
    return HEADER + noise.tobytes() + (-noise).tobytes()


class Sources(Sequence[EncodedAudio]):
    """N clips, each made when it is asked for."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: Any) -> Any:
        return EncodedAudio(f"{range(self.count)[number]:08d}.wav", partial(encoded, int(number)))


def made(count: int) -> Clips:
    numbers = np.arange(count)
    return Clips(
        name="generated",
        ids=texts_of(f"{number:08d}.wav" for number in range(count)),
        sources=Sources(count),
        labels=numbers % CLASSES,
        folds=1 + numbers // RECORDING % FOLDS,
        groups=texts_of(f"{number // RECORDING:06d}" for number in range(count)),
        class_names=tuple(f"class {number}" for number in range(CLASSES)),
    )


@contextmanager
def watched() -> Iterator[list[tuple[float, float, float]]]:
    """Ten times a second: when, what this process holds, and what the largest of its workers does, in MB."""
    seen: list[tuple[float, float, float]] = []
    over, here = threading.Event(), psutil.Process()

    def held(process: psutil.Process) -> float:
        try:
            memory = process.memory_info()
            return (memory.rss - memory.shared) / 1e6  # files that are mapped make room when others need it
        except psutil.NoSuchProcess:
            return 0.0

    def watch() -> None:
        while not over.wait(0.1):
            workers = [held(child) for child in here.children(recursive=True)]
            seen.append((time.time(), held(here), max(workers, default=0.0)))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def measure(count: int, engine: str, root: Path) -> tuple[Path, float]:
    """Prints what `extract` took; gives the set's folder, and the mean seconds between two parts."""
    before_mb = held_bytes() / 1e6
    clips = made(count)
    began = time.time()
    with watched() as seen:
        (done,) = extract(clips, backbone="scale:Generated", embeddings=root, engine=engine, progress=False)
    wall_s = time.time() - began
    assert (done.clips, len(done.failures), len(done.findings)) == (count, 0, 0)
    ends = np.sort([path.stat().st_mtime for path in done.folder.glob("part-*.parquet")])
    gaps = np.diff(ends)
    tenth, first_s = len(gaps) // 10 + 1, ends[0] - began
    print(f"{count:,} clips in {len(ends):,} parts, {engine}: {wall_s:.0f} s, {first_s:.0f} of them to the first part")
    for name, some in (("first", gaps[:tenth]), ("last", gaps[-tenth:])):
        print(f"  ms a part, median of the {name} tenth: {1000 * np.median(some):.0f}")
    held = np.array(seen)
    middle = ends[len(ends) // 2]
    for name, low, high in (
        ("scan and plan", began, ends[0]),
        ("first half", ends[0], middle),
        ("second half", middle, ends[-1]),
    ):
        rows = held[(held[:, 0] >= low) & (held[:, 0] <= high)]
        if len(rows):
            print(f"  peak MB, {name}: {rows[:, 1].max():.0f} here, {rows[:, 2].max():.0f} in a worker")
    own = 1e6 * (held[:, 1].max() - before_mb) / count
    print(f"  {own:.0f} bytes a clip here at most, beside {before_mb:.0f} MB that are there before")
    return done.folder, float(gaps.mean())


def held_bytes() -> float:
    """What this process holds, without files that it maps."""
    memory = psutil.Process().memory_info()
    return float(memory.rss - memory.shared)


def open_manifest(count: int, folder: Path) -> float:
    """Prints what it takes to open a manifest of so many rows, whose files are not there; gives its bytes a row."""
    path = folder / "manifest.csv"
    with path.open("w") as file:
        file.write("path,label,fold\n")
        for number in range(count):
            name = hashlib.md5(str(number).encode()).hexdigest()[:11]
            file.write(f"segments/{name}-{number % 90:02d}000.wav,class {number % 527},{1 + number % FOLDS}\n")
    before, began = held_bytes(), time.process_time()
    with watched() as seen:
        clips = open_data(path)
    most, left = 1e6 * max(one[1] for one in seen) - before, held_bytes() - before
    assert len(clips) == count
    size, took_s = path.stat().st_size / count, time.process_time() - began
    print(f"{count:,} rows of {size:.0f} bytes opened in {took_s:.0f} s of a core")
    print(f"  bytes a row: {most / count:.0f} at most, {left / count:.0f} in the end")
    return most / count


def probe_fold(root: Path, clips: int) -> None:
    """Prints what the linear head takes for one fold on features that stay on disk."""
    before, began = held_bytes(), time.time()
    with watched() as seen:
        (done,) = probe(embeddings=root, heads=root / "heads", only_folds=[1], memory_gb=1e-3, jobs=1, progress=False)
    most = 1e6 * max(one[1] for one in seen) - before
    (fold,) = done.record.folds
    print(f"probe of a fold on disk: {time.time() - began:.0f} s, {fold.seconds:.0f} of them to choose and train")
    print(f"  {most / 1e6:.0f} MB more, {most / clips:.0f} bytes a clip; accuracy {fold.accuracy:.3f}, {fold.chosen}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--clips", type=int, default=200_000, help="513 or more")
    options.add_argument("--engine", choices=("threads", "dask"), default="threads")
    options.add_argument("--workers", type=int, default=2, help="of --engine dask")
    options.add_argument("--network-ms", type=float, default=0.0, help="what the network takes a clip")
    options.add_argument("--dim", default="960", help="numbers of an embedding")
    options.add_argument("--classes", default="527")
    options.add_argument("--probe", action="store_true", help="train the linear head of a fold, too, out of core")
    options.add_argument("--manifest", action="store_true", help="open a manifest of so many clips, and no more")
    options.add_argument("--folder", type=Path, help="where to write; by default a temporary folder")
    chosen = options.parse_args()
    given = {"SCALE_NETWORK_MS": str(chosen.network_ms), "SCALE_DIM": chosen.dim, "SCALE_CLASSES": chosen.classes}
    if not given.items() <= os.environ.items():  # they are read where this file is imported, here and in workers
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | given)
    print(describe())
    with tempfile.TemporaryDirectory(dir=chosen.folder) as root:
        if chosen.manifest:
            open_manifest(chosen.clips, Path(root))
            return
        if chosen.engine == "dask":
            from soundprobe.base.parallel import one_cluster

            alone = min(chosen.clips, 4 * 256)
            _, alone_s = measure(alone, "threads", Path(root) / "alone")
            with one_cluster("dask", workers=chosen.workers):
                _, gap_s = measure(chosen.clips, "dask", Path(root) / "dask")
            worker_s = gap_s * chosen.workers
            print(f"a part takes a worker {worker_s:.3f} s, alone {alone_s:.3f}: overhead {1 - alone_s / worker_s:.1%}")
            return
        folder, _ = measure(chosen.clips, "threads", Path(root))
        size, record = size_of(folder), (folder / "meta.json").stat().st_size
        print(f"  {size / chosen.clips:.0f} bytes a clip on disk; meta.json {record / 1e3:.0f} kB")
        before_mb = held_bytes() / 1e6
        began = time.time()
        with watched() as seen:
            size_mb = read_embeddings(open_set(folder)).features.nbytes / 1e6
        more_mb = max((one[1] for one in seen), default=before_mb) - before_mb
        print(f"read: {time.time() - began:.1f} s, {more_mb:.0f} MB more; features {size_mb:.0f} MB")
        if chosen.probe:
            probe_fold(Path(root), chosen.clips)


if __name__ == "__main__":
    main()
