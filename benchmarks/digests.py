"""What checking digests adds to reading: the check alone on the bytes just read, as a share of the whole.

    python benchmarks/digests.py --clips 8732 --rounds 7

Reading is what probe, report and predict do: embeddings into an array, a run's predictions and record, a fold's head.
"Cold" files were dropped from the system's cache first, as far as it lets.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from machine_note import describe
from made_sets import store_set
from soundprobe.base.digests import read_checked
from soundprobe.embeddings import store
from soundprobe.heads.catalog import load_head
from soundprobe.reporting.runs.run import read_run
from soundprobe.scoring.results import read_fold
from soundprobe.verbs.probe import probe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=8732)
    parser.add_argument("--dims", default="384,2048", help="of the embeddings, joined by commas")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    print(describe())
    print(f"{'what':<34} {'MB':>6} {'read ms':>9} {'check ms':>9} {'share':>6} {'cold ms':>9} {'share':>6}")
    with tempfile.TemporaryDirectory() as scratch:
        for dim in map(int, given.dims.split(",")):
            root = Path(scratch) / str(dim)
            draw = np.random.default_rng(0)
            labels, folds = draw.integers(0, 10, given.clips), 1 + np.arange(given.clips) % 10
            groups = np.array([f"r{n // 4}-{folds[n]}" for n in range(given.clips)])
            features = draw.normal(size=(given.clips, dim)) + labels[:, None] / 5
            folder = store_set(root / "embeddings", features, labels, folds, groups)
            embeddings = sorted(folder.glob("part-*.parquet"))
            _compare(f"{given.clips} embeddings of {dim}", embeddings, lambda f=folder: _embeddings(f), given.rounds)
            if dim == int(given.dims.split(",")[0]):
                where = {"embeddings": root / "embeddings", "heads": root / "heads", "progress": False}
                (done,) = probe(head="linear", settings={"strengths": [0.1]}, only_folds=[1, 2], **where)  # type: ignore[arg-type]
                run = [done.folder / "predictions.parquet", done.folder / "result.json"]
                _compare("a run", run, lambda d=done.folder: read_run(d, d.parents[2]), given.rounds)
                path = done.folder / "fold-01.safetensors"
                _compare("a fold's head", [path], lambda p=path: _head(p), given.rounds)


def _embeddings(folder: Path) -> None:
    store.read_embeddings(store.open_set(folder))


def _head(path: Path) -> None:
    _, arrays, record = read_fold(path)
    load_head(record.about.head, arrays, record.params)


def _compare(what: str, files: Sequence[Path], read: Callable[[], object], rounds: int) -> None:
    contents = [path.read_bytes() for path in files]
    whole, cold, check = [], [], []
    for _ in range(rounds):
        whole.append(_timed(read))
        began = time.perf_counter()
        for path in files:
            read_checked(path)
        both = time.perf_counter() - began
        began = time.perf_counter()
        for path in files:
            path.read_bytes()
        check.append(max(0.0, both - (time.perf_counter() - began)))
        for path in files:
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        cold.append(_timed(read))
    size = sum(map(len, contents)) / 1e6
    read_ms, check_ms, cold_ms = (1e3 * statistics.median(times) for times in (whole, check, cold))
    shares = f"{check_ms / read_ms:>6.1%} {cold_ms:>9.2f} {check_ms / cold_ms:>6.1%}"
    print(f"{what:<34} {size:>6.2f} {read_ms:>9.2f} {check_ms:>9.3f} {shares}", flush=True)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
