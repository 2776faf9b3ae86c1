"""UrbanSound8K as Parquet with the audio inside: `danavery/urbansound8K` on the Hugging Face Hub, or files like it.

The library `datasets` fetches the files and keeps them as Arrow in its own cache, from which a row's encoded bytes
are read when they are wanted. It never decodes: `Audio(decode=False)` needs no torchcodec.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundprobe.base.errors import AudioError, DataError
from soundprobe.base.files import path_name
from soundprobe.base.records import Clips, EncodedAudio
from soundprobe.data.readers.table import Table
from soundprobe.data.readers.urbansound8k import COLUMNS, OFFICIAL_NAME, build_clips

if TYPE_CHECKING:
    from datasets import Dataset

HUB_REPO = "danavery/urbansound8K"
ELSEWHERE = "https://urbansounddataset.weebly.com/urbansound8k.html"


def read_hub(
    path_or_repo: str | Path = HUB_REPO, *, revision: str | None = None, cache_dir: Path | None = None
) -> Clips:
    """The clips of a data set on the Hub, of a Parquet file, or of a folder with such files in it or in its `data`.

    The columns are those of UrbanSound8K's metadata and `audio`, a struct of `bytes` and `path`. A source's name says
    which revision it comes from: "danavery/urbansound8K@1a2b3c4d5e6f/100032-3-0-0.wav".

    Args:
        revision: a branch, tag or commit on the Hub; None takes main, or what was fetched last where the Hub can't be
            reached.
        cache_dir: where `datasets` keeps its files; None is its own choice (`HF_HOME`).

    Raises:
        DataError: the Hub can't be reached and nothing was fetched before, the wrong columns, a malformed row.
    """
    path = Path(path_or_repo)
    if path.exists():
        return _build(_load_local(path, cache_dir), str(path), path_name(path.resolve().stem).lower())
    dataset = _load_hub(str(path_or_repo), revision, cache_dir)
    known = path_or_repo == HUB_REPO
    label = f"{path_or_repo}@{fetched_revision(dataset)[:12]}"
    return _build(dataset, label, OFFICIAL_NAME if known else path_name(path.name).lower())


def fetch_hub(repo: str = HUB_REPO, *, revision: str | None = None, cache_dir: Path | None = None) -> Clips:
    """Downloads the data set (7 GB) with a progress bar and reads it; a second call goes on where one was cut off.

    Raises:
        DataError: as `read_hub`.
    """
    return read_hub(repo, revision=revision, cache_dir=cache_dir)


def read_fetched() -> Clips:
    """UrbanSound8K as an earlier call fetched it; asks no network.

    Raises:
        DataError: it was not fetched before.
    """
    dataset = _load_fetched(HUB_REPO, None, None, OSError("only what is here already is looked at"))
    return _build(dataset, f"{HUB_REPO}@{fetched_revision(dataset)[:12]}", OFFICIAL_NAME)


def parquet_files(path: Path) -> list[Path]:
    """The Parquet file `path`, or those in the folder `path` or, where there are none, in its folder `data`; sorted."""
    if path.suffix.lower() == ".parquet" and path.is_file():
        return [path]
    return sorted(path.glob("*.parquet")) or sorted(path.glob("data/*.parquet"))


def fetched_revision(dataset: Dataset) -> str:
    """The commit that the files in the cache are of: `datasets` names their folder after it."""
    return Path(dataset.cache_files[0]["filename"]).parent.name


def _load_local(path: Path, cache_dir: Path | None) -> Dataset:
    import datasets

    files = parquet_files(path)
    if not files:
        raise DataError(f"{path} has no .parquet file, nor has its folder data.")
    try:
        return datasets.load_dataset(
            "parquet", data_files=[str(file) for file in files], split="train", cache_dir=_text(cache_dir)
        )
    except (OSError, ValueError, datasets.exceptions.DatasetGenerationError) as error:
        reason = error.__cause__ or error
        raise DataError(f"Can't read the Parquet files of {path}: {_first_line(reason)}.") from error


def _load_hub(repo: str, revision: str | None, cache_dir: Path | None) -> Dataset:
    import datasets
    import huggingface_hub

    try:
        # One quick question first: `datasets` itself would try for half a minute before it says that it is offline.
        commit = huggingface_hub.HfApi().dataset_info(repo, revision=revision, timeout=20).sha
    except (huggingface_hub.errors.RepositoryNotFoundError, huggingface_hub.errors.RevisionNotFoundError) as error:
        raise DataError(f"The Hugging Face Hub has no data set {repo!r} at revision {revision or 'main'!r}.") from error
    except (OSError, ValueError, huggingface_hub.errors.HTTPError) as error:
        return _load_fetched(repo, revision, cache_dir, error)
    try:
        return datasets.load_dataset(repo, revision=commit, split="all", cache_dir=_text(cache_dir))
    except (OSError, ValueError, huggingface_hub.errors.HTTPError, datasets.exceptions.DatasetGenerationError) as error:
        raise DataError(
            f"Fetching {repo} from the Hugging Face Hub failed: {_first_line(error)}. "
            "Run it again: it goes on where it stopped."
        ) from error


def _load_fetched(repo: str, revision: str | None, cache_dir: Path | None, why: Exception) -> Dataset:
    """What an earlier call fetched. Raises DataError where there is nothing, or another revision."""
    import datasets

    try:
        with _offline():
            dataset = datasets.load_dataset(repo, split="all", cache_dir=_text(cache_dir))
    except (OSError, ValueError):
        raise DataError(
            f"Can't reach {repo} on the Hugging Face Hub ({_first_line(why)}) and it was not fetched before. "
            "Go online and run: soundprobe data fetch urbansound8k. "
            f"Or unpack the original from {ELSEWHERE} and give its folder as --data."
        ) from why
    if revision is not None and not fetched_revision(dataset).startswith(revision):
        raise DataError(
            f"Can't reach {repo} on the Hugging Face Hub ({_first_line(why)}). Fetched before was revision "
            f"{fetched_revision(dataset)}, not {revision}. Go online, or ask for that one."
        )
    return dataset


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


def _build(dataset: Dataset, label: str, name: str) -> Clips:
    import datasets

    missing = [column for column in ("audio", *COLUMNS) if column not in dataset.column_names]
    if missing:
        raise DataError(
            f"{label} has no column {', '.join(map(repr, missing))}. It has {', '.join(dataset.column_names)}; "
            f"needed are audio, {', '.join(COLUMNS)}."
        )
    columns = dataset.select_columns(list(COLUMNS))[:]
    texts = {column: ["" if value is None else str(value) for value in columns[column]] for column in COLUMNS}
    table = Table(label, texts, [f"row {row + 1}" for row in range(len(dataset))])
    audio = dataset.select_columns(["audio"]).cast_column("audio", datasets.Audio(decode=False)).with_format("arrow")
    sources = [
        EncodedAudio(f"{label}/{clip}", partial(_read_row, audio, row, f"{label}/{clip}"))
        for row, clip in enumerate(texts["slice_file_name"])
    ]
    return build_clips(table, sources, name)


def _read_row(audio: Any, row: int, name: str) -> bytes:
    """The encoded bytes of one row of an Arrow-formatted `Dataset`."""
    content = audio[row]["audio"][0]["bytes"].as_py()
    if content is None:
        raise AudioError(name, "missing file")
    return content


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
