"""Embeddings -> heads, in cross-validation: each fold's head is chosen and trained without its test fold.

Never imports a backbone: what it needs is in the store.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.audio.checks import notes
from soundprobe.base.config import folds_in, names_in
from soundprobe.base.display import ShownList
from soundprobe.base.errors import ConfigError, StoreError, note, unknown
from soundprobe.base.files import path_name, remove_file
from soundprobe.base.locks import locked
from soundprobe.base.machine import HEAD_DEVICES, head_device, made_by
from soundprobe.base.parallel import check_engine, jobs_for, one_cluster, run_tasks
from soundprobe.base.progress import progress_bar
from soundprobe.base.records import Embeddings, FoldResult, RunResult
from soundprobe.base.remote import placed
from soundprobe.embeddings.head_plan import Plan, with_copies_joined
from soundprobe.embeddings.out_of_core import allowed_bytes, check_out_of_core, folder_for, stays_on_disk
from soundprobe.embeddings.sets import FeatureSet, find_feature_sets, read_features
from soundprobe.heads.catalog import HEADS, HeadSpec, make_head
from soundprobe.heads.stored_rows import numbers_of, stored_rows_head
from soundprobe.heads.threads import OnOneThread, one_thread
from soundprobe.scoring import results
from soundprobe.scoring.folds import FoldTask, LabelledRows, cross_validate
from soundprobe.scoring.protocol_controls import (
    RESHUFFLED_FOLDS,
    SHUFFLED_LABELS,
    check_control,
    reshuffle_folds,
    settings_of,
    shuffle_labels,
)
from soundprobe.scoring.results import FinishedRun


def probe(
    *,
    head: str | Sequence[str] | None = None,
    backbone: str | None = None,
    dataset: str | None = None,
    weights: str | None = None,
    seeds: Sequence[int] = (0,),
    settings: Mapping[str, Any] | None = None,
    only_folds: Sequence[int] | None = None,
    exclude_leaks: bool = False,
    control: str | None = None,
    learning_curve: bool = False,
    shots: Sequence[int] = (),
    measure_peeking: bool = False,
    embeddings: str | Path = "embeddings",
    heads: str | Path = "heads",
    device: str = "cpu",
    jobs: int | None = None,
    engine: str = "processes",
    address: str | None = None,
    memory_gb: float | None = None,
    force: bool = False,
    progress: bool = True,
    command: str = "",
    on_probe: Callable[[FinishedRun], None] | None = None,
) -> ShownList[FinishedRun]:
    """Trains heads on stored embeddings, fold by fold, and keeps heads, predictions and scores below `heads`.

    Settings are chosen inside the training folds of each fold; its test fold is predicted once. What is finished is
    not done again (unless `force`), fold by fold.

    Args:
        head: "linear" (the default), "mlp", "knn", several, or several joined by commas. On shuffled labels the default
            is "knn", and heads that remember little by choice are given settings with which they remember much.
        backbone, dataset, weights: which embeddings, see `find_feature_sets`; every set found by default.
        seeds: each gives a run of its own; settings: of the head, such as {"strengths": [0.1, 1.0]}.
        only_folds: test just these folds now.
        exclude_leaks: leave training clips out whose recording, or one with a copy of its clips, is also tested.
        control: "shuffled-labels" trains and tests on labels that were shuffled by recording, "reshuffled-folds" on
            folds that were drawn clip by clip: runs of their own, marked as controls. See `scoring.protocol_controls`.
        learning_curve: after each run also train on growing shares of the recordings, see `extras.learning_curve`.
        shots: after each run also train on so many clips a class, such as (1, 2, 4, 8, 16).
        measure_peeking: after each run also score every setting on the test folds, for show, see `extras.peeking`.
        device: "cpu", "cuda" or "auto"; kNN, learning curves and peeking know the CPU only.
        jobs, engine, address: how many folds at once, and where; see `base.parallel.run_tasks`. By default a fold a
            core, in processes where the set is large enough to repay them, else on threads; on a GPU one after the
            other, and so small sets by a head whose spec doesn't say `on_threads`.
        memory_gb: what features and their copies may take in memory; half of what is free by default. Of larger sets
            the linear head reads its rows from a temporary file (in `TMPDIR`) again and again, with the same result to
            the bit; others are refused.
        command: kept in `result.json` as what was run; progress: show bars.
        on_probe: called with each probe as soon as it is done.

    Raises:
        SoundprobeError: no such embeddings, an unknown head or setting, a second writer, a full disk.
    """
    if head is None:
        head = "knn" if control == SHUFFLED_LABELS else "linear"
    names = names_in(head, "head", "linear,mlp,knn")
    if "seed" in (settings or {}):
        raise ConfigError("seed is not a setting of a head here: give --seed, once or several times.")
    if "device" in (settings or {}):
        raise ConfigError("device is not a setting of a head here: give --device.")
    for name in names:
        HEADS[name]
    check_control(control)
    if strange := [number for number in shots if not 1 <= number < 2**63]:
        raise ConfigError(f"--shots {strange[0]} is not valid: give numbers of clips from 1, such as 1,2,4,8,16.")
    if control and (learning_curve or shots or measure_peeking):
        raise ConfigError(f"--control {control} has no learning curve and nothing to peek for. Leave those out.")
    if control == RESHUFFLED_FOLDS and exclude_leaks:
        raise ConfigError(
            f"--control {control} puts recordings on both sides and --exclude-leaks takes them out again. Give one."
        )
    if device not in HEAD_DEVICES:
        raise ConfigError(unknown("device of a head", device, HEAD_DEVICES))
    check_engine(engine, address)
    memory_bytes = allowed_bytes(memory_gb)
    if not seeds:
        raise ConfigError("No seed given. Name one or several, such as --seed 0 --seed 1.")
    found = find_feature_sets(placed(embeddings), backbone=backbone, dataset=dataset, weights=weights)
    device = head_device(device)
    wanted = _extras(learning_curve, sorted(set(shots)), measure_peeking)
    probes: ShownList[FinishedRun] = ShownList()
    asked = {
        "--exclude-leaks": exclude_leaks,
        f"--control {control}": bool(control),
        "--learning-curve": learning_curve,
        "--shots": bool(shots),
        "--measure-peeking": measure_peeking,
    }
    says_less = [option for option in NOT_OF_FINETUNED if asked.get(option)]
    allowed = _allowed(found, says_less, bool(backbone or weights))
    large = [feature_set for feature_set in allowed if stays_on_disk(feature_set, memory_bytes)]
    plans = [
        Plan(
            feature_set,
            name,
            seed,
            {**(_remembering(name, feature_set) if control == SHUFFLED_LABELS else {}), **(settings or {})},
            exclude_leaks,
            control,
            device,
        )
        for feature_set in allowed
        for name in names
        if feature_set in _for_head(name, found)
        for seed in dict.fromkeys(seeds)
    ]
    missing = [plan for plan in plans if _key_of_equal(plan, placed(heads)) is None]
    for plan in missing:
        plan.check()
    for feature_set in large:
        taken = [plan.head for plan in missing if plan.features == feature_set]
        check_out_of_core(feature_set, taken, memory_bytes, [option for option in CURVES if asked[option]])
    with one_cluster(engine, address, jobs, shown=progress), ExitStack() as until_done:
        if jobs is None and (engine != "processes" or device != "cpu"):
            jobs = 1  # threads would share PyTorch's, a cluster has its own number, and folds share a GPU
        run_folds = functools.partial(_run_folds, engine=engine, address=address)
        for feature_set, of_set in itertools.groupby(plans, key=lambda plan: plan.features):
            into = until_done.enter_context(folder_for(feature_set, memory_bytes))
            read = functools.cache(functools.partial(read_features, feature_set, into=into))
            for plan in of_set:
                own = functools.partial(read, HEADS[plan.head].takes_frames)
                jobs_of = functools.partial(_jobs, jobs, feature_set, HEADS[plan.head], memory_bytes, into is not None)
                with one_thread():
                    done = _run(plan, own, placed(heads), only_folds, run_folds, jobs_of, force, progress, command)
                    for extra in wanted:
                        again = not done.reused
                        extra.measure_after(done.folder, done.record, own, plan, progress=progress, again=again)
                probes.append(done)
                if on_probe:
                    on_probe(done)
    return probes


def _jobs(
    asked: int | None, feature_set: FeatureSet, head: HeadSpec, memory_bytes: float, on_disk: bool, tasks: int
) -> tuple[int, bool]:
    """How many of so many folds to train at once, and whether on threads of this process."""
    size = feature_set.feature_bytes
    repaid = size >= head.repaying_bytes
    if asked is not None or not (repaid or head.on_threads):
        return 1 if asked is None else asked, False
    clips = max(part.record.embedded for part in feature_set.sets)
    task_bytes = ROW_BYTES * clips if on_disk else COPIES * size + 1
    return jobs_for(tasks, task_bytes=task_bytes, memory_bytes=memory_bytes), not repaid


def _run_folds(
    function: Callable[[FoldTask], Any],
    tasks: Sequence[tuple[FoldTask]],
    *,
    jobs: int,
    engine: str,
    address: str | None,
    paths: Sequence[str] = (),
) -> Iterator[Any]:
    """`run_tasks` of folds, whose rows are sent to a worker once."""
    of_rows, rows = functools.partial(_run_fold, OnOneThread(function)), tasks[0][0].rows
    without: Any = None
    alone = [(replace(task, rows=without),) for (task,) in tasks]
    return run_tasks(of_rows, alone, jobs=jobs, engine=engine, address=address, shared=[rows], paths=paths)


def _run_fold(function: Callable[[FoldTask], Any], rows: LabelledRows, task: FoldTask) -> Any:
    return function(replace(task, rows=rows))


def _run(
    plan: Plan,
    read: Callable[[], tuple[Embeddings, list[str]]],
    root: Path,
    only_folds: Sequence[int] | None,
    run_folds: Callable[..., Any],
    jobs_of: Callable[[int], tuple[int, bool]],
    force: bool,
    progress: bool,
    command: str,
) -> FinishedRun:
    features, key = plan.features, _key_of_equal(plan, root) or plan.head_key
    folder = _folder_of(plan, root, key)
    wanted = folds_in(only_folds, features.folds)
    with locked(folder):
        if force:
            results.forget_result(folder)
            for fold in wanted:
                remove_file(results.fold_path(folder, fold))
        done = results.usable_folds(folder, features.folds)
        missing = [fold for fold in wanted if fold not in done]
        if not missing and results.is_current(folder, done):
            return FinishedRun(folder, results.read_result(folder), reused=True)
        began = time.perf_counter()
        embeddings, left_out = read()
        about = plan.about(embeddings)
        title = f"{features.name} / {plan.head}"
        with progress_bar(f"probe {title}", len(missing), "folds", shown=progress) as bar:
            labels, folds = embeddings.labels, embeddings.folds
            if plan.control == SHUFFLED_LABELS:
                labels = shuffle_labels(labels, folds, with_copies_joined(embeddings).groups, plan.seed)
            elif plan.control == RESHUFFLED_FOLDS:
                folds = reshuffle_folds(embeddings.ids, folds, plan.seed)

            digests = embeddings.columns.get("audio_sha256", np.full(len(embeddings), ""))

            def keep(result: FoldResult, head: Any) -> None:
                own = digests[np.isin(embeddings.ids, result.ids)]
                results.write_fold(folder, result, head.state_dict(), head.state_params(), about, own)
                bar.advance(1)

            if missing:
                make: Callable[[], Any] = functools.partial(
                    make_head, plan.head, seed=plan.seed, **plan.on_device, **plan.head_settings
                )
                rows, matrices = numbers_of(embeddings.features)
                jobs, on_threads = jobs_of(len(missing))
                if on_threads:
                    run_folds = functools.partial(run_folds, engine="threads")
                cross_validate(
                    functools.partial(stored_rows_head, make, matrices) if matrices else make,
                    rows,
                    labels,
                    folds,
                    (with_copies_joined(embeddings) if plan.exclude_leaks else embeddings).groups,
                    embeddings.ids,
                    len(embeddings.class_names),
                    only_folds=missing,
                    exclude_shared_recordings=plan.exclude_leaks,
                    on_fold=keep,
                    jobs=jobs,
                    run=functools.partial(run_folds, paths=[matrix.path for matrix in matrices]),
                )
        finished = results.read_finished_folds(folder, {*done, *missing})
        info = _info(plan, key, left_out, plan.trained_on, command, time.perf_counter() - began)
        results.write_result(folder, RunResult(finished, embeddings.class_names, info), embeddings)
        return FinishedRun(folder, results.read_result(folder), reused=False)


def _folder_of(plan: Plan, root: Path, key: str) -> Path:
    features = plan.features
    of_set = root / path_name(features.dataset["name"]) / f"{path_name(features.name)}-{features.key}"
    return of_set / f"{path_name(plan.head)}-{key}"


def _key_of_equal(plan: Plan, root: Path) -> str | None:
    """The key of a run below `root` that was asked for as `plan` is, so that nothing is imported to find it again."""
    pattern = _folder_of(plan, root, "*")
    for folder in pattern.parent.glob(pattern.name):
        try:
            head = results.read_result(folder).head
        except StoreError:  # it is made again, or of another version
            continue
        if plan.asked is not None and head.asked == plan.asked:
            return head.key
    return None


COPIES = 8
"""How often a fold's training holds features of up to 1 GB, which are packed for quicker products, twice."""
ROW_BYTES = 500
"""What it takes of a clip whose features stay on disk: numbers, labels, recordings, weights, inner splits."""
CURVES = ("--learning-curve", "--shots", "--measure-peeking")
REMEMBERING: Mapping[str, Mapping[str, Any]] = {"knn": {"ks": [1]}, "linear": {"strengths": [10.0]}}
"""Settings with which heads remember what they were trained on. Chosen on labels that mean nothing, as by `fit`, they
would be those that remember least, and a leak would hardly show."""


def _remembering(head: str, features: FeatureSet) -> dict[str, Any]:
    """`REMEMBERING`, and all layers side by side where there are several: which to take can't be judged either."""
    return {**REMEMBERING.get(head, {}), **({"layers": "all"} if features.layers else {})}


def _for_head(name: str, found: Sequence[FeatureSet]) -> Sequence[FeatureSet]:
    """Those of `found` that the head can take: of one that pools frames the sets that keep some, where any does."""
    framed = [feature_set for feature_set in found if feature_set.frame_columns]
    return framed if framed and HEADS[name].takes_frames else found


NOT_OF_FINETUNED = {
    "--exclude-leaks": "the networks were trained on the leaking clips, whatever the head is trained on",
    f"--control {SHUFFLED_LABELS}": "the networks learnt from true labels, so chance would clear the head alone",
    f"--control {RESHUFFLED_FOLDS}": "the networks were trained on all other folds, so they know clips of any new one",
    "--learning-curve": "the networks were trained on all recordings, however few the head gets",
    "--shots": "the networks were trained on all clips, however few the head gets",
}
"""What says nothing about embeddings of fine-tuned networks, and why."""


def _allowed(found: Sequence[FeatureSet], asked: Sequence[str], named: bool) -> list[FeatureSet]:
    """Those of `found` that the options `asked` say something about.

    Raises:
        ConfigError: one that they say nothing about was named by the user, or there is no other.
    """
    tuned = [feature_set for feature_set in found if feature_set.finetuned] if asked else []
    for feature_set in tuned:
        why = f"{asked[0]} says nothing about {feature_set.name}: {NOT_OF_FINETUNED[asked[0]]}."
        if named or len(tuned) == len(found):
            raise ConfigError(f"{why} Leave the option out, or probe frozen embeddings.")
        note(f"{why} It is left out.")
    return [feature_set for feature_set in found if feature_set not in tuned]


def _extras(learning_curve: bool, shots: Sequence[int], measure_peeking: bool) -> list[Any]:
    """What is to be measured after each run."""
    if not learning_curve and not shots and not measure_peeking:
        return []
    from soundprobe.extras import measure

    by_shares = [measure.learning_curve()] if learning_curve else []
    by_shots = [measure.shots_curve(shots)] if shots else []
    return [*by_shares, *by_shots, *([measure.PEEKING] if measure_peeking else [])]


def _info(plan: Plan, key: str, left_out: Sequence[str], device: str, command: str, seconds: float) -> dict[str, Any]:
    spec = HEADS[plan.head]
    dataset = plan.features.dataset
    failed = plan.features.failed
    return {
        "kind": "probe",
        "dataset": {
            **dataset,
            "failed": len(failed),
            "left_out": sorted({*failed, *left_out}),
            **({"sound_notes": said} if (said := notes(plan.features.findings)) else {}),
        },
        "backbone": plan.features.describe(),
        "head": {
            "name": spec.name,
            "title": spec.title,
            "settings": {
                **plan.settings,
                **({"exclude_leaks": True} if plan.exclude_leaks else {}),
                **settings_of(plan.control),
            },
            "seed": plan.seed,
            "key": key,
            "asked": plan.asked,
        },
        "device": device,
        **made_by(command),
        "seconds": round(seconds, 3),
    }
