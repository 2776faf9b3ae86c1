"""Tables with the audio inside: `danavery/urbansound8K` and others on the Hugging Face Hub, Parquet files, saved sets.

The library `datasets` fetches the files and keeps them as Arrow in its own cache, from which a row's encoded bytes
are read when they are wanted. It never decodes: `Audio(decode=False)` needs no torchcodec.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from soundprobe.audio.encoded import read_bytes
from soundprobe.base.errors import AudioError, DataError, note
from soundprobe.base.files import offline, path_name
from soundprobe.base.records import Clips, EncodedAudio, Source
from soundprobe.data.listing import folders_in
from soundprobe.data.readers import esc50
from soundprobe.data.readers.assemble import FoldOptions, split_of
from soundprobe.data.readers.manifest import clips_of_table
from soundprobe.data.readers.table import Table, as_text
from soundprobe.data.readers.urbansound8k import COLUMNS, build_clips

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

Parts: TypeAlias = "dict[str, Dataset]"
"""Split -> its rows."""
ADDRESS = re.compile(r"hf:([\w.-]+(?:/[\w.-]+)?)(?::([\w. -]+))?(?:@([\w./-]+))?")
SHARD = re.compile(r"(.*?)(?:-(\d{5})-of-(\d{5})[\w-]*)?\.parquet", re.IGNORECASE)
"""How the Hub names a split's files: "train-00000-of-00016.parquet"."""
MISSING_SHOWN = 5
TWICE = re.compile(r"Multiple matches for FieldRef\.Name\((.*?)\) in")
"""How pyarrow says that a column's name stands twice."""
BYTES = ("binary", "large_binary", "string", "large_string")

HUB_REPO = "danavery/urbansound8K"
ELSEWHERE = "https://urbansounddataset.weebly.com/urbansound8k.html"


def read_hub(
    path_or_repo: str | Path = HUB_REPO,
    *,
    revision: str | None = None,
    config: str | None = None,
    cache_dir: Path | None = None,
    columns: str | None = None,
    **options: Any,
) -> Clips:
    """The clips of a data set on the Hub, of a Parquet file, of a folder with such files in it or in its `data`, or of
    what `save_to_disk` wrote.

    One column holds the audio, a struct of `bytes` and `path`. The others are those of UrbanSound8K's metadata, of
    ESC-50's, or as in a manifest, where `label` may be a number with a name in the schema. A source's name says which
    revision it comes from: "danavery/urbansound8K@1a2b3c4d5e6f/100032-3-0-0.wav".

    Args:
        revision: a branch, tag or commit on the Hub; None takes main, or what was fetched last where the Hub can't be
            reached.
        config: of the data set on the Hub, where it has several.
        cache_dir: where `datasets` keeps its files; None is its own choice (`HF_HOME`).
        columns, options: see `read_manifest`.

    Raises:
        DataError: the Hub can't be reached and nothing was fetched before, the wrong columns, a malformed row.
    """
    path, how = Path(path_or_repo), FoldOptions(**options)
    if path.exists():
        try:
            parts = _load_local(path, cache_dir)
            return _build(parts, str(path), path_name(path.resolve().stem).lower(), columns, how)
        except DataError as error:
            if path.is_dir() and set(folders_in(path)) - {"data"}:
                raise DataError(f"{error} Or move it away: the folders of {path} are then read without it.") from error
            raise
    parts = _load_hub(str(path_or_repo), config, revision, cache_dir)
    label = f"{path_or_repo}@{fetched_revision(next(iter(parts.values())))[:12]}"
    return _build(parts, label, path_name(path.name).lower(), columns, how)


def read_address(address: str, *, fetched: bool = False, columns: str | None = None, **options: Any) -> Clips:
    """The clips at "hf:<repo>[:config][@revision]".

    Args:
        fetched: ask no network.
        columns, options: see `read_manifest`.

    Raises:
        DataError: it is no such address; as `read_hub`.
    """
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise DataError(f"{address} is not valid: write hf:OWNER/NAME, hf:OWNER/NAME:CONFIG or hf:OWNER/NAME@REVISION.")
    repo, config, revision = match.groups()
    if not fetched:
        return read_hub(repo, revision=revision, config=config, columns=columns, **options)
    parts = _load_fetched(repo, config, revision, None, OSError("only what is here already is looked at"))
    label = f"{repo}@{fetched_revision(next(iter(parts.values())))[:12]}"
    return _build(parts, label, path_name(Path(repo).name).lower(), columns, FoldOptions(**options))


def read_fetched() -> Clips:
    """UrbanSound8K as an earlier call fetched it; asks no network.

    Raises:
        DataError: it was not fetched before.
    """
    return read_address(f"hf:{HUB_REPO}", fetched=True)


def check_fetched(address: str, why: str) -> None:
    """Raises DataError where nothing of "hf:<repo>" was ever fetched; `why` nothing is now. Imports no `datasets`."""
    match = ADDRESS.fullmatch(address)
    if match is None:
        return
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    cache = Path(os.environ.get("HF_DATASETS_CACHE") or Path(home) / "datasets").expanduser()
    owner = match[1].partition("/")[0]
    if not any(cache.glob(f"{owner.lower()}*")):
        raise DataError(_never_fetched(match[1], why))


def is_saved(path: Path) -> bool:
    """Whether `save_to_disk` of the library `datasets` wrote the folder."""
    return any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))


def parquet_files(path: Path) -> list[Path]:
    """The Parquet file `path`, or those in the folder `path` or, where there are none, in its folder `data`; sorted."""
    if path.suffix.lower() == ".parquet" and path.is_file():
        return [path]
    return sorted(path.glob("*.parquet")) or sorted(path.glob("data/*.parquet"))


def fetched_revision(dataset: Dataset) -> str:
    """The commit that the files in the cache are of: `datasets` names their folder after it."""
    return Path(dataset.cache_files[0]["filename"]).parent.name


def _load_local(path: Path, cache_dir: Path | None) -> Parts:
    import datasets

    files = {} if is_saved(path) else _files_by_split(path)
    if not files and not is_saved(path):
        raise DataError(f"{path} has no .parquet file, nor has its folder data.")
    try:
        with _quietly():
            if is_saved(path):
                return _parts(datasets.load_from_disk(str(path)))
            return _parts(datasets.load_dataset("parquet", data_files=files, cache_dir=_text(cache_dir)))
    except (OSError, ValueError, KeyError, TypeError, datasets.exceptions.DatasetGenerationError) as error:
        reason = error.__cause__ or error
        if type(reason).__name__ == "CastError":
            raise DataError(
                f"The Parquet files of {path} have different columns. Give one of them as --data."
            ) from error
        if twice := TWICE.match(str(reason)):
            raise DataError(f"The Parquet files of {path} have two columns named {twice[1]!r}. Rename one.") from error
        what = "what save_to_disk wrote in" if is_saved(path) else "the Parquet files of"
        lacks = "it lacks " * isinstance(reason, KeyError)
        raise DataError(f"Can't read {what} {path}: {lacks}{_first_line(reason)}.") from error


def _files_by_split(path: Path) -> dict[str, list[str]]:
    """Split -> its Parquet files; all are "train" where no name says a split. Missing shards are noted.

    Raises:
        DataError: some names say one split, and others none or two.
    """
    named: dict[str | None, list[str]] = {}
    shards: dict[tuple[str, int], set[int]] = {}
    for file in parquet_files(path):
        match = SHARD.fullmatch(file.name)
        stem, shard, count = match.groups() if match else (file.stem, None, None)
        words = {split_of(word) for word in re.split(r"[\W_]+", stem) if word} - {None}
        named.setdefault(words.pop() if len(words) == 1 else None, []).append(str(file))
        if shard and count:
            shards.setdefault((stem, int(count)), set()).add(int(shard))
    for (stem, count), there in shards.items():
        if gone := [f"{stem}-{shard:05d}-of-{count:05d}" for shard in range(count) if shard not in there]:
            shown = ", ".join(gone[:MISSING_SHOWN]) + (", ..." if len(gone) > MISSING_SHOWN else "")
            note(
                f"{path}: {len(there)} of the {count} files {stem}-*-of-{count:05d} are there, and only they are read; "
                f"missing: {shown}."
            )
    if None in named and len(named) > 1:
        raise DataError(
            f"{path}: some files are named for a split, and {Path(named[None][0]).name} isn't, or for two. Rename it, "
            "such as train-1.parquet, move it away, or give one file as --data."
        )
    return {split or "train": files for split, files in named.items()}


def _parts(loaded: Dataset | DatasetDict) -> Parts:
    """The splits by name."""
    return dict(loaded) if isinstance(loaded, dict) else {"": loaded}


def _load_hub(repo: str, config: str | None, revision: str | None, cache_dir: Path | None) -> Parts:
    if name := offline():
        return _load_fetched(repo, config, revision, cache_dir, OSError(f"{name} forbids to ask it"))
    import datasets
    import huggingface_hub

    try:
        # One quick question first: `datasets` itself would try for half a minute before it says that it is offline.
        commit = huggingface_hub.HfApi().dataset_info(repo, revision=revision, timeout=20).sha
    except (huggingface_hub.errors.RepositoryNotFoundError, huggingface_hub.errors.RevisionNotFoundError) as error:
        raise DataError(f"The Hugging Face Hub has no data set {repo!r} at revision {revision or 'main'!r}.") from error
    except (OSError, ValueError, huggingface_hub.errors.HTTPError) as error:
        return _load_fetched(repo, config, revision, cache_dir, error)
    try:
        with _quietly():
            return _parts(datasets.load_dataset(repo, config, revision=commit, cache_dir=_text(cache_dir)))
    except (OSError, ValueError, huggingface_hub.errors.HTTPError, datasets.exceptions.DatasetGenerationError) as error:
        if isinstance(error, ValueError) and "onfig" in str(error):
            raise DataError(f"{repo}: {_first_line(error)}. Give one, such as --data hf:{repo}:CONFIG.") from error
        raise DataError(
            f"Fetching {repo} from the Hugging Face Hub failed: {_first_line(error)}. "
            "Run it again: it goes on where it stopped."
        ) from error


def _load_fetched(repo: str, config: str | None, revision: str | None, cache_dir: Path | None, why: Exception) -> Parts:
    """What an earlier call fetched. Raises DataError where there is nothing, or another revision."""
    import datasets

    try:
        with _offline(), _quietly():
            parts = _parts(datasets.load_dataset(repo, config, cache_dir=_text(cache_dir)))
    except (OSError, ValueError):
        raise DataError(_never_fetched(repo, _first_line(why))) from why
    fetched = fetched_revision(next(iter(parts.values())))
    if revision is not None and not fetched.startswith(revision):
        raise DataError(
            f"Can't reach {repo} on the Hugging Face Hub ({_first_line(why)}). Fetched before was revision "
            f"{fetched}, not {revision}. Go online, or ask for that one."
        )
    return parts


def _never_fetched(repo: str, why: str) -> str:
    command = f"soundprobe data check --data hf:{repo}."
    if repo == HUB_REPO:
        command = f"soundprobe data fetch urbansound8k (7.0 GB). Or give a folder with --data: yours, or {ELSEWHERE}."
    said = f"Can't reach {repo} on the Hugging Face Hub ({why}) and it was not fetched before"
    return f"{said}. Go online and run: {command}"


@contextmanager
def _quietly() -> Iterator[None]:
    """Has `datasets` raise its errors only, not log them as well."""
    import datasets

    before = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(before)


@contextmanager
def _offline() -> Iterator[None]:
    """Has `datasets` look in its cache at once."""
    import datasets

    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def _build(parts: Parts, label: str, name: str, columns: str | None, how: FoldOptions) -> Clips:
    import datasets

    within = None if Path(label).exists() else Path(datasets.config.HF_CACHE_HOME)
    features = next(iter(parts.values())).features
    audio = _audio_column(features, label)
    texts: dict[str, list[str]] = {column: [] for column in features if column != audio}
    splits: list[str] = []
    paths: list[str] = []
    reads: list[Any] = []
    if not texts:
        raise DataError(f"{label} has the column {audio} alone; a label for each clip is needed.")
    for split, part in parts.items():
        if list(part.features) != list(features):
            raise DataError(f"{label}: the split {split!r} has other columns than the first. Give one file as --data.")
        column = audio
        try:
            paths += [path or "" for path in _paths(part, audio)]
            for column, text in texts.items():
                text += [_text_of(features[column], value) for value in part.select_columns([column])[:][column]]
        except (ValueError, OverflowError) as error:  # no UTF-8, a time beyond the year 9999
            raise DataError(
                f"{label}: the column {column} can't be read ({_first_line(error)}). Write the file without it, or "
                "mend it."
            ) from error
        encoded = part.select_columns([audio]).cast_column(audio, datasets.Audio(decode=False)).with_format("arrow")
        reads += [partial(_read_row, encoded, audio, row, within) for row in range(len(part))]
        splits += [split] * len(part)
    table = Table(label, texts, [f"row {row + 1}" for row in range(len(reads))])
    official = next((known for known in (COLUMNS, esc50.COLUMNS) if set(known) <= set(texts)), None)
    if official:
        if how.group_prefix or how.group_regex or how.splits or columns:
            raise DataError(
                f"{label} has the columns, folds and recordings of a known data set; leave --group-prefix, "
                "--group-regex, --splits and --columns out."
            )
        ids = texts["slice_file_name" if official is COLUMNS else "filename"]
        sources = _sources(label, ids, reads)
        return build_clips(table, sources, name) if official is COLUMNS else esc50.build_esc50(table, sources)
    unique = all(paths) and len(set(paths)) == len(paths)
    ids = paths if unique else [f"row-{row + 1:06d}" for row in range(len(reads))]
    # A number's name goes by the schema's order.
    orders = {c: features[c].names for c in texts if isinstance(features[c], datasets.ClassLabel)}
    several = splits if len(parts) > 1 else None
    inside = (ids, _sources(label, ids, reads))
    return clips_of_table(table, name, how, columns=columns, inside=inside, class_orders=orders, splits=several)


def _audio_column(features: Any, label: str) -> str:
    """The only column of `features` that holds encoded audio."""
    import datasets

    found = [
        column
        for column, kind in features.items()
        if isinstance(kind, datasets.Audio)
        or (isinstance(kind, dict) and "path" in kind and getattr(kind.get("bytes"), "dtype", None) in BYTES)
    ]
    if len(found) != 1:
        has = f"several columns of audio ({', '.join(found)})" if found else "no column of audio"
        raise DataError(
            f"{label} has {has}. It has {', '.join(features)}; needed are one with audio, a struct of bytes and path, "
            "and a label."
        )
    return found[0]


def _text_of(kind: Any, value: Any) -> str:
    """A value as a table's field; a class's number as its name."""
    import datasets

    if isinstance(kind, datasets.ClassLabel) and value is not None:
        return str(kind.int2str(value)) if 0 <= value < kind.num_classes else ""
    return as_text(value)


def _paths(part: Dataset, audio: str) -> list[str | None]:
    """The names that the audio has in the table."""
    column = part.with_format("arrow").select_columns([audio])[:][audio].combine_chunks()
    return column.field("path").to_pylist() if len(part) else []


def _sources(label: str, ids: Sequence[str], reads: Sequence[Any]) -> list[Source]:
    names = [f"{label}/{clip}" for clip in ids]
    return [EncodedAudio(name, partial(read, name)) for name, read in zip(names, reads, strict=True)]


def _read_row(audio: Any, column: str, row: int, within: Path | None, name: str) -> bytes:
    """The encoded bytes of one row of an Arrow-formatted `Dataset`, or of the file that it names.

    A table from the Hub names files `within` the cache alone; one on this machine may name any, as a manifest does.
    """
    value = audio[row][column][0]
    content = value["bytes"].as_py()
    if content is None:
        path = value["path"].as_py()
        if path and within is not None and not Path(path).resolve().is_relative_to(within.resolve()):
            raise AudioError(name, "its table names a file outside the cache")
        if path and Path(path).is_file():
            return read_bytes(path)
        raise AudioError(name, "missing file")
    return content


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
