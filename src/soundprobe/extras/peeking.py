"""What peeking at the test fold would have added: every candidate setting, scored on the test fold. Never used.

The honest run is finished before this begins and is not touched by it. Here each candidate is fitted on a fold's
training rows as a fixed setting, without any selection, and scored on its test rows; the best of them is what somebody
would have reported who chose on the test fold. The gap between the two is the size of that mistake.

Letters: n training rows, C classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from soundprobe.base.errors import ConfigError
from soundprobe.base.records import Embeddings
from soundprobe.heads.catalog import HEADS, make_head
from soundprobe.scoring.folds import outer_splits
from soundprobe.scoring.measured import PeekingRecord
from soundprobe.scoring.results import FoldScoresRecord

Candidate = tuple[dict[str, Any], np.ndarray]
"""A setting, and the class (index) that it predicts for each test row."""


def measure_peeking(
    embeddings: Embeddings,
    head: str,
    *,
    seed: int,
    settings: Mapping[str, Any],
    tested: Sequence[FoldScoresRecord],
    exclude_leaks: bool = False,
    on_fold: Callable[[int], object] = lambda fold: None,
) -> dict[str, Any]:
    """For each tested fold the honest accuracy and that of every candidate.

    Args:
        head: a name of the catalogue; settings: as the run was given them; seed: the run's.
        tested: the run's folds, what each chose, and what each scored.
        exclude_leaks: as in the run.
        on_fold: called with each fold when it is done.

    Returns:
        The content of a `PeekingRecord`: with the means over folds of the honest choice, of the best candidate of each
        fold, and of the one candidate that is best on average.
    """
    if head not in _CANDIDATES:
        raise ConfigError(f"What peeking would add can't be measured for head {head!r}: it has no candidates.")
    told = {entry.fold: entry for entry in tested}
    folds = []
    for fold, train, test in outer_splits(embeddings.folds):
        if fold not in told:
            continue
        if exclude_leaks:
            train = train[~np.isin(embeddings.groups[train], embeddings.groups[test])]
        here = dataclasses.replace(embeddings, features=embeddings.features_of(fold))
        truth = embeddings.labels[test]
        candidates = [
            {"setting": setting, "accuracy": float((predicted == truth).mean())}
            for setting, predicted in _CANDIDATES[head](here, train, test, seed, settings)
        ]
        honest = {"setting": dict(told[fold].chosen), "accuracy": told[fold].accuracy}
        folds.append({"fold": fold, "honest": honest, "candidates": candidates})
        on_fold(fold)
    note = "measured after the run and never used by it"
    return {"format": PeekingRecord.FORMAT, "note": note, "folds": folds, **_summary(folds)}


def _summary(folds: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Means over folds. Somebody who peeks also sees the honest choice, so neither can come out below it."""
    honest = float(np.mean([fold["honest"]["accuracy"] for fold in folds]))
    best = [max([fold["honest"]["accuracy"], *(one["accuracy"] for one in fold["candidates"])]) for fold in folds]
    of_setting: dict[str, list[float]] = {}
    for fold in folds:
        for one in fold["candidates"]:
            of_setting.setdefault(str(sorted(one["setting"].items())), []).append(one["accuracy"])
    overall = [float(np.mean(values)) for values in of_setting.values() if len(values) == len(folds)]
    return {"honest": honest, "peeked_by_fold": float(np.mean(best)), "peeked_overall": max([honest, *overall])}


def _of_linear(
    data: Embeddings, train: np.ndarray, test: np.ndarray, seed: int, settings: Mapping[str, Any]
) -> Iterator[Candidate]:
    for strength in _default("linear", "strengths", settings):
        yield {"strength": strength}, _fixed(data, train, test, "linear", seed, {**settings, "strengths": [strength]})


def _of_knn(
    data: Embeddings, train: np.ndarray, test: np.ndarray, seed: int, settings: Mapping[str, Any]
) -> Iterator[Candidate]:
    for k in _default("knn", "ks", settings):
        yield {"k": k}, _fixed(data, train, test, "knn", seed, {**settings, "ks": [k]})


def _of_mlp(
    data: Embeddings, train: np.ndarray, test: np.ndarray, seed: int, settings: Mapping[str, Any]
) -> Iterator[Candidate]:
    """Every width and rate after every epoch; each pair is trained once, on all training rows."""
    import torch

    from soundprobe.heads.mlp_training import Rows
    from soundprobe.heads.mlp_training import train as train_members
    from soundprobe.heads.scaling import scaler_of, standardised

    head = make_head("mlp", seed=seed, **settings)
    classes, labels = np.unique(data.labels[train], return_inverse=True)
    mean, scale = scaler_of(np.asarray(data.features[train], dtype=np.float32))
    known = standardised(np.asarray(data.features[train], dtype=np.float32), mean, scale)
    asked = torch.from_numpy(standardised(np.asarray(data.features[test], dtype=np.float32), mean, scale))
    rows = Rows.of(known, labels, np.zeros((1, known.shape[1])), np.ones((1, known.shape[1])))
    for width in sorted({int(width) for width in head.widths}):
        for rate in sorted({float(rate) for rate in head.learning_rates}):
            recipe = head._recipe(width, rate, len(train))  # the head's own, so that equal settings give equal networks
            epochs = train_members(rows, [np.arange(len(train))], recipe)
            for epoch, (members, _) in enumerate(islice(epochs, head.max_epochs), 1):
                with torch.no_grad():
                    logits = members.logits(asked[None])[0]
                setting = {"width": width, "learning_rate": rate, "epochs": epoch}
                yield setting, classes[logits.argmax(dim=1).numpy()]


def _fixed(
    data: Embeddings, train: np.ndarray, test: np.ndarray, head: str, seed: int, settings: Mapping[str, Any]
) -> np.ndarray:
    """(n of the test,) the classes that a head with a single setting predicts: with one there is no selection."""
    fitted = make_head(head, seed=seed, **settings)
    fitted.fit(data.features[train], data.labels[train], groups=data.groups[train])
    return np.asarray(fitted.predict(data.features[test]))


def _default(head: str, name: str, settings: Mapping[str, Any]) -> Sequence[Any]:
    """The candidates of a setting: as given, else the head's own."""
    return settings.get(name) or getattr(HEADS[head].load()(), name)


_CANDIDATES: dict[str, Callable[..., Iterator[Candidate]]] = {"linear": _of_linear, "knn": _of_knn, "mlp": _of_mlp}
