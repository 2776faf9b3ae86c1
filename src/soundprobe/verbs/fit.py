"""A run's recipe on all clips: one head to be used, which has no score of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.base.errors import ConfigError, DamagedError, SoundprobeError, StoreError, unknown
from soundprobe.base.files import digest_key, leading_digits, path_name
from soundprobe.base.frame_rows import mean_frames
from soundprobe.base.locks import locked
from soundprobe.base.machine import HEAD_DEVICES, device_in_key, head_device, made_by
from soundprobe.base.progress import progress_bar
from soundprobe.base.remote import placed
from soundprobe.embeddings.head_plan import Plan, with_copies_joined
from soundprobe.embeddings.out_of_core import allowed_bytes, check_out_of_core, folder_for, stays_on_disk
from soundprobe.embeddings.sets import FeatureSet, find_feature_sets
from soundprobe.heads.catalog import HEADS, make_head
from soundprobe.heads.scaling import Rows
from soundprobe.heads.stored_rows import StoredRows, StoredRowsHead, numbers_of
from soundprobe.scoring import results
from soundprobe.scoring.fits import FitRecord, read_fit, write_fit
from soundprobe.scoring.run_names import NamedRun, find_run, named_runs
from soundprobe.scoring.run_records import RunRecord
from soundprobe.scoring.thresholds import NEVER, choose_thresholds, cross_fitted

FIT_VERSION = 2
"""Enters the key of every fit: raise it with any change of what a fit is."""
PASSING = 0.95
PARTS = 5
"""Of the recordings of a single tested fold, that judge each other."""
NOT_SETTINGS = ("exclude_leaks", "control")
"""What a run's settings hold besides its head's."""


@dataclass(frozen=True)
class Fitted:
    """What `fit` came to: what the fit is called, its folder, its record, and whether it was there before."""

    name: str
    folder: Path
    record: FitRecord
    reused: bool


def fit(
    *,
    run: str | Path | None = None,
    head: str | None = None,
    backbone: str | None = None,
    dataset: str | None = None,
    precision: float | None = None,
    passing: float = PASSING,
    embeddings: str | Path = "embeddings",
    heads: str | Path = "heads",
    device: str = "cpu",
    memory_gb: float | None = None,
    force: bool = False,
    progress: bool = True,
    command: str = "",
) -> Fitted:
    """Trains a scored run's head once more, on all clips, and keeps it below `heads` for `predict`.

    Settings are chosen on inner splits of all clips, as in each fold on its training clips, recordings kept together.
    No clip is left to score the head, so it carries the score of the run whose recipe it is.

    Args:
        run: whose recipe, see `scoring.run_names.find_run`; by default the best of those with this `head`, on this
            `backbone` and `dataset`.
        precision: chooses from which probability on each class is told, so that this share of what is told is right
            (above 0, at most 1). None tells every class.
        passing: the share of the data's own clips that are not to be called none of the classes.
        device, memory_gb: as for `probe`.
        embeddings, heads: the folders of sets and of runs.
        force: fits again what is there; command: kept as what was run; progress: show bars.

    Raises:
        ConfigError: no scored run fits, or its recipe can't be repeated on all clips. StoreError: its embeddings or
            heads are not there or damaged, or the disk is full.
    """
    for option, share in (("--precision", precision), ("--passing", passing)):
        if share is not None and not 0 < share <= 1:
            raise ConfigError(f"{option} {share} is not valid: give a share above 0 and at most 1, such as 0.9.")
    if device not in HEAD_DEVICES:
        raise ConfigError(unknown("device of a head", device, HEAD_DEVICES))
    memory_bytes = allowed_bytes(memory_gb)
    recipe = _recipe(placed(heads), run, head, backbone, dataset)
    plan = replace(_plan(recipe, placed(embeddings)), device=head_device(device))
    asked: dict[str, Any] = {"precision": precision} if precision is not None else {}
    asked |= device_in_key(plan.trained_on)
    key = digest_key({"fit": FIT_VERSION, "recipe": recipe.record.head.key, "passing": passing, **asked})
    folder = recipe.folder.parent / f"{path_name(plan.head)}-fit-{key}"
    if stays_on_disk(plan.features, memory_bytes) and (force or not _is_there(folder)):
        check_out_of_core(plan.features, [plan.head], memory_bytes)
    with locked(folder):
        reused = not force and _is_there(folder)
        if not reused:
            with folder_for(plan.features, memory_bytes) as into:
                _fit(folder, recipe, plan, key, precision, passing, into, progress, command)
    made = next(one for one in named_runs(heads).found if one.folder == folder)
    assert made.fit is not None, "what lies in its folder is a fit"
    return Fitted(made.name, folder, made.fit, reused)


def _recipe(
    heads: Path, run: str | Path | None, head: str | None, backbone: str | None, dataset: str | None
) -> NamedRun:
    """The scored run that is to be fitted."""
    if run is not None:
        if head or backbone:
            raise ConfigError("--run says head and backbone. Leave --head and --backbone out.")
        found = find_run(heads, run, dataset=dataset, kinds=("probe",))
    else:
        if head is not None:
            HEADS[head]
        named = named_runs(heads)
        there = named.of(dataset) if named.found else []
        fitting = [
            one
            for one in there
            if one.kind == "probe"
            and one.contends
            and head in (None, one.record.head.name)
            and backbone in (None, one.record.backbone.name)
            and one.record.backbone.finetuned is None
        ]
        if not fitting:
            options = "".join(f" --{name} {value}" for name, value in (("head", head), ("backbone", backbone)) if value)
            raise ConfigError(
                f"No run in {heads} has scored this recipe on every fold. Score it first: soundprobe probe{options}"
            )
        if len(data := sorted({one.data for one in fitting})) > 1:
            raise ConfigError(f"There are runs on {', '.join(data)}. Say which with --dataset {data[0]}.")
        found = max(fitting, key=lambda one: one.accuracy)
    record = found.record
    if head is None:
        HEADS.of_record(record.head.name, found.folder)
    if record.backbone.finetuned is not None:
        raise ConfigError(
            f"{found.name} has a fine-tuned network for each fold, and none was trained on all clips. "
            "Fit a run on frozen embeddings, or let predict ask all folds."
        )
    if record.head.settings.get("control"):
        raise ConfigError(f"{found.name} is a control, whose labels or folds are not the data's. Name another run.")
    return found


def _again(record: RunRecord) -> str:
    return f" Run again: {record.command}" if record.command else " Probe again."


def _plan(recipe: NamedRun, root: Path) -> Plan:
    """The recipe on the very embeddings that it was scored on.

    Raises:
        StoreError: they are not below `root`. ConfigError: this version would train another head than it did.
    """
    record = recipe.record
    about = record.backbone
    found: list[FeatureSet] = []
    with suppress(SoundprobeError):  # what is missing is named below
        found = find_feature_sets(root, backbone=about.name, dataset=record.dataset.name)
    mine = next((one for one in found if one.key == about.key), None)
    if mine is None:
        made = "; ".join(dict.fromkeys(filter(None, about.commands))) or "soundprobe extract"
        raise StoreError(f"The embeddings of {recipe.name} ({about.key}) are not in {root}. Make them again: {made}")
    told = record.head.settings
    settings = {name: value for name, value in told.items() if name not in NOT_SETTINGS}
    plan = Plan(mine, record.head.name, record.head.seed, settings, bool(told.get("exclude_leaks")))
    there = replace(plan, device=record.device or "cpu")  # which versions before this one had in no key
    if record.head.key not in (there.head_key, plan.head_key):
        raise ConfigError(
            f"{recipe.name} was scored by another version of {plan.head}, or other clips failed then.{_again(record)}"
        )
    if lacking := len(set(mine.folds) - set(record.tested)):
        raise ConfigError(f"{recipe.name} has not tested {lacking} of its {len(mine.folds)} folds.{_again(record)}")
    if gone := [fold for fold in record.tested if not results.fold_path(recipe.folder, fold).exists()]:
        raise StoreError(f"The head of fold {gone[0]} of {recipe.name} is gone.{_again(record)}")
    return plan


def _is_there(folder: Path) -> bool:
    try:
        read_fit(folder)
    except StoreError:
        return False
    return True


def _fit(
    folder: Path,
    recipe: NamedRun,
    plan: Plan,
    key: str,
    precision: float | None,
    passing: float,
    into: Path | None,
    progress: bool,
    command: str,
) -> None:
    from soundprobe.heads.novelty import Novelty, out_of_fold, passed, threshold_for
    from soundprobe.scoring.bootstrap import Predictions, resample

    began = time.perf_counter()
    record = recipe.record
    clips = plan.read(into)[0]
    numbers, matrices = numbers_of(clips.features)
    rows = np.asarray(numbers)
    if matrices:
        pooled: Rows = StoredRows(matrices[0], np.arange(len(clips)))
    else:
        pooled = mean_frames(rows, plan.head_settings.get("frame_columns", 0))
    try:
        folds = results.read_finished_folds(recipe.folder, record.tested)
    except DamagedError as error:
        raise error.by(record.command) from None
    with progress_bar(f"fit {recipe.name}", 2, "steps", shown=progress) as bar:
        head = make_head(plan.head, seed=plan.seed, **plan.on_device, **plan.head_settings)
        fitted = StoredRowsHead(head, matrices) if matrices else head
        joined = with_copies_joined(clips).groups
        fitted.fit(rows, clips.labels, groups=joined if plan.exclude_leaks else clips.groups)
        bar.advance(1)
        tested = np.isin(clips.folds, record.tested)
        distances = out_of_fold(pooled, clips.labels, clips.folds, joined, record.tested)
        novelty = Novelty.of(pooled, clips.labels).at(threshold_for(distances, passing))
        bar.advance(1)
    ids, labels, said, proba = (
        np.concatenate([getattr(one, of) for one in folds]) for of in ("ids", "y_true", "predicted", "proba")
    )
    places = np.searchsorted(clips.ids, ids)  # which are sorted
    parts = _parts(clips.folds, joined, record.tested)
    names = clips.class_names
    scored = Predictions(recipe.name, ids, labels, said, clips.folds[places], joined[places], len(names))
    interval = resample(scored).interval()
    content = {
        "format": FitRecord.FORMAT,
        "kind": "fit",
        "key": key,
        "recipe": {**record.content, "folds": [{**fold, "history": []} for fold in record.content["folds"]]},
        "recipe_name": recipe.name,
        "accuracy": {"low": interval.low, "high": interval.high, "method": interval.method},
        "about": plan.about(clips),
        "params": fitted.state_params(),
        "chosen": dict(fitted.chosen_),
        "train_clips": len(clips),
        **({"recordings": len(np.unique(clips.groups))} if clips.recordings_known else {}),
        **(
            {}
            if precision is None
            else {"thresholds": _thresholds(names, labels, proba, parts[places], joined[places], precision)}
        ),
        "novelty": {
            "threshold": novelty.threshold,
            "passing": passing,
            "passed": passed(distances, parts[tested], joined[tested], passing),
        },
        "device": plan.trained_on,
        **made_by(command),
        "seconds": round(time.perf_counter() - began, 3),
    }
    arrays = {
        **{f"head.{name}": np.ascontiguousarray(array) for name, array in fitted.state_dict().items()},
        **{f"novelty.{name}": array for name, array in novelty.arrays().items()},
        "trained.sha256": leading_digits(clips.columns.get("audio_sha256", ())),
    }
    write_fit(folder, FitRecord.of(content, folder / FitRecord.FILE), arrays)


def _parts(folds: np.ndarray, groups: np.ndarray, tested: list[int]) -> np.ndarray:
    """(N,) which clips are judged together by the others: a fold's, or where only one is tested a share of it."""
    if len(tested) > 1:
        return folds
    own = folds == tested[0]
    parts = np.full(len(folds), -1)
    parts[own] = np.unique(groups[own], return_inverse=True)[1] % PARTS
    return parts


def _thresholds(
    class_names: Sequence[str],
    labels: np.ndarray,
    proba: np.ndarray,
    parts: np.ndarray,
    groups: np.ndarray,
    precision: float,
) -> dict[str, Any]:
    """The content of a `ThresholdsRecord`."""
    chosen = choose_thresholds(labels, proba, precision)
    reached = cross_fitted(labels, proba, parts, groups, precision)
    of_class = zip(class_names, chosen, reached.told, reached.right, reached.clips, strict=True)
    return {
        "precision": precision,
        "reached": reached.precision,
        "recall": reached.recall,
        "classes": {
            name: {
                "threshold": None if threshold == NEVER else float(threshold),
                "told": int(told),
                "right": int(right),
                "clips": int(of),
            }
            for name, threshold, told, right, of in of_class
        },
    }
