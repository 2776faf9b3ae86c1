"""Many clips through `extract`, in one process: its memory and its open files must stay what they were early on.

make soak                          20,000 clips
python tests/faults/soak.py 2000   fewer
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile

from soundprobe.verbs.extract import extract

RATE_HZ = 8_000
EARLY = 0.4
"""Of the run: until then caches fill, and batches and parts of every size have been seen."""
MOST_GROWTH_MB = 40.0
MOST_MORE_FILES = 4
BAD_EVERY = 100


def write_clips(folder: Path, count: int) -> None:
    """Clips of 0.1 to 0.3 s in two classes, mostly WAV, some FLAC, OGG and MP3, and one in a hundred damaged."""
    rng = np.random.default_rng(0)
    for number in range(count):
        place = folder / ("low", "high")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        ending = {3: "flac", 5: "ogg", 7: "mp3"}.get(number % 20, "wav")
        path = place / f"{number // 4}-{number}.{ending}"
        soundfile.write(path, 0.1 * rng.normal(size=rng.integers(800, 2_400)), RATE_HZ)
        if number % BAD_EVERY == 0:
            path.write_bytes(path.read_bytes()[:60])


def memory_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(count: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        write_clips(Path(folder) / "clips", count)
        seen: list[tuple[float, int]] = []
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.1):
                seen.append((memory_mb(), len(os.listdir("/proc/self/fd"))))

        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.perf_counter()
        (done,) = extract(
            Path(folder) / "clips", backbone="logmel-stats", embeddings=Path(folder) / "embeddings", progress=False
        )
        seconds = time.perf_counter() - began
        over.set()
        watcher.join()
    assert len(done.failures) == -(-count // BAD_EVERY), done.failures
    early, late = seen[: int(EARLY * len(seen))], seen[int(EARLY * len(seen)) :]
    growth_mb = max(mb for mb, _ in late) - max(mb for mb, _ in early)
    more_files = max(files for _, files in late) - max(files for _, files in early)
    most_mb, most_files = max(mb for mb, _ in early), max(files for _, files in early)
    print(
        f"{done.clips} clips and {len(done.failures)} damaged in {seconds:.0f} s. Until {EARLY:.0%} of the time at "
        f"most {most_mb:.0f} MB and {most_files} open files, later {growth_mb:+.1f} MB and {more_files:+d} files."
    )
    return int(growth_mb > MOST_GROWTH_MB or more_files > MOST_MORE_FILES)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
