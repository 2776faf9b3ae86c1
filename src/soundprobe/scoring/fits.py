"""A head that was trained on all clips, to be used: `fit.safetensors` in a folder beside those of scored runs.

It has no score, and carries that of its recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator
from safetensors import SafetensorError
from safetensors.numpy import load, save

from soundprobe.base.digests import read_checked
from soundprobe.base.errors import DamagedError, one_line
from soundprobe.base.files import atomic_file
from soundprobe.base.stored import Count, Entry, Record, Settings, command_in
from soundprobe.scoring.results import fold_metadata, read_metadata
from soundprobe.scoring.run_records import HeadOriginRecord, RunRecord


class IntervalRecord(Entry):
    """A 95 % interval: see `soundprobe.scoring.intervals.Interval`. Its ends are None where the data can't give one."""

    low: float | None
    high: float | None
    method: str


class ClassThresholdRecord(Entry):
    """One class: its `threshold`, None where none makes it precise enough, so that it is never told.

    Attributes:
        told, right: how many out-of-fold clips were called so, and how many of them rightly, by thresholds that were
            chosen on the other folds; clips: how many clips of the class there are.
    """

    threshold: float | None
    told: Count
    right: Count
    clips: Count


class ThresholdsRecord(Entry):
    """How sure a class must be: chosen on out-of-fold predictions for a `precision`.

    Attributes:
        reached, recall: the precision and the share of all clips told rightly, where each fold's clips are judged by
            thresholds that were chosen on the others; None where nothing was told.
        classes: by their names.
    """

    precision: float = Field(gt=0, le=1)
    reached: float | None
    recall: float
    classes: dict[str, ClassThresholdRecord]


class NoveltyRecord(Entry):
    """From which distance on a clip is none of the classes; see `soundprobe.heads.novelty`.

    Attributes:
        threshold: a distance; passing: the share of the data's own clips that it was to let pass, and passed: the share
            that it did, each fold's clips judged by the threshold of the others.
    """

    threshold: float
    passing: float = Field(gt=0, le=1)
    passed: float


class FitRecord(Record):
    """The metadata of `FILE`: what was fitted, on what, and what its recipe scored.

    Attributes:
        key: a digest of all that the head depends on besides its embeddings' key.
        recipe: the `result.json` of the run whose recipe it is, without histories; recipe_name: what that was called.
        accuracy: the interval of the recipe's.
        about, params, chosen: as in a fold's file; train_clips: all that have an embedding, of so many
            recordings, where these are known.
        thresholds, novelty: where they were asked for.
        device, command, versions, created, seconds: as in `RunRecord`.
    """

    FILE: ClassVar[str] = "fit.safetensors"
    REMEDY: ClassVar[str] = "Fit again."
    kind: Literal["fit"]
    key: str
    recipe: Settings
    recipe_name: str
    accuracy: IntervalRecord
    about: HeadOriginRecord
    params: Settings
    chosen: Settings
    train_clips: Count
    recordings: Count | None = None
    thresholds: ThresholdsRecord | None = None
    novelty: NoveltyRecord | None = None
    device: str = ""
    command: str
    versions: Settings
    created: str
    seconds: float

    @field_validator("recipe")
    @classmethod
    def _is_a_run(cls, content: Settings) -> Settings:
        RunRecord.of(content, f"The recipe in {cls.FILE}")
        return content

    @property
    def run(self) -> RunRecord:
        """The run whose recipe it is."""
        return RunRecord.of(self.recipe, self.FILE)

    @property
    def has_no_score(self) -> str:
        """A sentence on what its score is, and that it isn't its own."""
        score, folds = self.run.summary.accuracy, len(self.run.folds)
        low, high = self.accuracy.low, self.accuracy.high
        interval = "" if low is None or high is None else f" (95 % interval {100 * low:.1f} to {100 * high:.1f})"
        return (
            "It has no score of its own, as every clip trained it. Its recipe, that of "
            f"{self.recipe_name}, scored {100 * score.mean:.1f} %{interval} in {folds}-fold cross-validation."
        )


def write_fit(folder: Path, record: FitRecord, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes `FILE` in `folder`, atomically.

    Args:
        arrays: the head's as `head.<name>`, those of the distance from the training clips as `novelty.<name>`, and
            `trained.sha256` (N,) uint64, see `base.files.leading_digits`.
    """
    with atomic_file(folder / FitRecord.FILE) as file:
        file.write(save(dict(arrays), metadata=fold_metadata(record)))


def read_fit(folder: Path) -> tuple[FitRecord, dict[str, np.ndarray]]:
    """What `write_fit` wrote in `folder`.

    Raises:
        DamagedError: the file is not what was written. StoreError: it is missing, or of another version.
    """
    path = folder / FitRecord.FILE
    try:
        content = read_checked(path)
    except DamagedError as error:
        raise error.by(command_in(path)) from None
    record = FitRecord.of(read_metadata(content, path), path)
    try:
        return record, load(content)
    except SafetensorError as error:
        raise DamagedError(path, f"it can't be read as a fitted head ({one_line(error)[:100]})") from error


def part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Those of a fit's arrays whose names begin so, without that: "head." or "novelty."."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
