"""Which tags each class of the data lights up: the means of what a backbone's own classifier says of its embeddings.

`tags.json` stands beside a set's `meta.json` and is made of the set alone.

Letters: N clips, D the embedding's dimension, C classes, G tags.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from soundprobe.base.stored import Count, Entry, Record
from soundprobe.embeddings.store import open_set, read_embeddings

FILE = "tags.json"
MOST = 10
BLOCK_CLIPS = 4096
Share = Annotated[float, Field(ge=0, le=1)]


class TagRecord(Entry):
    """A tag's mean probability over a class's clips, and `elsewhere`: over those of all other classes."""

    name: str
    mean: Share
    elsewhere: Share


class ClassTagsRecord(Entry):
    """The `MOST` most probable tags of one class, falling."""

    name: str
    clips: Count
    tags: list[TagRecord]


class TagsRecord(Record):
    """`tags.json`: by which backbone's classifier, and what it says of each class that has clips."""

    REMEDY: ClassVar[str] = "Extract again."
    backbone: str
    title: str
    classes: list[ClassTagsRecord]


def measure_tags(
    folder: Path, names: Sequence[str], proba: Callable[[np.ndarray], np.ndarray], columns: int
) -> TagsRecord:
    """Writes `tags.json` into a finished set's folder.

    Args:
        names: G tags; proba: (N, D) embeddings to (N, G) probabilities.
        columns: D: how many of the set's are the last layer's.

    Raises:
        StoreError: the set is not whole, or the folder can't be written.
    """
    opened = open_set(folder)
    embeddings = read_embeddings(opened)
    features = np.asarray(embeddings.features)
    sums = np.zeros((len(embeddings.class_names), len(names)))
    for at in range(0, len(features), BLOCK_CLIPS):
        block = slice(at, at + BLOCK_CLIPS)
        np.add.at(sums, embeddings.labels[block], proba(features[block, :columns]))
    counts = np.bincount(embeddings.labels, minlength=len(sums))
    record = TagsRecord.of(
        {
            "format": TagsRecord.FORMAT,
            "backbone": opened.record.backbone.name,
            "title": opened.record.backbone.title,
            "classes": [
                {"name": name, "clips": int(counts[c]), "tags": _most(names, sums, counts, c)}
                for c, name in enumerate(embeddings.class_names)
                if counts[c]
            ],
        },
        folder / FILE,
    )
    record.write(folder / FILE)
    return record


def _most(names: Sequence[str], sums: np.ndarray, counts: np.ndarray, c: int) -> list[dict[str, Any]]:
    means = sums[c] / counts[c]
    elsewhere = (sums.sum(axis=0) - sums[c]) / max(1, counts.sum() - counts[c])
    return [
        {"name": names[g], "mean": round(float(means[g]), 4), "elsewhere": round(float(elsewhere[g]), 4)}
        for g in (-means).argsort(kind="stable")[:MOST]
    ]
