"""Files of labels over time, as `view --segments` reads them, and what stands beside a set of its classes' tags."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from mutate import Target, mutate_json

from soundprobe.embeddings.tag_means import FILE, TagsRecord
from soundprobe.viewing.label_files import read_segments

SAMPLES = {
    "csv": 'clip,start,end,label,probability\na.wav,0,0.2,dog,0.75\na.wav,0.1,0.4,"a, b",\n',
    "jsonl": '{"clip": "a.wav", "start_s": 0, "end_s": 0.2, "label": "dog", "probability": 0.75}\n',
    "audacity": "0.000000\t0.200000\tdog\n\\\t100.0\t2000.0\n0.1\t0.4\tcat\n",
    "raven": "Selection\tView\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tSpecies\n"
    "1\tWaveform 1\t60.0\t60.2\ta.wav\t0.0\tdog\n",
}


TAGS = (
    '{"format": 1, "backbone": "mn04", "title": "mn04", "classes": [{"name": "dog", "clips": 2, "tags": '
    '[{"name": "Bark", "mean": 0.5, "elsewhere": 0.1}, {"name": "Dog", "mean": 0.4, "elsewhere": 0}]}]}'
)


def targets(folder: Path) -> list[Target]:
    labels = [
        Target(f"labels-{kind}", [sample.encode()], partial(_read, folder / kind)) for kind, sample in SAMPLES.items()
    ]
    return [*labels, Target("record-tags", [TAGS.encode()], partial(_read_tags, folder / FILE), mutate_json)]


def _read(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    read_segments(path)


def _read_tags(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    record = TagsRecord.read_if_there(path)
    assert record is None or all(0 <= tag.mean <= 1 for one in record.classes for tag in one.tags)
