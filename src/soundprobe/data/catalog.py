"""What `--data` takes: the names of data sets and the layouts of folders and files, each as data."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soundprobe.base.errors import DataError, SoundprobeWarning, one_line, unknown
from soundprobe.base.files import printable
from soundprobe.base.records import Clips
from soundprobe.base.registry import Registry, resolve
from soundprobe.data.readers import esc50, folders, hub, manifest, urbansound8k
from soundprobe.data.readers.table import read_table

MADE_FOLDS = 10
"""Where a data set has no folds of its own."""


@dataclass(frozen=True)
class NamedData:
    """A data set that has a name.

    Attributes:
        target: "module:function", called without arguments; it returns `Clips`.
        fetched: likewise, but asks no network and raises DataError where nothing was fetched before; left out where
            `target` itself asks none.
    """

    name: str
    title: str
    target: str
    description: str
    fetched: str = ""


@dataclass(frozen=True)
class Layout:
    """A way in which clips lie in a folder or file.

    Attributes:
        name, description, title: for `data list`; the title is the name by default.
        detects: whether a path has this layout, quickly: it is asked of every path.
        target: "module:function", called with the path; it returns `Clips`.
        makes_folds: whether folds are made, so that `target` takes folds, group_prefix and seed.
    """

    name: str
    detects: Callable[[Path], bool]
    target: str
    description: str
    title: str = ""
    makes_folds: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or self.name)


def read_synth() -> Clips:
    """The generated data set, made at the first call."""
    from soundprobe.data.synth.generate import ensure_synth

    return urbansound8k.read_urbansound8k(ensure_synth(), name="synth")


DATASETS: dict[str, NamedData] = {
    "urbansound8k": NamedData(
        name="urbansound8k",
        title="UrbanSound8K",
        target="soundprobe.data.readers.hub:read_hub",
        description=f"{hub.HUB_REPO} on the Hugging Face Hub: 8,732 clips, 10 classes, 10 folds, 7 GB",
        fetched="soundprobe.data.readers.hub:read_fetched",
    ),
    "synth": NamedData(
        name="synth",
        title="synth",
        target="soundprobe.data.catalog:read_synth",
        description="generated on this machine, no download: 10 classes, 10 folds",
    ),
}


def _is_bare_metadata(path: Path) -> bool:
    is_csv = path.is_file() and path.suffix.lower() == ".csv"
    return is_csv and set(urbansound8k.COLUMNS) <= set(read_table(path).columns)


def _is_parquet(path: Path) -> bool:
    return bool(hub.parquet_files(path))


# In the order in which they are tried, those of other packages first: the particular before the general.
LAYOUTS = Registry(
    "layout",
    "soundprobe.data",
    (
        Layout(
            name="urbansound8k",
            title="UrbanSound8K's own layout",
            detects=lambda path: (path / urbansound8k.METADATA).is_file(),
            target="soundprobe.data.readers.urbansound8k:read_urbansound8k",
            description="a folder with metadata/UrbanSound8K.csv and audio/fold1 ...",
        ),
        Layout(
            name="esc50",
            title="ESC-50's layout",
            detects=lambda path: (path / esc50.METADATA).is_file(),
            target="soundprobe.data.readers.esc50:read_esc50",
            description="a folder with meta/esc50.csv and audio/ (ESC-10, too)",
        ),
        Layout(
            name="metadata",
            title="UrbanSound8K's metadata alone",
            detects=_is_bare_metadata,
            target="soundprobe.data.readers.urbansound8k:read_urbansound8k_metadata",
            description="a .csv file with UrbanSound8K's columns: enough to check folds and recordings",
        ),
        Layout(
            name="manifest",
            title="CSV or TSV manifest",
            detects=lambda path: path.is_file() and path.suffix.lower() in manifest.ENDINGS,
            target="soundprobe.data.readers.manifest:read_manifest",
            description="a .csv or .tsv file with the columns path, label and, where there are any, fold, group, ...",
            makes_folds=True,
        ),
        Layout(
            name="parquet",
            title="Parquet with audio",
            detects=_is_parquet,
            target="soundprobe.data.readers.hub:read_hub",
            description="a .parquet file, or a folder of them, with UrbanSound8K's columns and audio",
        ),
        Layout(
            name="folders",
            title="Folder for each class",
            detects=lambda path: path.is_dir() and bool(folders.class_folders(path)),
            target="soundprobe.data.readers.folders:read_folders",
            description="a folder with a subfolder of audio files for each class",
            makes_folds=True,
        ),
    ),
)


def open_data(
    name_or_path: str | Path,
    *,
    folds: int = 10,
    group_prefix: str | None = None,
    seed: int = 0,
    limit: int | None = None,
) -> Clips:
    """The clips of a data set by its name (see `DATASETS`) or its path, in one of `LAYOUTS`.

    Args:
        name_or_path: a name, or the path of a folder or file; write ./synth for a folder that is called like a name.
        folds, group_prefix, seed: how folds are made where the layout brings none; see `read_folders`.
        limit: keep only so many clips, spread evenly over folds and classes, for a quick look.

    Raises:
        DataError: no such name or path, a layout that isn't known, `group_prefix` for data with folds of its own,
            `limit` below 1, or what the layout's reader finds wrong.
    """
    if limit is not None and limit < 1:
        raise DataError(f"--limit {limit} is not valid: give 1 or more.")
    named = DATASETS.get(str(name_or_path))
    if named is not None:
        clips = _read(named.target, group_prefix=group_prefix)
    else:
        layout, path = find_layout(name_or_path), Path(name_or_path)
        if layout.makes_folds:
            clips = resolve(layout.target, f"layout {layout.name!r}")(
                path, folds=folds, group_prefix=group_prefix, seed=seed
            )
        else:
            clips = _read(layout.target, path, group_prefix=group_prefix)
    return clips if limit is None else take_evenly(clips, limit)


def _read(target: str, *path: Path, group_prefix: str | None) -> Clips:
    """Data with folds of its own."""
    if group_prefix is not None:
        raise DataError("This data set has folds and recordings of its own; leave --group-prefix out.")
    clips: Clips = resolve(target, "data")(*path)
    return clips


def open_fetched(name: str) -> Clips:
    """The named data set without asking a network.

    Raises:
        DataError: it was not fetched before.
    """
    named = DATASETS[name]
    return _read(named.fetched or named.target, group_prefix=None)


def find_layout(path: str | Path) -> Layout:
    """The first of `LAYOUTS` that `path` has.

    Raises:
        DataError: there is nothing at `path`, or nothing that is known.
    """
    place = Path(path)
    if not os.path.exists(path):  # unlike Path.exists, it takes a name that is too long for one that isn't there
        raise DataError(
            f"{unknown('data set', str(path), DATASETS)} Nor is there a file or folder of that name. As a path, "
            f"--data takes {_takes()}."
        )
    for layout in [*LAYOUTS.usable_added(), *LAYOUTS.own.values()]:
        if _detects(layout, place):
            return layout
    raise DataError(f"{path} is not a data set that soundprobe can read. It takes {_takes()}.")


def _detects(layout: Layout, path: Path) -> bool:
    try:
        return layout.detects(path)
    except Exception as error:  # a stranger's code may fail in any way, and must not stand before every other layout
        if layout.name in LAYOUTS.own:
            raise
        said = f"layout {layout.name!r} can't tell whether it is that of {path}: {one_line(error)}"
        warnings.warn(f"Left out: {said}", SoundprobeWarning, stacklevel=3)
        return False


def take_evenly(clips: Clips, limit: int) -> Clips:
    """At most `limit` clips in their order: the first of each fold and class, then the second of each, and so on."""
    cells = np.stack([clips.folds, clips.labels], axis=1)
    _, cell = np.unique(cells, axis=0, return_inverse=True)
    turn = np.empty(len(clips), dtype=np.int64)
    for number in range(int(cell.max()) + 1):
        turn[cell == number] = np.arange((cell == number).sum())
    _, fold = np.unique(clips.folds, return_inverse=True)
    diagonal = (clips.labels - fold) % len(clips.class_names)  # another class in each fold: few clips still show many
    order = np.lexsort([fold, diagonal, turn])
    return clips.take(np.sort(order[:limit]))


def _takes() -> str:
    return "; ".join(layout.description for layout in LAYOUTS.usable())


def data_address(data: str | Path) -> str:
    """What opens the same data from any folder: a data set's name as it is, a path made absolute."""
    return str(data) if str(data) in DATASETS else printable(str(Path(data).resolve()))
