"""What is kept of a run beside its heads' numbers: the records that `soundprobe.scoring.results` writes and reads."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from soundprobe.base.stored import (
    Count,
    DatasetRecord,
    Entry,
    Fold,
    Record,
    ScoredModelRecord,
    Settings,
    UsedBackboneRecord,
)
from soundprobe.scoring.tuning import TuningRecord


class TestedDatasetRecord(DatasetRecord):
    """`failed` of the clips have no embedding; `left_out` names them and those that lack a twin side by side.

    `sound_notes` say what is conspicuous about the clips' sound; older versions didn't keep them.
    """

    failed: Count
    left_out: list[str] = Field(default=[])
    sound_notes: list[str] = Field(default=[])


class HeadRecord(Entry):
    """A head: `settings` as the user gave them, and what was done to the labels or the training clips.

    Of imported predictions there is none: what stands here is called "import", and has their seed and key.

    Attributes:
        asked: see `embeddings.head_plan.Plan`; None of older runs and of other kinds.
    """

    name: str
    title: str
    settings: Settings
    seed: int
    key: str
    asked: str | None = None


class FoldScoresRecord(Entry):
    """One tested fold; see `FoldResult` for chosen, history, tuning and seconds. What an import can't know is None."""

    fold: Fold
    train_clips: Count | None
    test_clips: Count
    accuracy: float
    macro_f1: float
    chosen: Settings
    history: list[Settings] = Field(default=[])
    tuning: TuningRecord | None = None
    seconds: float | None


class ScoreRecord(Entry):
    """A score's mean over folds and its spread; `std_sample` is None where there is one fold."""

    mean: float
    std_population: float
    std_sample: float | None = None


class SummaryRecord(Entry):
    accuracy: ScoreRecord
    macro_f1: ScoreRecord


class ImportRecord(Entry):
    """Where imported predictions came from, and how they were made as far as they tell.

    Attributes:
        file: its name; sha256: of its bytes.
        probabilities: whether `predictions.parquet` has any.
        folds: "same" as the data's (by whatever numbers), "other" ones, or "unknown"; scores are by the data's.
        moved: how many clips the other folds put elsewhere; None where their numbers can't be told from the data's.
        in_training_too: how many clips lie in one of the other folds while another clip of their recording lies in
            another; None where recordings or folds are unknown.
        missing: how many clips of the data that can be read have no prediction.
    """

    file: str
    sha256: str
    probabilities: bool
    folds: Literal["same", "other", "unknown"]
    moved: Count | None = None
    in_training_too: Count | None = None
    missing: Count = 0


class RunRecord(Record):
    """`result.json`: one backbone and head, or one model's imported predictions, over the folds that were tested.

    Attributes:
        device: where it was trained; mixed_precision: the 16-bit type, of a fine-tuning run that had one.
        threads: PyTorch's in a fine-tuning run, on whose number the last digits hang; several where folds differ.
        command, versions, created, seconds: how, with what, when (ISO 8601) and how long it was made.
        overfitting: of a fine-tuning run, see `soundprobe.scoring.overfitting`.
        imported: of a run of the kind "import".
        complete: whether `folds` are all of the data set's.
    """

    REMEDY: ClassVar[str] = "Run its command again."
    kind: Literal["probe", "finetune", "import"]
    dataset: TestedDatasetRecord
    backbone: ScoredModelRecord
    head: HeadRecord
    device: str = ""
    mixed_precision: str | None = None
    threads: list[int] = Field(default=[])
    command: str
    versions: Settings
    created: str
    seconds: float
    overfitting: Settings | None = None
    imported: ImportRecord | None = None
    folds: list[FoldScoresRecord]
    summary: SummaryRecord
    complete: bool

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if len(set(self.tested)) != len(self.folds):
            raise PydanticCustomError("fold_twice", "lists a fold more than once")
        if self.kind == "import":
            lacking = "imported" if self.imported is None else ""
        else:
            model, folds = self.backbone, self.folds
            untold = {
                "backbone.embedding_dim": model.embedding_dim is None,
                "backbone.parameters": model.parameters is None,
                "folds.train_clips": any(one.train_clips is None for one in folds),
                "folds.seconds": any(one.seconds is None for one in folds),
            }
            lacking = next((field for field, is_none in untold.items() if is_none), "")
        if lacking:
            raise PydanticCustomError("lacking", "lacks the field '{field}'", {"field": lacking})
        return self

    @property
    def tested(self) -> list[int]:
        """The folds that were tested, in the order of `folds`."""
        return [entry.fold for entry in self.folds]

    @property
    def is_of_fewer_clips(self) -> bool:
        """Whether `--limit` left clips of the data set out."""
        limit = (self.dataset.opened_as or {}).get("limit")
        return isinstance(limit, int) and self.dataset.clips >= limit

    @property
    def is_trial(self) -> bool:
        """Whether it was made of fewer clips or folds than the data set has, to see how it goes."""
        return self.is_of_fewer_clips or (not self.complete and self.kind != "import")

    @property
    def has_probabilities(self) -> bool:
        """Whether each clip has a probability of each class, not a predicted class alone."""
        return self.imported is None or self.imported.probabilities


class HeadOriginRecord(Entry):
    """What a fold's head belongs to: embeddings, classes and data.

    Attributes:
        dropout: of a fine-tuned network; code_sha256: of another package's head, see `registry.code_of`.
        clip_s: the median length of the data's clips in seconds; older versions didn't keep it.
    """

    backbone: UsedBackboneRecord
    class_names: list[str]
    head: str
    dataset: DatasetRecord
    dropout: float | None = None
    code_sha256: str | None = None
    clip_s: float | None = None


class NetworkRecord(HeadOriginRecord, Record):
    """The metadata of `fold-NN-network.safetensors`: what the network that never saw `fold` belongs to."""

    FORMAT: ClassVar[int | None] = None
    REMEDY: ClassVar[str] = "Fine-tune again with --force."
    fold: Fold


class FoldRecord(Record):
    """The metadata of `fold-NN.safetensors`; see `FoldResult` for most of it.

    Attributes:
        test_ids: (n,); params: the head's settings, as its `state_params` gives them.
        about: what the head belongs to.
    """

    FORMAT: ClassVar[int | None] = None
    REMEDY: ClassVar[str] = "Run the command again."
    fold: Fold
    test_ids: list[str]
    chosen: Settings
    history: list[Settings]
    tuning: TuningRecord | None = None
    train_clips: Count
    seconds: float
    params: Settings
    about: HeadOriginRecord
