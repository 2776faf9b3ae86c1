"""What `--data` takes: the names of data sets and the layouts of folders and files, each as data."""

from __future__ import annotations

import os
import re
import unicodedata
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np

from soundprobe.base.errors import DataError, SoundprobeWarning, note, one_line, unknown
from soundprobe.base.files import printable
from soundprobe.base.places import told
from soundprobe.base.records import Clips
from soundprobe.base.registry import Registry, resolve
from soundprobe.base.remote import is_url, placed
from soundprobe.data.corrections import correct_labels
from soundprobe.data.listing import counted_endings, is_audio, listed, shown_entries
from soundprobe.data.readers import audiofolder, esc50, folders, hub, manifest, speech_commands, urbansound8k
from soundprobe.data.readers.locate import nearest_name
from soundprobe.data.readers.table import has_columns

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
        options: further keywords of `Opening` that `target` takes.
    """

    name: str
    detects: Callable[[Path], bool]
    target: str
    description: str
    title: str = ""
    makes_folds: bool = False
    options: tuple[str, ...] = ()

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
LICENCES = {"urbansound8k": "CC BY-NC 3.0", "esc50": "CC BY-NC 3.0", "esc10": "CC BY 3.0"}
"""Of the data sets that readers know by their layout: of the clips, as their authors publish them."""


def _has_parquet(path: Path) -> bool:
    return hub.is_saved(path) or bool(hub.parquet_files(path))


IN_NAMES = ("group_regex", "splits")
IN_TABLES = (*IN_NAMES, "columns")

# In the order in which they are tried, those of other packages first: the particular before the general.
LAYOUTS = Registry(
    "layout",
    "soundprobe.data",
    (
        Layout(
            name="urbansound8k",
            title="UrbanSound8K's own layout, or Kaggle's",
            detects=lambda path: urbansound8k.find_metadata(path) is not None,
            target="soundprobe.data.readers.urbansound8k:read_urbansound8k",
            description="a folder with metadata/UrbanSound8K.csv and audio/fold1 ...",
        ),
        Layout(
            name="esc50",
            title="ESC-50's layout, or Kaggle's",
            detects=lambda path: esc50.find_metadata(path) is not None,
            target="soundprobe.data.readers.esc50:read_esc50",
            description="a folder with meta/esc50.csv and audio/ (ESC-10, too)",
        ),
        Layout(
            name="metadata",
            title="UrbanSound8K's metadata alone",
            detects=lambda path: has_columns(path, urbansound8k.COLUMNS),
            target="soundprobe.data.readers.urbansound8k:read_urbansound8k_metadata",
            description="a .csv file with UrbanSound8K's columns: enough to check folds and recordings",
        ),
        Layout(
            name="audiofolder",
            title="Hugging Face audiofolder",
            detects=lambda path: bool(audiofolder.find_tables(path)),
            target="soundprobe.data.readers.audiofolder:read_audiofolder",
            description="a folder with metadata.csv or .jsonl, which has a column file_name, or one a split",
            makes_folds=True,
            options=IN_TABLES,
        ),
        Layout(
            name="speech-commands",
            title="Speech Commands",
            detects=speech_commands.has_lists,
            target="soundprobe.data.readers.speech_commands:read_speech_commands",
            description="a folder for each word with testing_list.txt or validation_list.txt",
            makes_folds=True,
            options=IN_NAMES,
        ),
        Layout(
            name="manifest",
            title="Manifest",
            detects=manifest.is_manifest,
            target="soundprobe.data.readers.manifest:read_manifest",
            description="a .csv, .tsv, .txt, .jsonl or .parquet file with the columns path, label and, where there are "
            "any, fold, group, ...",
            makes_folds=True,
            options=(*IN_TABLES, "audio_root"),
        ),
        Layout(
            name="parquet",
            title="Parquet with audio, or what save_to_disk wrote",
            detects=_has_parquet,
            target="soundprobe.data.readers.hub:read_hub",
            description="a .parquet file, or a folder of them, with audio and a label, or UrbanSound8K's columns",
            makes_folds=True,
            options=IN_TABLES,
        ),
        Layout(
            name="folders",
            title="Folder for each class",
            detects=folders.holds_clips,
            target="soundprobe.data.readers.folders:read_folders",
            description="a folder with a subfolder of audio files for each class",
            makes_folds=True,
            options=(*IN_NAMES, "label_regex"),
        ),
    ),
)
HUB = Layout(
    name="hub",
    title="A data set on the Hugging Face Hub",
    detects=lambda path: False,
    target="soundprobe.data.readers.hub:read_address",
    description="hf:OWNER/NAME, with :CONFIG and @REVISION where you like",
    makes_folds=True,
    options=IN_TABLES,
)
OF_HUB = "hf:"


class Opening(TypedDict, total=False):
    """How data is opened, where its layout leaves something to say.

    Attributes:
        group_prefix, group_regex, splits: see `FoldOptions`.
        label_regex: see `read_folders`; columns, audio_root: see `read_manifest`.
        corrections: a table of labels to correct, of any layout; see `correct_labels`.
    """

    group_prefix: str | None
    group_regex: str | None
    label_regex: str | None
    splits: str | None
    columns: str | None
    audio_root: str | None
    corrections: str | Path | None


def open_data(
    name_or_path: str | Path,
    *,
    folds: int = MADE_FOLDS,
    seed: int = 0,
    limit: int | None = None,
    **how: Unpack[Opening],
) -> Clips:
    """The clips of a data set by its name (see `DATASETS`), at an address "hf:...", a path or URL, in one of `LAYOUTS`.

    Args:
        name_or_path: a name, or the path or URL (of fsspec's) of a folder or file; write ./synth for a folder that is
            called like a name.
        folds, seed: how folds are made where the layout brings none; see `FoldOptions`.
        limit: keep only so many clips, spread evenly over folds and classes, for a quick look.
        how: see `Opening`.

    Raises:
        DataError: no such name or path, a layout that isn't known, an option for what the layout settles itself,
            `limit` below 1, or what the layout's reader or `correct_labels` finds wrong.
    """
    if limit is not None and limit < 1:
        raise DataError(f"--limit {limit} is not valid: give 1 or more.")
    corrections = how.pop("corrections", None)
    try:
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always", SoundprobeWarning)
            clips = _open(name_or_path, {"folds": folds, "seed": seed}, how)
    finally:
        for one in noted:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    notes = tuple(str(one.message) for one in noted if issubclass(one.category, SoundprobeWarning))
    clips = replace(clips, notes=(*clips.notes, *map(printable, notes)))
    if corrections is not None:
        clips = correct_labels(clips, corrections)
    return clips if limit is None else take_evenly(clips, limit)


def _open(name_or_path: str | Path, made: dict[str, int], how: Opening) -> Clips:
    named = DATASETS.get(str(name_or_path))
    if named is not None:
        _check_options(named.title, (), how)
        clips: Clips = resolve(named.target, "data")()
    else:
        layout = find_layout(name_or_path)
        clips = _read(layout, str(name_or_path) if layout is HUB else placed(name_or_path), made, how)
    _check_names(clips)
    return clips


def _read(layout: Layout, place: str | Path, made: dict[str, int], how: Opening) -> Clips:
    taken = ("group_prefix", *layout.options) if layout.makes_folds else layout.options
    _check_options(f"{place} ({layout.title})", taken, how)
    given: dict[str, Any] = {name: value for name, value in how.items() if name in taken and value is not None}
    if layout.makes_folds:
        given |= {**made, "group_prefix": how.get("group_prefix")}
    clips: Clips = resolve(layout.target, f"layout {layout.name!r}")(place, **given)
    return clips


def _check_options(what: str, taken: Sequence[str], how: Opening) -> None:
    """Raises DataError where an option is given that is none of `taken`."""
    for name, value in how.items():
        if name not in taken and value is not None:
            option = f"--{name.replace('_', '-')}"
            raise DataError(f"{option} {value}: {what} {SETTLED[name]} of its own; leave {option} out.")


SETTLED = {
    "group_prefix": "has folds and recordings",
    "group_regex": "has recordings",
    "label_regex": "has labels",
    "splits": "has folds",
    "columns": "has columns",
    "audio_root": "has a place for audio",
}
"""What a layout that takes no such option settles itself."""


def _check_names(clips: Clips) -> None:
    """Notes classes whose names differ only in how they are written."""
    alike: dict[str, list[str]] = {}
    for name in clips.class_names:
        plain = re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name)).casefold()
        plain = "".join(char for char in plain if unicodedata.category(char) != "Cf")  # zero-width spaces and the like
        alike.setdefault(plain, []).append(name)
    for names in alike.values():
        if len(names) > 1:
            note(
                f"{clips.name}: the classes {', '.join(map(repr, names))} differ only in case, spaces or Unicode form. "
                "They are kept apart; write them alike if they are one."
            )


def settle(data: object, folds: int, limit: int | None, how: Opening) -> dict[str, Any]:
    """The options of `open_data` as a record keeps them, to open the same data from any folder.

    Raises:
        DataError: an option is given and `data` are `Clips`, which are open already.
    """
    given: dict[str, Any] = {name: value for name, value in how.items() if value is not None}
    if given and isinstance(data, Clips):
        raise DataError(f"{', '.join(given)}: say it to open_data; here data are clips that are open already.")
    for name in ("audio_root", "corrections"):
        if given.get(name):
            given[name] = data_address(given[name])
    return {"folds": folds, "group_prefix": None, "limit": limit, **given}


def opened(data: str | Path | Clips, how: Mapping[str, Any]) -> tuple[Clips, dict[str, Any] | None]:
    """The clips, opened as `settle` says, and what records keep of that; None of clips that are open already."""
    if isinstance(data, Clips):
        return data, None
    return open_data(data, **how), {"data": data_address(data), **how}


def open_fetched(name: str, *, folds: int = MADE_FOLDS, **how: Unpack[Opening]) -> Clips:
    """The data set of that name, or at the address "hf:...", without asking a network.

    Raises:
        DataError: it was not fetched before.
    """
    if name.startswith(OF_HUB):
        given: dict[str, Any] = {**how}
        return hub.read_address(name, fetched=True, folds=folds, **given)
    named = DATASETS[name]
    clips: Clips = resolve(named.fetched or named.target, "data")()
    return clips


def find_layout(path: str | Path) -> Layout:
    """The first of `LAYOUTS` that `path` has; `HUB` for an address "hf:...".

    Raises:
        DataError: there is nothing at `path`, or nothing that is known.
    """
    if str(path).startswith(OF_HUB) and not is_url(path):
        return HUB
    if path == "":
        raise DataError("--data is empty: give a data set's name, or the path of a folder or file.")
    place = listed(path)
    try:
        os.stat(place)
    except PermissionError as error:
        raise DataError(
            f"Can't look at {path}: {_locked(place)} can't be looked into ({error.strerror}). Let it be read, or move "
            "the data elsewhere."
        ) from None
    except (OSError, ValueError):
        raise DataError(_not_there(str(path))) from None
    for layout in [*LAYOUTS.usable_added(), *LAYOUTS.own.values()]:
        if _detects(layout, place):
            return layout
    raise DataError(
        f"{path} is not a data set that soundprobe can read{_what_is_there(place)}; `soundprobe data list` shows what "
        "--data takes."
    )


def _what_is_there(place: Path) -> str:
    if not place.is_dir():
        return ": it is one clip, and a data set has several" if is_audio(place) else ""
    held = counted_endings(Path(entry.name) for entry in shown_entries(place))
    return f": it holds {held}" if held else ": it is empty"


def check_there(data: str | Path, *, unreachable: str | None = None) -> None:
    """What can be told of `data` at once: whether anything is at that path, or can be had under that name.

    Args:
        unreachable: why the Hub can't be asked, where that is so.

    Raises:
        DataError: not.
    """
    name = str(data)
    if name in DATASETS:
        name = OF_HUB + hub.HUB_REPO if DATASETS[name].fetched else ""
    elif find_layout(data) is not HUB:
        return
    if unreachable:
        hub.check_fetched(name, unreachable)


def _not_there(path: str) -> str:
    """What to say of a path, URL or name where nothing is."""
    if is_url(path):
        return f"Nothing is at {path}. Give a folder or file of that store."
    name = path.rstrip("/\\")
    looks_like_path = any(mark in path for mark in ("/", "\\", ".")) or name.casefold() in DATASETS
    if not looks_like_path:
        return (
            f"{unknown('data set', path, DATASETS)} Nor is there a file or folder of that name; "
            "`soundprobe data list` shows what --data takes."
        )
    place = Path(name or path)
    if not os.path.isdir(place.parent):
        standing = next((parent for parent in place.parents if os.path.isdir(parent)), Path("."))
        return f"There is no file or folder {path}: the folder {place.parent} isn't there, {standing} is."
    known = name.casefold() if name.casefold() in DATASETS else None
    also = f" --data {known} is {DATASETS[known].description}." if known else ""
    return f"There is no file or folder {path} (looked in {place.parent.resolve()}).{nearest_name(place)}{also}"


def _locked(place: Path) -> Path:
    """The uppermost folder above `place` that the user may not look into."""
    own: dict[str, bool] = {"effective_ids": True} if os.access in os.supports_effective_ids else {}
    above = [parent for parent in place.absolute().parents if not os.access(parent, os.X_OK, **own)]
    return above[-1] if above else place.parent


def _detects(layout: Layout, path: Path) -> bool:
    try:
        return layout.detects(path)
    except Exception as error:  # a stranger's code may fail in any way, and must not stand before every other layout
        if layout.name in LAYOUTS.own and isinstance(error, OSError):
            raise DataError(f"Can't read {path}: {error.strerror or error}.") from error
        if layout.name in LAYOUTS.own:
            raise
        said = f"layout {layout.name!r} can't tell whether it is that of {path}: {one_line(error)}"
        note(f"Left out: {said}")
        return False


def take_evenly(clips: Clips, limit: int) -> Clips:
    """At most `limit` clips in their order: the first of each fold and class, then the second of each, and so on."""
    cells = np.stack([clips.folds, clips.labels], axis=1)
    _, cell, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    turn = np.empty(len(clips), dtype=np.int64)
    turn[np.argsort(cell, kind="stable")] = np.arange(len(clips)) - np.repeat(np.cumsum(counts) - counts, counts)
    _, fold = np.unique(clips.folds, return_inverse=True)
    diagonal = (clips.labels - fold) % len(clips.class_names)  # another class in each fold: few clips still show many
    order = np.lexsort([fold, diagonal, turn])
    return clips.take(np.sort(order[:limit]))


def data_address(data: str | Path) -> str:
    """What opens the same data from any folder: a data set's name or a URL as it is, a path made absolute."""
    if str(data) in DATASETS or (str(data).startswith(OF_HUB) and not is_url(data)):
        return str(data)
    return told(printable(str(placed(data).resolve())))
