"""Somebody's own out-of-fold predictions, or published fold scores, -> a run to be compared with.

Nothing is trained: predictions are matched to the clips by name, their folds checked against the data's, and what they
score is computed as of any other run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.base.errors import ConfigError, DataError, StoreError, note
from soundprobe.base.files import digest_key, path_name, printable
from soundprobe.base.locks import locked
from soundprobe.base.machine import made_by
from soundprobe.base.records import Clips, FoldResult, RunResult
from soundprobe.base.remote import local, placed, remove
from soundprobe.base.stored import DatasetRecord
from soundprobe.data.catalog import MADE_FOLDS, opened, settle
from soundprobe.data.readers.predictions import Predictions, listed, match_predictions
from soundprobe.data.readers.table import read_table
from soundprobe.data.scan import Scan, fingerprint, scan_readable
from soundprobe.scoring import results
from soundprobe.scoring.published import PublishedRecord
from soundprobe.scoring.results import FinishedRun
from soundprobe.scoring.run_records import ImportRecord, RunRecord

LONGEST_NAME = 80
ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class FinishedPublication:
    """Fold scores that were imported: their folder, their record, and whether they were there before."""

    folder: Path
    record: PublishedRecord
    reused: bool

    def describe(self) -> str:
        """One line on what was imported."""
        mean, folds = self.record.published.accuracy.mean, len(self.record.folds)
        before = " (there before)" if self.reused else ""
        return f"{self.record.name} (as published): accuracy {100 * mean:.1f} % over {folds} folds{before}"


def import_predictions(
    predictions: str | Path,
    *,
    name: str,
    data: str | Path | Clips,
    columns: str | None = None,
    logits: bool = False,
    allow_missing: bool = False,
    seed: int = 0,
    heads: str | Path = "heads",
    folds: int = MADE_FOLDS,
    limit: int | None = None,
    force: bool = False,
    progress: bool = True,
    command: str = "",
    data_columns: str | None = None,
    **opening: Any,
) -> FinishedRun:
    """Makes a run of predictions that were made elsewhere, below `heads`.

    The file has a row for each clip: its id, file name or path; the predicted class by name, or a column for each class
    with its probability, or both; and, where it is known, the fold in which it was tested and its label, which must be
    the data's. See `data.readers.predictions`.

    Where the folds are not the data's, or are not told, the run is marked, has no rank and is never clearly better. An
    import of the same predictions again is used as it is.

    Args:
        predictions: a .csv, .tsv, .jsonl or .parquet file.
        name: of the model, as reports show it; seed: of its training, so that several imports are one row.
        data: a data set's name, a path, or `Clips`; folds, limit, data_columns, opening: see `open_data`.
        columns: which column is which, such as "clip=file,predicted=guess".
        logits: the classes' columns hold logits; their softmax is taken.
        allow_missing: take a file that lacks clips; the run then has no rank and is compared on its clips alone.
        heads: the folder that runs are below.
        force: put these predictions in the place of others of the same name and seed, which stay in a hidden folder.
        command: kept in `result.json` as what was run; progress: show bars.

    Raises:
        SoundprobeError: a name that can't be shown, an unreadable file, clips that are missing or stand twice, labels
            that disagree, values that are no probabilities, other predictions of that name and seed.
    """
    check_name(name)
    if seed < 0:
        raise ConfigError(f"--seed {seed} is not valid: give 0 or more.")
    file = Path(predictions)
    if file.suffix.lower() not in ENDINGS:
        raise DataError(f"{file} can't be imported: its name must end in {', '.join(ENDINGS)}.")
    table = read_table(file)
    clips, opened_as = _open(data, folds, limit, data_columns, opening)
    told = match_predictions(table, clips, columns, logits=logits)
    clips, scanned = scan_readable(clips, shown=progress)
    told = replace(told, **_tested_only(told, clips))
    missing = _missing(told, clips, scanned, allow_missing, table.source)
    origin = clips.describe(fingerprint(clips, scanned), opened_as)
    model_key = digest_key({"import": name, "data": origin["fingerprint"]})
    content = hashlib.sha256(_content(told, clips)).hexdigest()
    key = digest_key({"predictions": content, "seed": seed})
    folder = _model_folder(placed(heads), clips, name, model_key) / f"import-{key}"
    with locked(folder.parent):
        found = _fold_results(told, clips)
        if results.is_current(folder, [one.fold for one in found]):
            return FinishedRun(folder, results.read_result(folder), reused=True)
        _hide(_others(folder, seed, force, name))  # first, so that a stop here never leaves both
        imported = ImportRecord(
            file=printable(file.name),
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
            probabilities=told.proba is not None,
            missing=int((scanned.errors[missing] == "").sum()),
            **_judge_folds(told, clips),
        )
        left_out = sorted(clips.ids[missing].tolist())
        info = {
            "kind": "import",
            "dataset": {**origin, "failed": len(missing) - imported.missing, "left_out": left_out},
            "backbone": {
                "name": name,
                "title": name,
                "weights": "imported",
                "weights_label": "imported",
                "weights_sha256": "",
                "settings": {},
                "key": model_key,
            },
            "head": {"name": "import", "title": "imported predictions", "settings": {}, "seed": seed, "key": key},
            **made_by(command),
            "seconds": 0.0,
            "imported": imported.model_dump(),
        }
        heard = {"audio_sha256": scanned.sha256, "duration_s": scanned.duration_s}  # as the store keeps them
        results.write_result(
            folder,
            RunResult(found, clips.class_names, info),
            replace(clips, columns={**clips.columns, **heard}),
        )
    done = results.read_result(folder)
    _note_apart(placed(heads), done.dataset)
    return FinishedRun(folder, done, reused=False)


def import_fold_scores(
    accuracies: Sequence[float],
    macro_f1: Sequence[float] | None = None,
    *,
    name: str,
    data: str | Path | Clips,
    heads: str | Path = "heads",
    folds: int = MADE_FOLDS,
    limit: int | None = None,
    force: bool = False,
    progress: bool = True,
    command: str = "",
    data_columns: str | None = None,
    **opening: Any,
) -> FinishedPublication:
    """Keeps published fold scores below `heads`, to stand beside runs on the same data.

    Args:
        accuracies: one for each fold of the data, ascending, as shares; macro_f1: likewise.
        name, data, heads, folds, limit, data_columns, opening, force, progress, command: as for `import_predictions`.

    Raises:
        SoundprobeError: a name that can't be shown, unreadable data, another number of scores than the data has folds,
            a score that is no share, other scores of that name.
    """
    check_name(name)
    clips, opened_as = _open(data, folds, limit, data_columns, opening)
    clips, scanned = scan_readable(clips, shown=progress)
    given = {"--per-fold": accuracies, **({} if macro_f1 is None else {"--per-fold-f1": macro_f1})}
    for option, scores in given.items():
        if len(scores) != len(clips.tested_folds):
            raise ConfigError(
                f"{option} has {len(scores)} scores, and {clips.name} has {len(clips.tested_folds)} folds: "
                f"{', '.join(map(str, clips.tested_folds))}. Give one for each, in this order."
            )
        wrong = next((score for score in scores if not 0 <= score <= 1), None)
        if wrong is not None:
            raise ConfigError(f"{option} {wrong:g} is not valid: give shares from 0 to 1, such as .8446 for 84.46 %.")
    told = [
        {
            "fold": fold,
            "clips": int((clips.folds == fold).sum()),
            "accuracy": float(accuracies[place]),
            "macro_f1": None if macro_f1 is None else float(macro_f1[place]),
        }
        for place, fold in enumerate(clips.tested_folds)
    ]
    origin = clips.describe(fingerprint(clips, scanned), opened_as)
    key = digest_key({"folds": told})
    model_key = digest_key({"published": name, "data": origin["fingerprint"]})
    folder = _model_folder(placed(heads), clips, name, model_key) / f"published-{key}"
    path = folder / PublishedRecord.FILE
    with locked(folder.parent):
        if kept := PublishedRecord.read_or_make(path):
            return FinishedPublication(folder, kept, reused=True)
        others = [one for one in folder.parent.glob("published-*") if one.is_dir() and one != folder]
        if others and not force:
            raise ConfigError(f"{name} was published with other scores before ({others[0]}). {_instead('')}")
        _hide(others)
        content = {
            "format": PublishedRecord.FORMAT,
            "name": name,
            "dataset": origin,
            "folds": told,
            "key": key,
            **made_by(command),
        }
        record = PublishedRecord.of(content, path)
        record.write(path)
    _note_apart(placed(heads), record.dataset)
    return FinishedPublication(folder, record, reused=False)


def check_name(name: str) -> None:
    """Raises ConfigError where a page, a terminal or a folder couldn't show a model's name."""
    why = ""
    if not name.strip(" ."):
        why = "has no letter in it"
    elif len(name) > LONGEST_NAME:
        why = f"has {len(name)} characters"
    elif name != name.strip() or not name.isprintable():
        why = "has blanks around it, or characters that can't be printed"
    if why:
        shown = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
        raise ConfigError(
            f"--name {shown!r} {why}. Give a short one of up to {LONGEST_NAME} characters, such as my-cnn."
        )


def _open(
    data: str | Path | Clips, folds: int, limit: int | None, columns: str | None, opening: dict[str, Any]
) -> tuple[Clips, dict[str, Any] | None]:
    """The clips, and what records keep of how they were opened."""
    given: Any = {**opening, "columns": None if isinstance(data, Clips) else columns}
    return opened(data, settle(data, folds, limit, given))


def _tested_only(told: Predictions, clips: Clips) -> dict[str, Any]:
    """The predictions of clips in folds that are tested; what is only trained on is no test."""
    kept = np.isin(clips.folds[told.rows], clips.tested_folds)
    if not kept.any():
        raise DataError(f"No prediction is of a clip that {clips.name} tests. Predict its test split.")
    columns = {name: getattr(told, name) for name in ("rows", "predicted", "proba", "folds")}
    return {name: None if column is None else column[kept] for name, column in columns.items()}


def _missing(told: Predictions, clips: Clips, scanned: Scan, allowed: bool, source: str) -> np.ndarray:
    """The rows of tested clips without a prediction, those that can't be read among them.

    Raises:
        DataError: some of them can be read, and that is not `allowed`.
    """
    tested = np.isin(clips.folds, clips.tested_folds)
    tested[told.rows] = False
    missing = np.flatnonzero(tested)
    readable = clips.ids[missing[scanned.errors[missing] == ""]].tolist()
    if readable and not allowed:
        raise DataError(
            f"{source} has no prediction for {len(readable)} of the {len(clips)} clips of {clips.name}: "
            f"{listed(readable)}. Add them, or --allow-missing: the run then has no rank and is compared on the other "
            "clips alone."
        )
    return missing


def _judge_folds(told: Predictions, clips: Clips) -> dict[str, Any]:
    """Whether the predictions' folds are the data's, by whatever numbers, and else what that contaminates."""
    if told.folds is None:
        return {"folds": "same" if len(clips.tested_folds) == 1 else "unknown"}  # a test split is one by itself
    theirs, own = np.unique(told.folds, return_inverse=True)
    data, mine = np.unique(clips.folds[told.rows], return_inverse=True)
    pairs = np.unique(np.stack([own, mine]), axis=1)
    if pairs.shape[1] == len(theirs) == len(data):
        return {"folds": "same"}
    numbered = set(theirs.tolist()) == {str(fold) for fold in clips.tested_folds}
    moved = int((told.folds != clips.folds[told.rows].astype(np.str_)).sum()) if numbered else None
    shared = None
    if clips.recordings_known:
        _, recording = np.unique(clips.groups[told.rows], return_inverse=True)
        folds_of = np.bincount(np.unique(np.stack([recording, own]), axis=1)[0])
        shared = int((folds_of[recording] > 1).sum())
    return {"folds": "other", "moved": moved, "in_training_too": shared}


def _fold_results(told: Predictions, clips: Clips) -> list[FoldResult]:
    """By the data's folds, whatever the predictions'."""
    proba = np.empty((len(told.rows), 0)) if told.proba is None else told.proba
    found = []
    for fold in clips.tested_folds:
        here = clips.folds[told.rows] == fold
        rows = told.rows[here]
        if len(rows):
            result = FoldResult(fold, clips.ids[rows], clips.labels[rows], proba[here].astype(np.float32))
            found.append(replace(result, train_clips=None, seconds=None, said=told.predicted[here]))
    return found


def _content(told: Predictions, clips: Clips) -> bytes:
    """What was imported, whatever the order of the file's rows."""
    parts = [clips.ids[told.rows].tolist(), told.predicted.tolist()]
    parts += [None if told.proba is None else told.proba.round(6).tolist()]
    parts += [None if told.folds is None else told.folds.tolist()]
    return repr(parts).encode()


def _model_folder(heads: Path, clips: Clips, name: str, key: str) -> Path:
    return heads / path_name(clips.name) / f"{path_name(name)}-{key}"


def _others(folder: Path, seed: int, force: bool, name: str) -> list[Path]:
    """Folders of other predictions of the same name and seed.

    Raises:
        ConfigError: there are some, and they are not to be replaced.
    """
    found = []
    for other in folder.parent.glob("import-*"):
        if other == folder:
            continue
        try:
            if RunRecord.read(other / "result.json").head.seed == seed:
                found.append(other)
        except StoreError:
            continue
    if found and not force:
        raise ConfigError(
            f"Other predictions of {name}, seed {seed}, were imported before ({found[0]}). {_instead(seed)}"
        )
    return found


def _hide(folders: Sequence[Path]) -> None:
    """Renames each so that no report reads it; what was hidden under that name before held the same."""
    for folder in folders:
        hidden = folder.with_name(f".{folder.name}")
        shutil.rmtree(hidden, ignore_errors=True)
        remove(folder)
        os.replace(folder, hidden)


def _instead(seed: int | str) -> str:
    another = "" if seed == "" else ", another --seed"
    return f"Give another --name{another}, or --force to put these in their place."


def _note_apart(heads: Path, dataset: DatasetRecord) -> None:
    """Says so where there are runs on a data set of that name, none of which is on the same clips."""
    others = []
    for path in (local(heads) / path_name(dataset.name)).glob("*/*/result.json"):
        try:
            others.append(RunRecord.read(path))
        except StoreError:
            continue
    theirs = [one for one in others if one.kind != "import"]
    if theirs and not any(one.dataset.identity == dataset.identity for one in theirs):
        note(
            f"The {len(theirs)} runs on {dataset.name} in {heads} are on other clips, labels or folds than "
            "this --data, so a report shows them apart. Give the --data that they were made of."
        )
