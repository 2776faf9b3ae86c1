"""Files of labels over time, as `view --segments` reads them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from mutate import Target

from soundprobe.viewing.label_files import read_segments

SAMPLES = {
    "csv": 'clip,start,end,label,probability\na.wav,0,0.2,dog,0.75\na.wav,0.1,0.4,"a, b",\n',
    "jsonl": '{"clip": "a.wav", "start_s": 0, "end_s": 0.2, "label": "dog", "probability": 0.75}\n',
    "audacity": "0.000000\t0.200000\tdog\n\\\t100.0\t2000.0\n0.1\t0.4\tcat\n",
    "raven": "Selection\tView\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tSpecies\n"
    "1\tWaveform 1\t60.0\t60.2\ta.wav\t0.0\tdog\n",
}


def targets(folder: Path) -> list[Target]:
    return [
        Target(f"labels-{kind}", [sample.encode()], partial(_read, folder / kind)) for kind, sample in SAMPLES.items()
    ]


def _read(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    read_segments(path)
