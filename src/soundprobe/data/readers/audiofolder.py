"""Hugging Face's `audiofolder`: clips with a table `metadata.csv` or `metadata.jsonl`, in one folder or one a split."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

from soundprobe.base.errors import DataError, note
from soundprobe.base.files import path_name
from soundprobe.base.records import Clips
from soundprobe.data.listing import files_below, folders_in, is_audio
from soundprobe.data.readers.assemble import FoldOptions, split_of
from soundprobe.data.readers.locate import LocatedFiles, Locator
from soundprobe.data.readers.manifest import clips_of_table
from soundprobe.data.readers.table import Table, header_of, read_table

NAMES = ("metadata.csv", "metadata.jsonl")
PATH = "file_name"


def find_tables(path: Path) -> list[Path]:
    """The metadata of the folder `path` and of its splits' folders; empty where it is no `audiofolder`.

    Raises:
        DataError: a table can't be read, so that nobody knows whether it is one.
    """
    if not path.is_dir():
        return []
    folders = [path, *(path / name for name in folders_in(path) if split_of(name))]
    found = [folder / name for folder in folders for name in NAMES if (folder / name).is_file()]
    found = [file for file in found if file.stat().st_size]
    try:
        return found if found and PATH in header_of(found[0]) else []
    except DataError as error:
        raise DataError(f"{error} Or move it away: the folders of {path} are then read without it.") from error


def read_audiofolder(path: str | Path, *, columns: str | None = None, **options: Any) -> Clips:
    """The clips that the tables name; the folder of a split that a clip lies in is its split.

    Args:
        columns, options: see `read_manifest`.

    Raises:
        DataError: as `read_manifest`.
    """
    root = Path(path)
    tables = [(file.parent.relative_to(root), read_table(file)) for file in find_tables(root)]
    names = list(dict.fromkeys(name for _, table in tables for name in table.columns))
    merged: dict[str, list[str]] = {name: [] for name in names}
    rows: list[str] = []
    for folder, table in tables:
        table.require((PATH,))
        table.inner_paths(PATH)
        for name in names:
            values = list(table.columns.get(name, [""] * len(table)))
            merged[name] += (
                [(folder / value).as_posix() if value else "" for value in values] if name == PATH else values
            )
        rows += [f"{table.source}, {row}" if len(tables) > 1 else row for row in table.rows]
    source = str(root) if len(tables) > 1 else tables[0][1].source
    splits = [value.split("/")[0] for value in merged[PATH]]
    inside = [split_of(split) is not None for split in splits]
    if any(inside) and not all(inside):
        raise DataError(
            f"{source}: clips lie in folders of splits, and others, such as {merged[PATH][inside.index(False)]}, "
            "don't. Move them into one, or give a manifest with a column split."
        )
    named = set(map(_bare, merged[PATH]))
    audio = filter(is_audio, files_below(root))
    unnamed = [file for file in audio if _bare(file.relative_to(root).as_posix()) not in named]
    if unnamed:
        text = f"{len(unnamed)} audio files below {root} are in no {' or '.join(NAMES)}, such as {unnamed[0].name}"
        note(f"{text}: they are left out.")
    return clips_of_table(
        Table(source, merged, rows),
        path_name(root.resolve().name).lower(),
        FoldOptions(**options),
        columns=",".join(filter(None, [columns, "" if "path=" in (columns or "") else f"path={PATH}"])),
        locate=functools.partial(LocatedFiles, Locator(root, given=False)),
        splits=splits if all(inside) else None,
    )


def _bare(path: str) -> str:
    """`path` as it is compared: without its ending and whatever its slashes, case and dots."""
    return os.path.splitext(os.path.normpath(path.replace("\\", "/")))[0].casefold()
