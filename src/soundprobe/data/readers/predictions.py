"""Somebody's predictions: a table with a row for each clip, read strictly against the clips that it is of.

Letters: N clips of the data, n rows, C classes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from soundprobe.base.errors import DataError, note
from soundprobe.base.records import Clips
from soundprobe.data.readers.assemble import fold_number
from soundprobe.data.readers.clip_names import SEVERAL, ClipNames
from soundprobe.data.readers.columns import ROLES, choose_columns
from soundprobe.data.readers.locate import plain_name
from soundprobe.data.readers.table import Table

COLUMNS: dict[str, tuple[str, ...]] = {
    "clip": ("clip", "clip_id", "id", "slice_file_name", "name", *ROLES["path"]),
    "predicted": ("predicted", "prediction", "pred", "y_pred", "predicted_class", "predicted_label"),
    "fold": ("fold", "test_fold"),
    "label": ("label", "true", "truth", "y_true", "target", "class", "category", "true_label"),
}
"""What a column is for -> what it may be called, the plain name first."""
BEFORE_CLASS = re.compile(r"^(?:proba?|probability|p|logits?|scores?)[\s_.:-]+")
WHOLE = re.compile(r"(\d{1,9})(?:\.0*)?")
TOLERANCE = 1e-3
MOST_TOLERANCE = 0.05
NAMED = 5
"""So many clips are named in a message; the others are counted."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a table says of the clips of a data set, in its order of them.

    Attributes:
        rows: (n,) int64, ascending: which clips have a prediction.
        predicted: (n,) int64; proba: (n, C) float64, rows that sum to 1; None where classes alone are told.
        folds: (n,) str, the fold in which each clip was tested as the table writes it; None where it doesn't.
    """

    rows: np.ndarray
    predicted: np.ndarray
    proba: np.ndarray | None
    folds: np.ndarray | None


def match_predictions(table: Table, clips: Clips, columns: str | None = None, *, logits: bool = False) -> Predictions:
    """The predictions that a table holds.

    Args:
        columns: which column is which, such as "clip=file,predicted=guess"; see `COLUMNS`.
        logits: the classes' columns hold no probabilities but logits, of which the softmax is taken.

    Raises:
        DataError: there is no column of clips, or neither a predicted class nor a column for each class; a row names
            no class, or names several clips; no row names a clip; a clip stands twice; a label is not the data's;
            probabilities don't sum to 1; a predicted class is not the most probable.
    """
    chosen = choose_columns(table, columns, ("clip",), COLUMNS)
    table, found = _of_clips(table, chosen["clip"], clips)
    names = _class_numbers(clips.class_names)
    if "label" in chosen:
        names |= _checked_labels(table, chosen["label"], clips.labels[found], clips, names)
    classes = _class_columns(table, set(chosen.values()), names, clips.class_names)
    proba = None
    if classes:
        proba = np.stack([table.numbers(classes[number]) for number in range(len(clips.class_names))], axis=1)
        if logits:
            from scipy.special import softmax

            proba = softmax(proba, axis=1)
        else:
            proba = _as_shares(table, proba, list(classes.values()))
    elif logits:
        raise DataError(f"--logits: {table.source} has no column for each class ({', '.join(clips.class_names)}).")
    if "predicted" in chosen:
        predicted = _class_of(table, chosen["predicted"], names, clips.class_names, "label" in chosen)
        if proba is not None:
            _check_most_probable(table, predicted, proba, clips.class_names)
    elif proba is not None:
        predicted = proba.argmax(axis=1)
    else:
        raise DataError(
            f"{table.source} has neither a column predicted nor one for each class. It has "
            f"{', '.join(table.columns)}. Say which it is: --columns predicted=COLUMN; or name a column after each "
            f"class: {', '.join(clips.class_names)}."
        )
    folds = _folds(table, chosen["fold"]) if "fold" in chosen else None
    order = np.argsort(found)
    return Predictions(
        rows=found[order],
        predicted=predicted[order],
        proba=None if proba is None else proba[order],
        folds=None if folds is None else folds[order],
    )


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _of_clips(table: Table, column: str, clips: Clips) -> tuple[Table, np.ndarray]:
    """The table without rows whose clip is not in the data, which is said; and (n,) int64 the clip of each row."""
    texts, known = table.texts(column), ClipNames(clips)
    found: list[int | None] = [known.find(text) for text in texts]
    if SEVERAL in found:
        row = found.index(SEVERAL)
        raise table.error(row, f"{column} {texts[row]!r} may be several clips. Give their ids or whole paths.")
    extra = [text for text, clip in zip(texts, found, strict=True) if clip is None]
    if len(extra) == len(texts):
        raise DataError(
            f"{table.source}: none of its {len(texts)} rows is a clip of {clips.name}. {column} begins with "
            f"{texts[0]!r}, the data's clips with {str(clips.ids[0])!r}. Give the --data that it is of, or "
            "--columns clip=COLUMN."
        )
    first: dict[int, int] = {}
    twice = [row for row, clip in enumerate(found) if clip is not None and first.setdefault(clip, row) != row]
    if twice:
        doubled = listed(list(dict.fromkeys(str(clips.ids[found[row]]) for row in twice)))
        raise DataError(
            f"{table.source}: {len(twice)} rows name a clip that stands above already: {doubled}. Keep one row a clip, "
            "the one of the model that was not trained on it."
        )
    if extra:
        note(
            f"{table.source}: {len(extra)} of its {len(texts)} rows are no clips of {clips.name} and are left out: "
            f"{listed(extra)}."
        )
    kept = [row for row, clip in enumerate(found) if clip is not None]
    columns = {name: [values[row] for row in kept] for name, values in table.columns.items()}
    rows = np.array([clip for clip in found if clip is not None], dtype=np.int64)
    return Table(table.source, columns, [table.rows[row] for row in kept]), rows


def _class_numbers(class_names: Sequence[str]) -> dict[str, int]:
    """Each class by its name, and by its name without what may be written differently where that is one class."""
    plain = [_plain(name) for name in class_names]
    alike = {name: number for number, name in enumerate(plain) if plain.count(name) == 1}
    return alike | {name: number for number, name in enumerate(class_names)}


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", plain_name(name.strip()))


def _number_of(text: str, names: Mapping[str, int]) -> int | None:
    return names.get(text, names.get(_plain(text)))


def _checked_labels(
    table: Table, column: str, labels: np.ndarray, clips: Clips, names: Mapping[str, int]
) -> dict[str, int]:
    """What numbers or other codes stand for which class, as their agreement with the data's labels proves; {} of names.

    Raises:
        DataError: a label is not the data's, or a code stands for two classes.
    """
    told = list(zip(range(len(table)), table.texts(column), labels.tolist(), strict=True))
    as_names = [_number_of(text, names) for _, text, _ in told]
    if None not in as_names:
        wrong = [one for one, number in zip(told, as_names, strict=True) if number != one[2]]
        codes: dict[str, int] = {}
    else:
        together = Counter((text, label) for _, text, label in told)
        codes = {text: label for (text, label), _ in reversed(together.most_common())}
        wrong = [one for one in told if codes[one[1]] != one[2]]
        if not wrong and len(set(codes.values())) != len(codes):
            wrong = [one for one in told if sum(codes[one[1]] == label for label in codes.values()) > 1]
    if wrong:
        said = [
            f"{table.rows[row]} has {text!r} for a clip of {clips.class_names[label]!r}" for row, text, label in wrong
        ]
        raise DataError(
            f"{table.source}: {column} disagrees with the labels of {clips.name} in {len(wrong)} of {len(told)} rows: "
            f"{'; '.join(said[:3])}{' ...' * (len(said) > 3)}. Give the --data that it is of, or leave the column out "
            "with --columns label="
        )
    return codes


def _class_of(
    table: Table, column: str, names: Mapping[str, int], class_names: Sequence[str], labelled: bool
) -> np.ndarray:
    """(n,) int64 the classes that a column names."""
    texts = table.texts(column)
    numbers = [_number_of(text, names) for text in texts]
    if None in numbers:
        row = numbers.index(None)
        by_label = "the column of labels has no such number" if labelled else "a column label in the same numbers"
        remedy = f"Give names; {by_label}" + ("." if labelled else " would tell what they stand for.")
        raise table.error(row, f"{column} {texts[row]!r} is no class. Classes: {', '.join(class_names)}. {remedy}")
    return np.array(numbers, dtype=np.int64)


def _class_columns(
    table: Table, taken: set[str], names: Mapping[str, int], class_names: Sequence[str]
) -> dict[int, str]:
    """Class -> its column; empty where there are none.

    Raises:
        DataError: some classes have a column and others none, or a class has two.
    """
    found: dict[int, str] = {}
    for column in table.columns:
        number = _number_of(column, names)
        if number is None:
            number = _number_of(BEFORE_CLASS.sub("", column.strip()), names)
        if number is None or column in taken:
            continue
        if number in found:
            raise DataError(
                f"{table.source}: {found[number]} and {column} are both of the class {class_names[number]}. Drop one."
            )
        found[number] = column
    missing = [name for number, name in enumerate(class_names) if number not in found]
    if found and missing:
        raise DataError(
            f"{table.source} has a column for {len(found)} of {len(class_names)} classes, and none for "
            f"{listed(missing)}. Add them, or drop {listed(list(found.values()))} and give predicted classes alone."
        )
    return found


def _as_shares(table: Table, values: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    """(n, C) `values`, known to be probabilities up to their rounding; each row then sums to 1.

    Raises:
        DataError: one is below 0 or above 1, or a row doesn't sum to 1.
    """
    remedy = "Give probabilities, or --logits to take the softmax."
    outside = ((values < 0) | (values > 1 + TOLERANCE)).any(axis=1)
    if outside.any():
        row = int(outside.argmax())
        worst = values[row][(values[row] < 0) | (values[row] > 1 + TOLERANCE)][0]
        raise table.error(row, f"{worst:g} is no probability ({int(outside.sum())} rows have such). {remedy}")
    digits = max(_digits(table.columns[column][row]) for column in columns for row in range(min(len(table), 100)))
    tolerance = max(TOLERANCE, min(MOST_TOLERANCE, len(columns) * 0.5 * 10.0**-digits))
    sums = values.sum(axis=1)
    off = np.abs(sums - 1) > tolerance + 1e-9
    if off.any():
        row = int(off.argmax())
        raise table.error(
            row, f"the classes' columns sum to {sums[row]:.4g}, not 1 ({int(off.sum())} rows do). {remedy}"
        )
    shares: np.ndarray = values / sums[:, None]
    return shares


def _digits(text: str) -> int:
    """How many digits stand behind the point; many in scientific notation."""
    text = text.strip().lower()
    return 16 if "e" in text else len(text.partition(".")[2])


def _check_most_probable(table: Table, predicted: np.ndarray, proba: np.ndarray, class_names: Sequence[str]) -> None:
    most = proba.max(axis=1)
    off = proba[np.arange(len(proba)), predicted] < most - 1e-6
    if off.any():
        row = int(off.argmax())
        raise table.error(
            row,
            f"predicted is {class_names[predicted[row]]!r}, but {class_names[proba[row].argmax()]!r} is more probable "
            f"({int(off.sum())} rows are so). Drop the column predicted, or the probabilities.",
        )


def _folds(table: Table, column: str) -> np.ndarray | None:
    """(n,) str the folds, "3" of "fold3" and of "3.0"; None where all are empty."""
    texts = [text.strip() for text in table.columns[column]]
    if not any(texts):
        return None
    table.texts(column)  # all or none
    numbers = [int(match[1]) if (match := WHOLE.fullmatch(text)) else fold_number(text) for text in texts]
    return np.array([text if number is None else str(number) for text, number in zip(texts, numbers, strict=True)])
