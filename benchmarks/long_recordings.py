"""What an hour-long recording takes: memory above an idle process's, and seconds, to scan it and to decode 4 s of it.

    python benchmarks/long_recordings.py [HOURS]

Each format in a process of its own; noise at 44.1 kHz with two channels, which compresses badly, and silence, which
compresses well. M4A needs `soundprobe[ffmpeg]`. Then the peak of `extract` and `finetune` with mn04, untrained, on six
such FLAC files of noise and on six of 10 s.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 44_100
MINUTE = (0.1 * np.random.default_rng(0).normal(size=(60 * RATE_HZ, 2))).astype(np.float32)
FORMATS = {"wav": "WAV", "flac": "FLAC", "mp3": "MP3", "ogg": "OGG", "silent.flac": "FLAC", "m4a": ""}


def write(path: Path, minutes: float, format: str) -> None:
    if not format:
        import av

        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=RATE_HZ, layout="stereo")
            for _ in range(round(minutes)):
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(MINUTE.T), format="fltp", layout="stereo")
                frame.sample_rate = RATE_HZ
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return
    with soundfile.SoundFile(path, "w", RATE_HZ, 2, format=format) as file:
        seconds = np.split(MINUTE * (".silent" not in path.name), 60)
        for number in range(round(60 * minutes)):
            file.write(seconds[number % 60])  # of Vorbis, more at once overflows libsndfile's stack


def measure_verb(verb: str, path: Path) -> None:
    """Prints the peak of the command on six clips, all of them the file at `path` by other names."""
    from soundprobe.cli.main import main

    os.chdir(path.parent)
    rows = ["path,label,fold,recording"]
    for number in range(6):
        os.link(path, name := f"{number}.flac")
        rows.append(f"{name},{'ab'[number % 2]},{1 + number // 2},{number}")
    Path("data.csv").write_text("\n".join(rows))
    own = ["--epochs-fixed", "--only-fold", "1"] if verb == "finetune" else []
    sys.argv = ["soundprobe", verb, "-b", "mn04", "--weights", "random", "--data", "data.csv", "-q", *own]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
    print(f"| {verb} | {path.stat().st_size / 1e6:.1f} MB | {peak_mb():.0f} MB |", flush=True)


def peak_mb() -> float:
    """Of this process alone; `getrusage` counts in what its parent had."""
    told = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+)", told)[1]) / 1024  # type: ignore[index]  # Linux always says it


def measure(path: str) -> None:
    from soundprobe.audio.decode import decode, inspect
    from soundprobe.audio.encoded import digest, open_encoded

    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew, at what is held now
    base, began = peak_mb(), time.monotonic()
    audio = open_encoded(path)
    digest(audio)
    frames = inspect(audio, path).frames
    scanned = time.monotonic()
    assert len(decode(audio, sample_rate_hz=32_000, name=path, samples=4 * 32_000)) == 4 * 32_000
    decoded = time.monotonic()
    print(
        f"| {Path(path).name} | {Path(path).stat().st_size / 1e6:.1f} MB | {frames / RATE_HZ / 3600:.2f} h "
        f"| {peak_mb() - base:.0f} MB | {scanned - began:.2f} s | {decoded - scanned:.2f} s |",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2])
    elif sys.argv[1:2] == ["--verb"]:
        measure_verb(sys.argv[2], Path(sys.argv[3]))
    else:
        minutes = round(60 * float(sys.argv[1] if len(sys.argv) > 1 else 1))
        print("| file | size | length | memory | scan | decode 4 s |\n|---|---|---|---|---|---|", flush=True)
        for ending, format in FORMATS.items():
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"a.{ending}"
                write(path, minutes, format)
                subprocess.run([sys.executable, __file__, "--measure", str(path)], check=True)
        print("\n| command | each of six files | peak |\n|---|---|---|", flush=True)
        for verb, length in itertools.product(("extract", "finetune"), (1 / 6, minutes)):
            with tempfile.TemporaryDirectory() as folder:
                write(path := Path(folder) / "a.flac", length, "FLAC")
                subprocess.run([sys.executable, __file__, "--verb", verb, str(path)], check=True)
