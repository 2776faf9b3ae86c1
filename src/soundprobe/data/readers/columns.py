"""Which column of a table is which: by its name where that is unambiguous, else as the user says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

import numpy as np

from soundprobe.audio.formats import AUDIO_ENDINGS
from soundprobe.base.errors import DataError, note
from soundprobe.base.texts import CompactTexts
from soundprobe.data.readers.table import Table

ROLES: dict[str, tuple[str, ...]] = {
    "path": (
        "path",
        "file",
        "filename",
        "file_name",
        "fname",
        "filepath",
        "file_path",
        "audio",
        "audio_path",
        "audio_file",
        "wav",
    ),
    "label": ("label", "class", "category", "target", "tag", "class_name", "scene_label", "labels", "tags"),
    "fold": ("fold",),
    "split": ("split", "subset", "partition"),
    "group": ("group", "recording", "recording_id", "speaker", "speaker_id", "src_file", "fsid"),
    "start": ("start", "onset", "start_time", "start_s", "start_sec", "start_seconds"),
    "end": ("end", "offset", "end_time", "end_s", "end_sec", "end_seconds"),
}
"""What a column is for -> what it may be called, the plain name first."""
SHOWN = 30
PLURALS = ("labels", "tags")
LIKE_LABEL = re.compile("label|class|categor", re.IGNORECASE)
SEVERAL = re.compile(r"[;|]")
NO_LABEL = ("nan", "na", "n/a", "none", "null", "<na>")
"""What programs write where there is no label; it may be a class's name too."""


def parse_columns(text: str | None, roles: Mapping[str, tuple[str, ...]] = ROLES) -> dict[str, str]:
    """ "path=filename,label=category" as a mapping; "start=" says that no column is the start.

    Raises:
        DataError: it has another form, or a name that is none of `roles`.
    """
    found = {}
    for part in (text or "").split(","):
        role, equals, column = (piece.strip() for piece in part.partition("="))
        if not part.strip():
            continue
        if not equals or role not in roles:
            example = ",".join(f"{name}={names[-1]}" for name, names in list(roles.items())[:2])
            raise DataError(
                f"--columns {text!r} is not valid: write NAME=COLUMN, joined by commas, such as {example}. "
                f"Names: {', '.join(roles)}."
            )
        found[role] = column
    return found


def choose_columns(
    table: Table,
    given: str | None,
    needed: tuple[str, ...] = ("path", "label"),
    roles: Mapping[str, tuple[str, ...]] = ROLES,
) -> dict[str, str]:
    """The column of each of the `roles` that the table has.

    Raises:
        DataError: a column that was given isn't there; a needed role has no column, or several could be it.
    """
    said = parse_columns(given, roles)
    for role, column in said.items():
        if column and column not in table.columns:
            raise DataError(f"--columns {role}={column}: {table.source} has no such column. {_has(table)}")
    taken = set(said.values())
    chosen = {role: column for role, column in said.items() if column}
    for role, names in roles.items():
        if role in said:
            continue
        fitting = [column for column in table.columns if column not in taken and plain_name(column) in names]
        exact = [column for column in fitting if plain_name(column) == role]
        if len(exact or fitting) == 1:
            chosen[role] = (exact or fitting)[0]
        elif fitting and role in needed:
            raise DataError(
                f"{table.source}: several columns may be the {role}: {', '.join(fitting)}. "
                f"{_propose(table, chosen, needed)}"
            )
        elif fitting:
            note(
                f"{table.source}: several columns may be the {role}, so none is: {', '.join(fitting)}. "
                f"--columns {role}={fitting[0]} takes the first."
            )
    if any(role not in chosen for role in needed):
        missing = " and no ".join(role for role in needed if role not in chosen)
        header = next((name for name in table.columns if name.lower().endswith(AUDIO_ENDINGS)), None)
        why = f" Its first line names a clip ({header}): put a line path,label above it." if header else ""
        raise DataError(f"{table.source} has no {missing} column.{why} {_has(table)} {_propose(table, chosen, needed)}")
    return chosen


def check_paths(table: Table, column: str) -> CompactTexts:
    """The paths of the column.

    Raises:
        DataError: one is empty, or is a structure or a list.
    """
    paths = table.texts(column)
    for row, path in enumerate(paths):
        if (path[0], path[-1]) in (("{", "}"), ("[", "]")):
            raise table.error(row, f"{column} {path!r} is no path. Give a column with the path alone.")
    return paths


def check_single_labels(table: Table, column: str) -> tuple[np.ndarray, list[str]]:
    """(N,) int32, which of the distinct labels of the column each row has; and those, in the order of their rows.

    Raises:
        DataError: one is empty, is a structure, or says several classes: a list, "a;b" or "a|b", or "a,b" where "a" is
            a class itself or in another such list, or the column's name is a plural.
    """
    codes, names = table.texts(column).coded()
    alone = set(names)
    lists = [name for name in names if ", " not in name]  # "dog, inside" may be one name
    listed = Counter(part for name in lists for part in set(name.split(",")))
    plural = plain_name(column) in PLURALS
    for code, name in enumerate(names):
        row = int((codes == code).argmax())
        if name.startswith("{") and name.endswith("}"):
            raise table.error(row, f"{column} {name!r} is no name of a class. Give a column with the name alone.")
        parts = name.split(",")
        joined = len(parts) > 1 and (plural or any(part.strip() in alone or listed[part] > 1 for part in parts))
        if joined or SEVERAL.search(name) or (name.startswith("[") and name.endswith("]")):
            raise table.error(
                row,
                f"{column} {name!r} names several classes, and a clip can have one here. Keep one for each clip, leave "
                "such clips out, or make each combination a class of its own, without commas, ; and |.",
            )
    missing = sorted(name for name in alone if name.casefold() in NO_LABEL)
    if missing:
        count = np.isin(codes, [names.index(name) for name in missing]).sum()
        note(
            f"{table.source}: {column} is {' or '.join(map(repr, missing))} in {count} rows. That is taken for a "
            "class; where it stands for no label, leave these rows out."
        )
    return codes, names


def _propose(table: Table, chosen: Mapping[str, str], needed: tuple[str, ...]) -> str:
    """The option to give, with the likeliest columns."""
    free = [column for column in table.columns if column not in chosen.values()]
    found = dict(chosen)
    if "path" in needed and "path" not in found:
        files = [c for c in free if any(v.lower().endswith(AUDIO_ENDINGS) for v in table.columns[c][:20])]
        found["path"] = (files or free or ["..."])[0]
    if "label" in needed and "label" not in found:
        free = [column for column in free if column != found.get("path")]
        named = [column for column in free if plain_name(column) in ROLES["label"]]
        named = named or [column for column in free if LIKE_LABEL.search(column)]
        words = [column for column in named if not all(value.strip().isdigit() for value in table.columns[column])]
        few = sorted(free, key=lambda column: len(set(table.columns[column])))
        several = [column for column in few if len(set(table.columns[column])) > 1]
        found["label"] = (words or named or several or few or ["..."])[0]
    named = [f"{role}={found.get(role) or (free or ['...'])[0]}" for role in needed]
    return f"Say which is which: --columns {','.join(named)}"


def _has(table: Table) -> str:
    shown = [*map(repr, list(table.columns)[:SHOWN]), *["..."] * (len(table.columns) > SHOWN)]
    return f"It has {', '.join(shown) or 'none'}."


def plain_name(column: str) -> str:
    """A column's name as it is compared: "Start Time" is "start_time"."""
    return re.sub(r"[ -]+", "_", column.strip().casefold())
