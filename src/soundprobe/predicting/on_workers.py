"""Recordings that are heard by the workers of a cluster: some files a task, answers in their order."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from soundprobe.audio.encoded import from_anywhere
from soundprobe.base.errors import AudioError
from soundprobe.base.parallel import run_tasks
from soundprobe.base.records import Source
from soundprobe.predicting.prediction import Prediction

if TYPE_CHECKING:
    from soundprobe.predicting.predictor import Listening, Predictor

TASK_FILES, TASK_BYTES = 16, 64e6
"""A task ends with the file that reaches either."""


def predict_each_on_workers(
    predictor: Predictor, sources: Sequence[Source], listening: Listening | None, files_ahead: int, engine: str
) -> Iterator[Prediction | AudioError]:
    """As `Predictor.predict_each`, of what is no live stream."""
    first = next((path for path in sources if isinstance(path, str) and os.path.exists(path)), None)
    for said in run_tasks(
        _predict_some,
        ((listening, files_ahead, some) for some in _grouped(sources)),
        engine=engine,
        shared=[predictor],
        paths=[] if first is None else [first],
    ):
        yield from said


def _grouped(sources: Iterable[Source]) -> Iterator[list[Source]]:
    some: list[Source] = []
    size_bytes = 0
    for source in sources:
        some.append(from_anywhere(source))
        size_bytes += os.path.getsize(source) if isinstance(source, str) and os.path.exists(source) else 0
        if len(some) == TASK_FILES or size_bytes >= TASK_BYTES:
            yield some
            some, size_bytes = [], 0
    if some:
        yield some


def _predict_some(
    predictor: Predictor, listening: Listening | None, files_ahead: int, sources: list[Source]
) -> list[Prediction | AudioError]:
    return list(predictor.predict_each(sources, listening, files_ahead=files_ahead))
