"""From what a reader found to `Clips`: recordings, folds and splits are known, given by an option, or made.

N clips.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from soundprobe.base.errors import DataError, note
from soundprobe.base.records import Clips, Source
from soundprobe.base.texts import CompactTexts, texts_of
from soundprobe.data.readers.made_folds import make_folds, prefix_groups

SPLITS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "devel", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation"), "test"),
}
"""What folders and files call a split -> its name."""
FILLERS = frozenset({"", "set", "data", "audio", "clips", "wav", "wavs", "files", "split"})
FOLD_NAME = re.compile(r"(?:fold|split|cv|part|partition)[ _-]?(\d{1,9})", re.IGNORECASE)
FOLD_WORDS = frozenset({"fold", "kfold"})
NUMBERED_SET = re.compile(r"(?:sub)?set[ _-]?\d+", re.IGNORECASE)
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
"""A word in a name, so that "foldA" and "X_trainSet2" fall into theirs."""
AS_FOLDS, IGNORE = "as-folds", "ignore"
NAMED = 3


@dataclass(frozen=True)
class FoldOptions:
    """What the user says of recordings, folds and splits.

    Attributes:
        folds: how many to make where a data set has none; seed: of drawing them.
        group_prefix: the recording's name ends in a file's name before it; group_regex: the recording's name is what
            this regular expression matches in a file's name, its first group where it has any.
        splits: "as-folds", "ignore", or the name of the one split to be tested.
    """

    folds: int = 10
    group_prefix: str | None = None
    group_regex: str | None = None
    splits: str | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Found:
    """N clips as a reader found them.

    Attributes:
        source: the file or folder, as messages name it; name: the data set's.
        ids, sources, labels, class_names, columns: as in `Clips`.
        folds, groups: (N,) as in `Clips`; splits: N names. None where they are not known.
    """

    source: str
    name: str
    ids: Sequence[str]
    sources: Sequence[Source]
    labels: np.ndarray
    class_names: tuple[str, ...]
    folds: np.ndarray | None = None
    groups: Any = None
    splits: Sequence[str] | None = None
    columns: Mapping[str, Any] | None = None


def assemble(found: Found, options: FoldOptions) -> Clips:
    """The clips with their recordings and folds.

    Raises:
        DataError: recordings or splits that are known already or not there are asked for; classes that are rather
            splits or folds; folds and splits at once; a single class; a class with fewer clips (recordings) than folds
            to make.
    """
    if parts := parts_among(found.class_names, options.splits):
        raise DataError(
            f"{found.source}: the labels {', '.join(map(repr, parts[:4]))} are called like splits or folds, not like "
            f"classes. Name another column or pattern for the label{ignoring(found.class_names)}."
        )
    groups = _groups(found, options)
    present = np.unique(found.labels)
    if len(present) == 1:
        only = found.class_names[present[0]]
        raise DataError(
            f"{found.source}: all clips are of one class, {only!r}, and two or more are needed to tell them apart. "
            "Name another column or pattern for the label, or add the clips of the other classes."
        )
    columns = dict(found.columns or {})
    folds, seed = found.folds, None
    tested: tuple[int, ...] = ()
    splits = _splits(found, options)
    if splits is not None:
        folds, tested = split_folds(found.source, splits, options.splits)
        columns["split"] = texts_of(splits)
    elif folds is not None and len(np.unique(folds)) == 1:
        raise DataError(
            f"{found.source}: all clips are in fold {folds[0]}, which leaves none to train on. --columns fold= leaves "
            "a column out, and of a folder give the one that the classes are in: folds are then made."
        )
    elif folds is None:
        folds = make_folds(found.ids, found.labels, groups, found.class_names, options.folds, options.seed)
        seed = options.seed
    _note_untrained(found, folds, tested)
    recordings: Any = groups
    ids: Any = found.ids if isinstance(found.ids, CompactTexts) else np.array(found.ids)
    return Clips(
        name=found.name,
        ids=ids,
        sources=found.sources,
        labels=found.labels,
        folds=folds,
        groups=ids if groups is None else recordings,
        class_names=found.class_names,
        columns=columns,
        recordings_known=groups is not None,
        tested_folds=tested,
        folds_seed=seed,
    )


def _note_untrained(found: Found, folds: np.ndarray, tested: tuple[int, ...]) -> None:
    """Notes classes that only the tested split has, so that nothing is trained on them."""
    inside = np.isin(folds, tested)
    only = np.setdiff1d(found.labels[inside], found.labels[~inside])
    if tested and len(only):
        names = ", ".join(repr(found.class_names[label]) for label in only[:NAMED]) + ", ..." * (len(only) > NAMED)
        note(f"{found.source}: the tested split alone has clips of {names}, so nothing is trained on that.")


def _groups(found: Found, options: FoldOptions) -> np.ndarray | CompactTexts | None:
    asked = {"--group-prefix": options.group_prefix, "--group-regex": options.group_regex}
    given = [option for option, value in asked.items() if value is not None]
    if len(given) > 1:
        raise DataError("--group-prefix and --group-regex both say what a recording's name is; leave one out.")
    if found.groups is not None and given:
        raise DataError(f"{found.source} says the clips' recordings already; leave {given[0]} out.")
    if options.group_prefix is not None:
        return prefix_groups(found.ids, options.group_prefix)
    if options.group_regex is not None:
        return np.array(match_names(found.ids, options.group_regex, "--group-regex", "recording"))
    return found.groups


def match_names(paths: Sequence[str], pattern: str, option: str, what: str) -> list[str]:
    """What the regular expression finds in each file's name, with its ending, or in its path where the expression has a
    slash: its first group where it has any.

    Raises:
        DataError: it is no regular expression, or finds nothing in a name.
    """
    try:
        regex = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise DataError(f"{option} {pattern!r} is no regular expression: {error}.") from None
    whole = [path.replace("\\", "/") for path in paths]
    matches = [regex.search(path if "/" in pattern else PurePosixPath(path).name) for path in whole]
    found = [match[min(regex.groups, 1)] if match else None for match in matches]
    missed = [path for path, text in zip(paths, found, strict=True) if not text]
    if missed:
        raise DataError(
            f"{option} {pattern!r} finds no {what} in {len(missed)} of {len(paths)} file names, such as "
            f"{PurePosixPath(missed[0]).name!r}. Give one that matches every name."
        )
    return [str(text) for text in found]


def _splits(found: Found, options: FoldOptions) -> list[str] | None:
    """The split of each clip, by its common name; None where there are not two, or folds are to be used instead."""
    codes, told = texts_of(found.splits or ()).coded()
    common = [split_of(name) or name.strip() for name in told]
    if options.splits == IGNORE:
        return None
    if len(set(common)) < 2:
        if options.splits is not None:
            one = f"only the split {common[0]!r}" if common else "no splits"
            raise DataError(f"--splits {options.splits}: {found.source} has {one}. Leave --splits out.")
        return None
    if found.folds is not None and options.splits is None:
        raise DataError(
            f"{found.source} has folds and the splits {', '.join(sorted(set(common)))}. Say which: --splits {IGNORE} "
            f"for its folds, --splits test or --splits {AS_FOLDS} for its splits."
        )
    return [common[code] for code in codes.tolist()]


def split_folds(source: str, names: Sequence[str], asked: str | None) -> tuple[np.ndarray, tuple[int, ...]]:
    """Folds (N,), a number for each split, and the folds that are tested. What is decided is said in a note.

    Raises:
        DataError: no such split as `asked`; or none is asked for, and none is called "test".
    """
    order = [*dict.fromkeys(SPLITS.values()), *sorted(set(names).difference(SPLITS.values()))]
    number = {name: place for place, name in enumerate((one for one in order if one in set(names)), start=1)}
    folds = np.array([number[name] for name in names])
    counted = ", ".join(
        f"{name} ({names.count(name)} clip{'s' * (names.count(name) > 1)}, fold {fold})"
        for name, fold in number.items()
    )
    if asked == AS_FOLDS:
        note(f"{source} has the splits {counted}: each is tested in turn, by what was trained on the others.")
        return folds, ()
    wanted = "test" if asked is None else (split_of(asked) or asked)
    if wanted not in number:
        why = f"has the splits {counted}, none called 'test'" if asked is None else f"has the splits {counted}"
        also = ", ".join(f"--splits {name}" for name in number)
        raise DataError(
            f"{source} {why}. Say what to test: {also}; --splits {AS_FOLDS} for each in turn; --splits {IGNORE} for "
            "folds made over all clips."
        )
    note(
        f"{source} has the splits {counted}: only the split {wanted} is tested, by what was trained on the others. "
        f"--splits {AS_FOLDS} tests each in turn, --splits {IGNORE} makes folds over all clips."
    )
    return folds, (number[wanted],)


def split_of(text: str) -> str | None:
    """ "train" of "training_set" or "audio-train", "test" of "Test2"; None of any other text."""
    words = [re.sub(r"\d+$", "", word) for word in re.split(r"[\s_.-]+", text.strip().casefold())]
    found = [word for word in words if word not in FILLERS]
    return SPLITS.get(found[0]) if len(found) == 1 else None


def parts_among(names: Iterable[str], splits: str | None) -> list[str]:
    """Those of classes' names that are rather a split's or a fold's: all, or of two parts or more, as in
    "train-clean" and "dev-clean", or "audio_fold1" and "audio_fold2".

    Where the splits are to be ignored, only what is plainly one counts, and only where no other class is there.
    """
    strictly = splits == IGNORE
    kinds = {name: _part(name, strictly) for name in names}
    parts = sorted(name for name, kind in kinds.items() if kind)
    several = not strictly and len({kinds[name] for name in parts}) > 1
    return parts if several or len(parts) == len(kinds) else []


def _part(name: str, strictly: bool) -> str | None:
    """The split or fold that a name says; None where it says neither."""
    if split_of(name) or fold_number(name) is not None or strictly:
        return split_of(name) or (name if fold_number(name) is not None else None)
    words = [re.sub(r"(?<=.)(?:set|data|split)$", "", word.casefold()) for word in WORD.findall(name)]
    if FOLD_WORDS.intersection(words) or NUMBERED_SET.fullmatch(name):
        return name
    return next((SPLITS[word] for word in words if word in SPLITS), None)


def ignoring(names: Iterable[str]) -> str:
    """The remedy where names that `parts_among` takes for splits are classes after all; empty where it is none."""
    return "" if parts_among(names, IGNORE) else f"; or, where they are classes, say --splits {IGNORE}"


def fold_number(text: str) -> int | None:
    """3 of "fold3" or "Fold 03"; None of any other text."""
    match = FOLD_NAME.fullmatch(text.strip())
    return int(match[1]) if match else None
