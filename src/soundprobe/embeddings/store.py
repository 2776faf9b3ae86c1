"""Embeddings on disk: `embeddings/<dataset>/<backbone>-<key>/part-00000.parquet ...` and `meta.json`.

A part holds the clips' columns and `embedding`, a fixed-size list of D float32; of a set of frames also
`frame_embeddings`, a list of such lists, one a frame, whose mean the embedding is; of clips that are files also `path`,
below `audio_root` of `meta.json`, so that parts have the same bytes wherever the data lie. It is written under a
temporary name, flushed and renamed, and carries a digest of itself (`base.digests`). Its file metadata name the clips
that it was planned to hold and those of them that failed; `meta.json` says `complete` only when every planned part is
there.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self
from weakref import WeakKeyDictionary

import numpy as np
from pydantic import Field

from soundprobe.audio.checks import Findings
from soundprobe.base.digests import UNSIGNED, note_damage, read_checked
from soundprobe.base.display import Shown, ShownList, plural
from soundprobe.base.errors import DamagedError, DataError, StoreError, one_line
from soundprobe.base.files import atomic_file, parse_json, path_name
from soundprobe.base.labelled import Labelled
from soundprobe.base.records import Clips, Embeddings, FoldFeatures
from soundprobe.base.remote import local, local_if_url
from soundprobe.base.stored import (
    BackboneRecord,
    Count,
    DatasetRecord,
    Entry,
    Fold,
    FoldNetworkRecord,
    Record,
    Settings,
)
from soundprobe.base.texts import texts_of

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_CLIPS = 16
"""Clips of one forward pass, where nobody says otherwise."""
SORTED_COLUMNS = 256
NOT_COMPLETE = "is not complete"
EMBEDDING_COLUMNS = ("clip_id", "label", "class", "fold", "group", "audio_sha256", "duration_s", "embedding")
FRAMES_COLUMN = "frame_embeddings"
RESERVED_COLUMNS = (*EMBEDDING_COLUMNS, FRAMES_COLUMN)


@dataclass(frozen=True)
class SetPart:
    """One Parquet file of a set: its path, how many clips it holds, which of its clips failed and why, and `findings`:
    what is conspicuous about the sound of some, see `soundprobe.audio.checks`.
    """

    path: Path
    clips: int
    failures: Mapping[str, str]
    findings: Mapping[str, Findings] = field(default_factory=dict)


class BegunSetRecord(Record):
    """`meta.json` of a set that is being made, or was when its writer was stopped.

    Attributes:
        decode_version: of `soundprobe.audio.decode`; device: where the network ran; batch_size: clips of one pass.
        audio_root: the folder that the parts' column `path` is below, where it was; "" where they have none.
        command, versions, created: how, with what and when (ISO 8601) it was made.
        finetuned: the network that it is of, where that was fine-tuned without one fold.
        precision_check, quantisation: how near embeddings in 16 bits or int8 are to float32's.
        complete: whether every planned part is there.
    """

    REMEDY: ClassVar[str] = "Extract it again."
    key: str
    dataset: DatasetRecord
    backbone: BackboneRecord
    decode_version: int = 1
    device: str
    batch_size: int = BATCH_CLIPS
    audio_root: str = ""
    command: str
    versions: Settings = Field(default={})
    created: str = ""
    finetuned: FoldNetworkRecord | None = None
    precision_check: Settings | None = None
    quantisation: Settings | None = None
    complete: bool = False


class PartRecord(Entry):
    """A part's file in the set's folder, and how many clips it holds."""

    file: Annotated[str, Field(pattern=r"^part-\d+\.parquet$")]
    clips: Count


class FailureRecord(Entry):
    clip_id: str
    reason: str


class SetRecord(BegunSetRecord):
    """`meta.json` of a finished set.

    Attributes:
        seconds_per_clip: of decoding and embedding; None where every part was there before.
        embedded_folds: those of which a clip has an embedding; embedded: how many clips have one.
        findings: clip id -> what is conspicuous about its sound.
    """

    complete: Literal[True]
    seconds_per_clip: float | None = None
    embedded_folds: list[Fold]
    embedded: Count
    parts: list[PartRecord]
    failures: list[FailureRecord]
    findings: dict[str, Settings] = Field(default={})


@dataclass(frozen=True, repr=False)
class Extraction(Shown):
    """What one backbone's extraction came to.

    Attributes:
        folder: the set's folder; fold: the only one that may be scored on it, of a network that was fine-tuned.
        clips: how many clips have embeddings; reused: how many of them were there before.
        failures: clip id -> reason; findings: clip id -> what is conspicuous about its sound.
        seconds: wall time of decoding and embedding, scan left out.
        frames: how they are kept, "float32" or "float16"; None where none are.
        dataset: the data set's name; embedding_dim: D.
    """

    folder: Path
    backbone: str
    weights_label: str
    precision: str
    clips: int
    reused: int
    failures: Mapping[str, str]
    seconds: float
    fold: int | None = None
    layers: str = "last"
    findings: Mapping[str, Findings] = field(default_factory=dict)
    frames: str | None = None
    dataset: str = ""
    embedding_dim: int = 0

    @classmethod
    def of(cls, made: EmbeddingSet, reused: int, seconds: float) -> Self:
        """From the set that it left."""
        record, backbone = made.record, made.record.backbone
        return cls(
            folder=made.folder,
            backbone=backbone.name,
            weights_label=backbone.weights_label,
            precision=backbone.precision,
            clips=record.embedded,
            reused=reused,
            failures={failure.clip_id: failure.reason for failure in record.failures},
            seconds=seconds,
            fold=made.fold,
            layers=backbone.settings.get("layers", "last"),
            findings=record.findings,
            frames=None if backbone.frames is None else backbone.frames.type,
            dataset=made.dataset,
            embedding_dim=backbone.embedding_dim,
        )

    def describe(self) -> str:
        """One line on what was embedded by what, how quickly, and where it is."""
        new = self.clips - self.reused
        rate = f" at {new / self.seconds:.0f} clips/s" if new and self.seconds else ""
        fold = "" if self.fold is None else f" for fold {self.fold}"
        how = self.weights_label + ("" if self.precision == "fp32" else f", {self.precision}")
        how += "" if self.layers == "last" else f", layers: {self.layers}"
        how += "" if self.frames is None else f", frames in {self.frames}"
        before = f", {self.reused} of them there before" if self.reused else ""
        return f"{self.backbone} ({how}){fold}: {self.clips} clips{before}{rate} -> {self.folder}"

    def shown_lines(self) -> Sequence[str]:
        size = f"N = {self.clips:,}, D = {self.embedding_dim:,}"
        return self.describe(), f"{self.dataset}: {size}", f"{plural(len(self.failures), 'clip')} failed"

    def shown_row(self) -> Mapping[str, object]:
        return {
            "backbone": self.backbone,
            "weights": self.weights_label,
            "data": self.dataset,
            "N": f"{self.clips:,}",
            "D": f"{self.embedding_dim:,}",
            "failed": len(self.failures),
            "folder": self.folder,
        }


@dataclass(frozen=True, repr=False)
class EmbeddingSet(Shown):
    """A finished set of embeddings: its folder and its record."""

    folder: Path
    record: SetRecord

    @property
    def meta(self) -> Mapping[str, Any]:
        """What `meta.json` says, as it stands there."""
        return self.record.content

    @property
    def backbone(self) -> str:
        return self.record.backbone.name

    @property
    def dataset(self) -> str:
        return self.record.dataset.name

    @property
    def weights(self) -> str:
        """ "pretrained", "random", "file", "fine-tuned" or "none"."""
        return self.record.backbone.weights

    @property
    def fold(self) -> int | None:
        """The only fold that may be scored on it, where its network was fine-tuned without that fold; else None."""
        return None if self.record.finetuned is None else self.record.finetuned.fold

    @property
    def precision(self) -> str:
        """One of `soundprobe.embeddings.precision.PRECISIONS`."""
        return self.record.backbone.precision

    @property
    def key(self) -> str:
        return self.record.key

    def shown_lines(self) -> Sequence[str]:
        data, size = self.record.dataset, self.record.backbone.embedding_dim
        what = f"{self.backbone} ({self.record.backbone.how})"
        counts = f"{plural(data.clips, 'clip')}, {len(data.class_names)} classes, {plural(len(data.folds), 'fold')}"
        return f"{what} -> {self.folder}", f"{data.name}: {counts}; N = {self.record.embedded:,}, D = {size:,}"

    def shown_row(self) -> Mapping[str, object]:
        return {
            "backbone": self.backbone,
            "weights": self.record.backbone.how,
            "data": self.record.dataset.name,
            "N": f"{self.record.embedded:,}",
            "D": f"{self.record.backbone.embedding_dim:,}",
            "folder": self.folder,
        }


def set_folder(root: Path, dataset: str, backbone: str, key: str) -> Path:
    """Where the set of `backbone` with `key` lies below the store's root."""
    return root / path_name(dataset) / f"{path_name(backbone)}-{key}"


def part_path(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05d}.parquet"


def plan_digest(ids: Iterable[str]) -> str:
    """Names the clips that a part is planned to hold, in their order."""
    return hashlib.sha256("\n".join(map(str, ids)).encode()).hexdigest()


def write_part(
    path: Path,
    clips: Clips,
    planned: Sequence[int],
    embedded: Sequence[int],
    features: np.ndarray,
    audio_sha256: np.ndarray,
    duration_s: np.ndarray,
    failures: Mapping[str, str],
    findings: Mapping[str, Findings] | None = None,
    frames: Sequence[np.ndarray] | None = None,
) -> SetPart:
    """Writes one part, atomically.

    Args:
        clips: all N clips of the data set.
        planned: the rows that the part was planned to hold; those not in `embedded` are in `failures`.
        embedded: the n rows that have an embedding, in the order of `features` (n, D) float32.
        audio_sha256: (N,) str; duration_s: (N,) float64.
        failures: clip id -> reason; findings: clip id -> what is conspicuous about its sound.
        frames: of a set of frames those of each of the n rows, (m, D) float32 or float16.

    Raises:
        DataError: a further column has a name that the format keeps for itself.
        StoreError: the disk is full or can't be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    clash = sorted(set(clips.columns) & set(RESERVED_COLUMNS))
    if clash:
        raise DataError(
            f"Column {clash[0]!r} of data set {clips.name!r} has a name that the store uses itself. Rename it."
        )
    rows = np.asarray(planned, dtype=np.int64)  # not all N: N / 256 parts would cost N^2
    root, types = clips.audio_root, _types_of(clips)
    told = {name: column.tolist() for name, column in Labelled.as_columns(clips.take(rows)).items()}
    if root:
        told["path"], types = clips.paths_below(planned), {**types, "path": pa.string()}
    columns = {
        **{name: pa.array(column, types.get(name)) for name, column in told.items()},
        "audio_sha256": pa.array(audio_sha256[rows].tolist(), pa.string()),
        "duration_s": pa.array(np.asarray(duration_s[rows], dtype=np.float64)),
    }
    order = np.argsort(rows)
    within = order[np.searchsorted(rows, np.asarray(embedded, dtype=np.int64), sorter=order)]
    table = pa.table(columns).take(pa.array(within))
    values = pa.array(np.ascontiguousarray(features, dtype=np.float32).reshape(-1))
    table = table.append_column("embedding", pa.FixedSizeListArray.from_arrays(values, features.shape[1]))
    if frames is not None:
        table = table.append_column(FRAMES_COLUMN, _lists(frames, features.shape[1]))
    about = {
        "soundprobe.plan": plan_digest(clips.ids[list(planned)]),
        "soundprobe.failures": json.dumps(dict(failures)),
        **({"soundprobe.findings": json.dumps(findings)} if findings else {}),
        "soundprobe.digest": UNSIGNED,
    }
    with atomic_file(path) as file:
        # Floats of embeddings hardly compress: plain pages are as small and need no decoding.
        pq.write_table(
            table.replace_schema_metadata(about),
            file,
            compression="none",
            use_dictionary=False,
            write_statistics=False,
        )
    return SetPart(path, len(table), failures, findings or {})


_types: WeakKeyDictionary[Clips, dict[str, pa.DataType]] = WeakKeyDictionary()


def _types_of(clips: Clips) -> dict[str, pa.DataType]:
    """The types of those columns that no part of their values tells: of text here and there, a part may have none."""
    import pyarrow as pa

    if clips not in _types:
        mixed = {name: column for name, column in clips.columns.items() if column.dtype == object}
        _types[clips] = {name: pa.infer_type(column.tolist()) for name, column in mixed.items()}
    return _types[clips]


def _lists(frames: Sequence[np.ndarray], columns: int) -> pa.ListArray:
    """Each clip's frames (m, D) as a list of lists; D is `columns`."""
    import pyarrow as pa

    ends = np.cumsum([0, *map(len, frames)], dtype=np.int32)
    values = np.concatenate(frames).reshape(-1) if frames else np.empty(0, np.float32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.FixedSizeListArray.from_arrays(pa.array(values), columns))


def finished_part(path: Path, planned: Iterable[str]) -> SetPart | None:
    """The part at `path` if it is there, whole, and holds the clips that it should; else None.

    What is damaged is named in a note.
    """
    if not path.exists():
        return None
    try:
        table = read_table(path)
    except DamagedError as error:
        note_damage(error)
        return None
    about = table.schema.metadata or {}
    if about.get(b"soundprobe.plan") != plan_digest(planned).encode():
        return None
    try:
        failures, findings = (
            parse_json(about.get(b"soundprobe." + w, b"{}").decode()) for w in (b"failures", b"findings")
        )
    except ValueError as error:
        note_damage(DamagedError(path, f"its metadata are not JSON ({one_line(error)[:100]})"))
        return None
    return SetPart(path, len(table), failures, findings)


def is_complete(folder: Path) -> bool:
    """Whether `folder` holds a finished set that this version can read."""
    try:
        open_set(folder)
    except StoreError:
        return False
    return True


def write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """Writes `meta.json`: a `SetRecord` where `meta` says that the set is complete, else a `BegunSetRecord`."""
    kind, path = SetRecord if meta.get("complete") else BegunSetRecord, folder / "meta.json"
    kind.of({"format": kind.FORMAT, **meta}, path).write(path)


def open_set(folder: str | Path) -> EmbeddingSet:
    """The finished set in `folder`.

    Raises:
        StoreError: there is none, it isn't complete, or another version of soundprobe wrote it.
    """
    folder = Path(local_if_url(folder))
    path = folder / "meta.json"
    begun = BegunSetRecord.read(path)
    if not begun.complete:
        raise StoreError(
            f"{folder} {NOT_COMPLETE}. Run the extract command that began it again: finished parts are kept."
        )
    return EmbeddingSet(folder, SetRecord.of(begun.content, path))


def find_sets(root: str | Path) -> tuple[ShownList[EmbeddingSet], dict[Path, str]]:
    """Every finished set below the folder `root`, in the order of their paths, and folder -> why it can't be used.

    A folder that isn't there has none.
    """
    found, unusable = ShownList[EmbeddingSet](), {}
    for path in sorted(local(root).glob("*/*/meta.json")):
        try:
            found.append(open_set(path.parent))
        except StoreError as error:
            unusable[path.parent] = str(error)
    return found, unusable


def check_parts(embedding_set: EmbeddingSet) -> None:
    """Raises DamagedError where a part is gone or not what was written; holds one part at a time."""
    record = embedding_set.record
    for part in record.parts:
        _read_part(embedding_set.folder / part.file, part.clips, record.backbone.embedding_dim)


def read_embeddings(embedding_set: EmbeddingSet, into: Path | None = None) -> Embeddings:
    """The set's embeddings, in the order of the clips' ids.

    Args:
        into: a folder to map the features in, as a file of their own, instead of holding them; parts are read twice.

    Beside the features no more is held of them than a part and `SORTED_COLUMNS`. Those of a network that was fine-tuned
    without a fold belong to that fold: `features` is no array then, see `FoldFeatures`.

    Args:
        embedding_set: one that `find_sets` or `open_set` gave.

    Raises:
        DamagedError: a part is gone, not what was written, or not what `meta.json` says; with what mends it.
        StoreError: the set holds no clips.
    """
    import pyarrow as pa

    record = embedding_set.record
    dim = record.backbone.embedding_dim
    shape = sum(part.clips for part in record.parts), dim
    try:
        tables, stop = [], 0
        features = np.empty(shape, dtype=np.float32) if into is None else np.empty(0)
        for part in record.parts:
            table = _read_part(embedding_set.folder / part.file, part.clips, dim)
            start, stop = stop, stop + part.clips
            if into is None:
                features[start:stop] = embeddings_in(table)
            tables.append(table.drop_columns(["embedding"]))
    except DamagedError as error:
        raise error.by(record.command) from error
    if stop == 0:
        raise StoreError(f"{embedding_set.folder} holds no clips: every one failed. See the failures in its meta.json.")
    columns = pa.concat_tables(tables, promote_options="permissive")
    ids = np.asarray(columns["clip_id"].to_pylist(), dtype=np.str_)
    order = np.argsort(ids, kind="stable")
    if into is not None:
        features = _mapped(embedding_set, order, into)
    elif (order != np.arange(len(order))).any():
        for at in range(0, dim, SORTED_COLUMNS):  # never all of them twice
            block = features[:, at : at + SORTED_COLUMNS]
            block[:] = block[order]
    placed = (
        bool(record.audio_root) and "path" in columns.column_names
    )  # else it is the data's, or older parts have none
    own = (*RESERVED_COLUMNS, "path") if placed else RESERVED_COLUMNS
    extra = [name for name in columns.column_names if name not in own]

    def get(name: str) -> Any:
        column = columns[name]
        if pa.types.is_string(column.type) and not column.null_count:
            parts = (chunk.to_pylist() for chunk in column.chunks)
            return texts_of(itertools.chain.from_iterable(parts)).take(order)
        return np.asarray(column.to_pylist())[order]

    return Embeddings(
        features=features if embedding_set.fold is None else FoldFeatures({embedding_set.fold: features}),
        ids=ids[order],
        labels=get("label").astype(np.int64),
        folds=get("fold").astype(np.int64),
        groups=np.asarray(get("group")),
        class_names=tuple(record.dataset.class_names),
        columns={name: get(name) for name in [*extra, "audio_sha256", "duration_s"]},
        meta=record.content,
        paths=get("path").tolist() if placed else None,
    )


def _mapped(embedding_set: EmbeddingSet, order: np.ndarray, into: Path) -> np.ndarray:
    """(N, D) float32 in a file of the folder `into`: of the clips of all parts those at `order` (N,), in that order."""
    dim, stop = embedding_set.record.backbone.embedding_dim, 0
    place, path = np.argsort(order), into / f"{embedding_set.folder.name}.npy"
    features = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(len(order), dim))
    for part in embedding_set.record.parts:
        start, stop = stop, stop + part.clips
        features[place[start:stop]] = embeddings_in(_read_part(embedding_set.folder / part.file, part.clips, dim))
    features.flush()
    return features


def embeddings_in(table: pa.Table) -> np.ndarray:
    """(n, D) float32 of the clips of a part."""
    dim = table.schema.field("embedding").type.list_size
    values = table["embedding"].combine_chunks().flatten()
    # Not its to_numpy, which imports pandas where that is installed.
    return np.frombuffer(values.buffers()[1] or b"", np.float32, len(values), 4 * values.offset).reshape(
        len(table), dim
    )


@dataclass(frozen=True, eq=False)
class ClipFrames:
    """A clip's frames over time: (m, D), and times_s (m,) their centres from the clip's beginning."""

    clip_id: str
    frames: np.ndarray
    times_s: np.ndarray


def read_frames(folder: str | Path) -> Iterator[ClipFrames]:
    """The frames of each clip of the set in `folder`, which `extract` made with `frames`; one part in memory at a time.

    Raises:
        StoreError: there is no such set, or it keeps no frames. DamagedError: as `read_embeddings`.
    """
    embedding_set = open_set(folder)
    record = embedding_set.record
    told = record.backbone.frames
    if told is None:
        raise StoreError(f"{folder} keeps one embedding of a clip and no frames. Extract with --frames.")
    for part in record.parts:
        try:
            table = _read_part(embedding_set.folder / part.file, part.clips, told.columns, frames=True)
        except DamagedError as error:
            raise error.by(record.command) from error
        for chunk in table.select(["clip_id", FRAMES_COLUMN]).to_batches():
            lists = chunk.column(FRAMES_COLUMN)
            values = lists.flatten().flatten().to_numpy(zero_copy_only=False).reshape(-1, told.columns)
            ends = np.cumsum(lists.value_lengths().to_numpy())
            for clip_id, own in zip(chunk.column("clip_id").to_pylist(), np.split(values, ends[:-1]), strict=True):
                yield ClipFrames(clip_id, own, told.first_s + told.hop_s * np.arange(len(own)))


def read_table(path: Path, *, frames: bool = False) -> pa.Table:
    """The part at `path`, without its frames unless they are asked for.

    Raises:
        DamagedError: it is not what was written, or can't be what `write_part` writes.
    """
    content = read_checked(path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:  # pq.read_table would import pandas where it is there
            size = getattr(file.schema_arrow.field("embedding").type, "list_size", 1)
            if 4 * size * file.metadata.num_rows > len(content):  # none is packed
                raise ValueError(f"{file.metadata.num_rows:,} embeddings of {size:,} in {len(content):,} bytes")
            table = file.read([name for name in file.schema_arrow.names if frames or name != FRAMES_COLUMN])
        table.validate(full=True)
        told = {name: table[name].type for name in (*EMBEDDING_COLUMNS, *([FRAMES_COLUMN] if frames else []))}
    except (OSError, pa.ArrowException, KeyError, ValueError, MemoryError) as error:
        raise DamagedError(path, f"it can't be read as a table ({one_line(error)[:100]})") from error
    embedding = told["embedding"]
    texts, numbers = ("clip_id", "class", "group", "audio_sha256"), ("label", "fold")
    good = all(told[name] == pa.string() for name in texts) and all(told[name] == pa.int64() for name in numbers)
    if not good or not pa.types.is_fixed_size_list(embedding) or embedding.value_type != pa.float32():
        raise DamagedError(path, "its columns have other types than an embedding set's")
    lacking = any(table[name].null_count for name in (*texts, *numbers, "embedding"))
    if lacking or any(chunk.flatten().null_count for chunk in table["embedding"].chunks):
        raise DamagedError(path, "it lacks values")
    values = embeddings_in(table)
    if values.size and not np.isfinite([values.min(), values.max()]).all():
        raise DamagedError(path, "it holds embeddings that are not finite")
    return table


def _read_part(path: Path, clips: int, dim: int, *, frames: bool = False) -> pa.Table:
    table = read_table(path, frames=frames) if path.exists() else None
    if table is None:
        raise DamagedError(path, "it is gone")
    for what, found, told in (
        ("clips", len(table), clips),
        ("numbers a clip", table.schema.field("embedding").type.list_size, dim),
    ):
        if found != told:
            raise DamagedError(path, f"it holds {found} {what}, and meta.json says {told}")
    return table
