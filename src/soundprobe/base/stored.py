"""Records on disk: what a JSON file (or a file's metadata) says, as a model that writes it and reads it again.

A record is validated once, when it is made from the content of a file or on its way into one. Code reads its typed
attributes; `content` is the plain mapping that stands in the file, for whoever wants it whole (a report, a user). What
a newer version added stays in `content` and is ignored by the model, so a record that is read and written again has the
same bytes. What is missing or has another type is one line that names file, field and remedy.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from soundprobe.base.digests import note_damage
from soundprobe.base.errors import DamagedError, StoreError
from soundprobe.base.files import read_json, write_json

MOST_OF_COMMAND = 1000
COMMAND = re.compile(rb'"command": *("(?:[^"\\]|\\.)*")')
Settings = dict[str, Any]
"""Names and values of any kind: what a backbone or head was set to, what a fold chose, a step of its history."""

Fold = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Identity = tuple[str, str, tuple[str, ...]]
"""Of a data set: see `DatasetRecord.identity`."""


class RecordError(StoreError):
    """A record can't be used. `reason` says why, without the file's path and the remedy."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class Entry(BaseModel):
    """A part of a record: types are strict, and fields that a newer version added are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class Record(Entry):
    """A whole file. Make it with `of` or `read`.

    Attributes:
        FORMAT: the version that is written and, after `OLDER`, read, as the file's field "format"; None has no version.
        OLDER: for each older version that is still read, what makes its content that of the next one.
        REMEDY: what to do where a file can't be used, as a sentence.
    """

    FORMAT: ClassVar[int | None] = 1
    OLDER: ClassVar[Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {}
    REMEDY: ClassVar[str] = "Run the command that made it again."
    _content: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def content(self) -> dict[str, Any]:
        """What stands in the file: plain mappings, lists, texts and numbers. Not to be changed."""
        return self._content

    @classmethod
    def of(cls, content: Mapping[str, Any], where: str | Path) -> Self:
        """The record with this content.

        Args:
            where: names the content in messages, such as the file's path.

        Raises:
            RecordError: another version wrote it, a field is missing, or one is of the wrong type.
        """
        content = dict(content)
        while type(found := content.get("format")) is int and found in cls.OLDER:
            content = cls.OLDER[found](content)
        if cls.FORMAT is not None and found != cls.FORMAT:
            shown = f"has format {reprlib.repr(found)}"
            raise RecordError(
                f"{where} {shown}; this version reads format {cls.FORMAT}. {cls.REMEDY}",
                f"{shown}; this version reads format {cls.FORMAT}",
            )
        try:
            record = cls.model_validate(content)
        except ValidationError as error:
            reason = _reason(error)
            raise RecordError(f"{where} {reason}. {cls.REMEDY}", reason) from None
        record._content = content
        return record

    @classmethod
    def read(cls, path: Path) -> Self:
        """The record in the JSON file at `path`.

        Raises:
            DamagedError: it isn't what was written, or isn't a JSON object; with the command that it names, if that
                can be read. StoreError: there is no such file. RecordError: as `of`.
        """
        try:
            content = read_json(path)
        except DamagedError as error:
            raise error.by(command_in(path)) from None
        return cls.of(content, path)

    @classmethod
    def read_if_there(cls, path: Path) -> Self | None:
        """The record at `path`; None where there is no file, or another version wrote it.

        Raises:
            StoreError: as `read`.
        """
        if not path.exists():
            return None
        content = read_json(path)
        found = content.get("format")
        known = cls.FORMAT is None or (type(found) is int and found in (cls.FORMAT, *cls.OLDER))
        return cls.of(content, path) if known else None

    @classmethod
    def read_or_make(cls, path: Path) -> Self | None:
        """As `read_if_there`; None also where the file is damaged, with a note that it is made again."""
        try:
            return cls.read_if_there(path)
        except DamagedError as error:
            note_damage(error)
        except RecordError as error:
            note_damage(DamagedError(path, error.reason))
        return None

    def write(self, path: Path) -> None:
        """Writes `content` to `path`, atomically."""
        write_json(path, self.content)


def command_in(path: Path) -> str:
    """The command that the JSON at `path`, or in a text of it, says it was made by, however damaged; else ""."""
    try:
        found = COMMAND.search(path.read_bytes().replace(b'\\"', b'"'))
        command = json.loads(found[1]) if found else ""
    except (OSError, ValueError):
        return ""
    if not command.isprintable() or len(command) > MOST_OF_COMMAND:
        return ""
    return command if command.startswith("soundprobe ") else ""


def _reason(error: ValidationError) -> str:
    """What is wrong with a record, in a few words: its first mistake."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"lacks the field {field!r}"
    if not field:
        return first["msg"]
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"has no valid field {field!r} ({reprlib.repr(first['input'])}): {message}"


class DatasetRecord(Entry):
    """The clips that something was made of.

    Attributes:
        name, fingerprint: of all clips, their labels and folds; clips: N of them, failed ones included.
        opened_as: `data` and the options that opened it; None where clips were given in Python.
        class_names: (C,); folds: those that are tested, ascending.
        only_trained_on: how many clips are in no tested fold.
        recordings_known: whether the clips' recordings are; None where the clips' groups tell it: unknown ones are the
            clips' own ids.
        notes: what was noted when the clips were read.
    """

    name: str
    fingerprint: str
    opened_as: Settings | None = None
    clips: Count
    class_names: Annotated[list[str], Field(min_length=1)]
    folds: list[Fold]
    only_trained_on: Count = 0
    recordings_known: bool | None = None
    notes: list[str] = Field(default=[])

    @property
    def identity(self) -> Identity:
        """What runs share that may be compared: name, fingerprint and classes."""
        return self.name, self.fingerprint, tuple(self.class_names)


class FramesRecord(Entry):
    """The frames that a set keeps: their `type`, how many numbers one has (`columns`), from one's centre to the next
    one's (`hop_s`), and where the first one's is (`first_s`).
    """

    type: str
    columns: Annotated[int, Field(ge=1, lt=2**31)]
    hop_s: Annotated[float, Field(gt=0)]
    first_s: Annotated[float, Field(ge=0)]


class ModelRecord(Entry):
    """A model by its name.

    Attributes:
        weights: "pretrained", "random", "file", "fine-tuned", "none", or "imported" of a model whose predictions alone
            are known; weights_label says it in words.
        settings: front end, pooling, lengths, precision.
        layers: how many of the D columns each layer has, in their order; None where all are the last one's.
        folders: of the models that are known by where they lie, the absolute path, by their names.
    """

    name: str
    title: str
    weights: str
    weights_label: str
    weights_sha256: str
    settings: Settings
    layers: dict[str, Count] | None = None
    folders: dict[str, str] = Field(default={})

    def at_hand(self, name: str) -> str:
        """What one of its models is called where its folder, as the name says it, is seen from elsewhere."""
        folder = self.folders.get(name, "")
        return f"{name.partition(':')[0]}:{folder}" if Path(folder).is_absolute() and Path(folder).is_dir() else name

    @property
    def precision(self) -> str:
        """One of `soundprobe.embeddings.precision.PRECISIONS`; of one backbone, not of several side by side."""
        return str(self.settings.get("precision", "fp32"))

    @property
    def frames(self) -> FramesRecord | None:
        """Of one backbone that was extracted by its frames; None of any other."""
        told = self.settings.get("frames")
        return None if told is None else FramesRecord.model_validate(told)

    @property
    def how(self) -> str:
        """Its weights in words, and what else is not as usual: what tells sets of one backbone apart."""
        precision = "" if self.precision == "fp32" else f", {self.precision}"
        layers = f", layers: {told}" if isinstance(told := self.settings.get("layers"), str) else ""
        return (
            f"{self.weights_label}{precision}{layers}{'' if self.frames is None else f', frames in {self.frames.type}'}"
        )


class BackboneRecord(ModelRecord):
    """A backbone with its weights: `embedding_dim`, D, and how many `parameters`."""

    embedding_dim: Annotated[int, Field(ge=1, lt=2**31)]
    parameters: Count


class NetworksRecord(Entry):
    """The fine-tuning run whose networks made embeddings.

    Attributes:
        run: its key; path: its folder; backbone, backbone_key: what was fine-tuned; start: from which weights.
        recipe: its settings; folds: all that it has.
        networks: fold -> SHA-256 of that fold's network file; networks_sha256: of all of them together.
        key: of the embeddings of all folds together.
    """

    run: str
    path: str
    backbone: str
    backbone_key: str
    start: str
    seed: int
    recipe: Settings
    folds: list[Fold]
    networks_sha256: str
    networks: dict[str, str]
    key: str


class FoldNetworkRecord(NetworksRecord):
    """One network of a fine-tuning run: that of `fold`, the only one that may be scored on its embeddings."""

    fold: Fold
    network_sha256: str


class Use(Entry):
    """How a model was used.

    Attributes:
        key: of the embeddings, or of a model whose predictions were imported; commands: what made them.
        seconds_per_clip: that took, where it is known.
        finetuned: the run, where each fold has a fine-tuned network of its own.
    """

    key: str
    seconds_per_clip: float | None = None
    device: str = ""
    commands: list[str] = Field(default=[])
    finetuned: NetworksRecord | None = None


class UsedBackboneRecord(BackboneRecord, Use):
    """What a head was trained on: a backbone, several side by side (texts joined by "+", sizes summed, settings by
    their names), or networks.
    """


class ScoredModelRecord(ModelRecord, Use):
    """What was scored: as `UsedBackboneRecord`, or a model whose predictions were imported, of unknown size."""

    embedding_dim: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    parameters: Count | None = None
