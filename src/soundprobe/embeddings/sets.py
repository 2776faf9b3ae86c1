"""What a head is trained on: the embeddings of one backbone, of several side by side, or of a fine-tuning run.

Networks that were fine-tuned in folds have a set each. Those of one run make one feature set, in which every fold is
scored on the set of the network that never saw it.
"""

from __future__ import annotations

import itertools
from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.base.errors import ConfigError, StoreError, note, unknown
from soundprobe.base.files import digest_key
from soundprobe.base.frame_rows import frame_rows
from soundprobe.base.records import Embeddings, FoldFeatures
from soundprobe.base.stored import NetworksRecord, Settings
from soundprobe.embeddings import store

WEIGHTS = ("pretrained", "random", "file", "fine-tuned", "none")
OF_ONE_FOLD = ("fold", "network_sha256")
JOINED_AT_ONCE = 8192
"""Rows."""


@dataclass(frozen=True)
class FeatureSet:
    """One embedding set, or several of the same clips: side by side, or one for each fold of a fine-tuning run."""

    sets: tuple[store.EmbeddingSet, ...]

    @property
    def finetuned(self) -> NetworksRecord | None:
        """What the sets say of the fine-tuning run that they are of; None for any other."""
        return self.sets[0].record.finetuned

    @property
    def by_fold(self) -> dict[int, store.EmbeddingSet]:
        """Of a fine-tuning run: each set by the only fold that may be scored on it. Empty for any other."""
        return {part.fold: part for part in self.sets if part.fold is not None}

    @property
    def lacking(self) -> list[int]:
        """The folds of the fine-tuning run whose sets are not here, so that nothing can be scored on them."""
        return sorted(set(self.finetuned.folds) - set(self.by_fold)) if self.finetuned else []

    @property
    def name(self) -> str:
        return self.sets[0].backbone if self.finetuned else "+".join(part.backbone for part in self.sets)

    @property
    def key(self) -> str:
        """The set's own key, or a digest of all of them in their order; that of the run where they are of one."""
        if self.finetuned and not self.lacking:
            return self.finetuned.key
        return self.sets[0].key if len(self.sets) == 1 else digest_key({"sets": [part.key for part in self.sets]})

    @property
    def failed(self) -> list[str]:
        """The ids of the clips that have no embedding in one of the sets, sorted."""
        return sorted({failure.clip_id for part in self.sets for failure in part.record.failures})

    @property
    def findings(self) -> dict[str, Settings]:
        """Clip id -> what is conspicuous about its sound; see `soundprobe.audio.checks`."""
        return {clip: found for part in self.sets for clip, found in part.record.findings.items()}

    @property
    def folds(self) -> list[int]:
        """The folds of which every set has clips; of a fine-tuning run, those that a set here may be scored on."""
        if self.finetuned:
            return sorted(fold for fold, part in self.by_fold.items() if fold in part.record.embedded_folds)
        tested = set(self.sets[0].record.dataset.folds)
        return sorted(tested.intersection(*(part.record.embedded_folds for part in self.sets)))

    @property
    def layers(self) -> dict[str, int]:
        """The columns of each layer of one backbone that was extracted with several; empty for others.

        Also for several sets, side by side or of a fine-tuning run: heads take all of their columns.
        """
        layers = self.sets[0].record.backbone.layers if len(self.sets) == 1 else None
        return dict(layers) if layers and len(layers) > 1 else {}

    @property
    def feature_bytes(self) -> int:
        """Of all embeddings in float32."""
        return sum(4 * part.record.embedded * part.record.backbone.embedding_dim for part in self.sets)

    @property
    def frame_columns(self) -> int:
        """How many numbers a frame has, of one set that keeps frames; 0 of any other."""
        frames = self.sets[0].record.backbone.frames if len(self.sets) == 1 else None
        return frames.columns if frames else 0

    @property
    def dataset(self) -> dict[str, Any]:
        return dict(self.sets[0].meta["dataset"])

    def describe(self) -> dict[str, Any]:
        """The `backbone` field of result.json."""
        if self.finetuned:
            return self._describe_finetuned(self.finetuned)
        parts = [part.record.backbone for part in self.sets]
        fields = ("name", "title", "weights", "weights_label", "weights_sha256")
        texts = {field: [getattr(part, field) for part in parts] for field in fields}
        joined = {  # where a weights file's name has a '+' itself, it joins nothing
            field: own[0] if len(own) == 1 else "+".join(text.replace("+", "_") for text in own)
            for field, own in texts.items()
        }
        summed = {field: sum(getattr(part, field) for part in parts) for field in ("embedding_dim", "parameters")}
        settings = parts[0].settings if len(parts) == 1 else {part.name: part.settings for part in parts}
        return {
            **joined,
            **summed,
            **({"layers": parts[0].layers} if len(parts) == 1 and parts[0].layers else {}),
            **({"folders": folders} if (folders := dict(ChainMap(*(part.folders for part in parts)))) else {}),
            "key": self.key,
            "settings": settings,
            "seconds_per_clip": self._seconds_per_clip(),
            "device": "+".join(dict.fromkeys(part.record.device for part in self.sets)),
            "commands": [part.record.command for part in self.sets],
        }

    def _describe_finetuned(self, run: NetworksRecord) -> dict[str, Any]:
        """One backbone: of each fold its own network, all of one shape."""
        fields = ("name", "title", "weights", "weights_label", "embedding_dim", "parameters", "settings")
        return {
            **{field: self.sets[0].meta["backbone"][field] for field in fields},
            "weights_sha256": run.networks_sha256,
            "key": self.key,
            "seconds_per_clip": self._seconds_per_clip(),
            "device": "+".join(dict.fromkeys(part.record.device for part in self.sets)),
            "commands": list(dict.fromkeys(part.record.command for part in self.sets)),
            "finetuned": {
                name: value for name, value in self.sets[0].meta["finetuned"].items() if name not in OF_ONE_FOLD
            },
        }

    def _seconds_per_clip(self) -> float | None:
        """Of every backbone side by side; of fine-tuned networks the mean, as a clip needs only one of them."""
        seconds = [part.record.seconds_per_clip for part in self.sets]
        known = [one for one in seconds if one is not None]
        if len(known) < len(seconds):
            return None
        return round(sum(known) / (len(known) if self.finetuned else 1), 6)


def find_feature_sets(
    root: Path, *, backbone: str | None = None, dataset: str | None = None, weights: str | None = None
) -> list[FeatureSet]:
    """The feature sets below the store's `root` that the names ask for; every set where none is named.

    Args:
        backbone: "mn04", "mn04+ast" (side by side), several joined by commas, or a set's folder name "mn04-<key>";
            "mn04-finetuned" for the networks of its fine-tuning runs, "mn04-finetuned-<key>" for those of one.
        dataset: a data set's name; weights: one of `WEIGHTS`.

    Raises:
        ConfigError: a name fits no set. StoreError: there is no finished set at all.
    """
    if weights is not None and weights not in WEIGHTS:
        raise ConfigError(unknown("kind of weights", weights, WEIGHTS))
    found: Sequence[store.EmbeddingSet]
    found, unusable = store.find_sets(root)
    if not found:
        why = "".join(f" {reason}" for reason in list(unusable.values())[:1])
        raise StoreError(
            f"No finished embeddings in {root}.{why} Make some with: soundprobe extract --backbone mn04 --data FOLDER"
        )
    for reason in unusable.values():
        if store.NOT_COMPLETE not in reason:
            note(f"Left out: {reason}")
    if dataset is not None:
        names = {part.dataset for part in found}
        if dataset not in names:
            raise ConfigError(unknown("data set among the embeddings", dataset, names))
        found = [part for part in found if part.dataset == dataset]
    if weights is not None:
        found = [part for part in found if part.weights == weights]
        if not found:
            how = {"file": "--weights FILE", "fine-tuned": "--finetuned RUN", "none": "--backbone logmel-stats"}.get(
                weights, f"--weights {weights}"
            )
            raise StoreError(f"No finished embeddings in {root} are of {weights} weights. Extract with {how}.")
    if backbone is None:
        empty = [part for part in found if not part.record.embedded]
        for part in empty if len(empty) < len(found) else []:
            note(f"{part.folder} is left out: every clip of it failed.")
        kept = [part for part in found if part not in empty or len(empty) == len(found)]
        runs = _runs(kept)
        for run in runs:
            if run.lacking:
                note(f"Left out: {_lacks(run)}")
        return [*(FeatureSet((part,)) for part in kept if part.fold is None), *[run for run in runs if not run.lacking]]
    wanted = [name.strip() for name in backbone.split(",") if name.strip()]
    if not wanted:
        raise ConfigError(f"--backbone {backbone!r} names no backbone. Give one, such as --backbone mn04, or mn04+ast.")
    return [feature_set for name in wanted for feature_set in _side_by_side(found, name)]


def _side_by_side(found: Sequence[store.EmbeddingSet], wanted: str) -> list[FeatureSet]:
    """Every combination of sets of the same clips for "a+b"; of one kind of weights and precision where there are, and
    of those by one device.
    """
    # Of fine-tuned networks: whole runs by their backbone or key, or the set of a single fold.
    names = {name.strip() for name in wanted.split("+")}
    runs = [run for run in _runs(found) if {run.name, _run_name(run)} & names]
    single = [FeatureSet((part,)) for part in found if part.fold is not None and part.folder.name in names]
    if (runs or single) and "+" in wanted:
        raise ConfigError(
            f"{wanted!r}: networks that were fine-tuned in folds have other embeddings in each fold, so they can't "
            "stand side by side with others. Probe them by themselves."
        )
    for run in runs:
        if run.lacking:
            raise StoreError(_lacks(run))
    if tuned := [*runs, *single]:
        return tuned
    choices = [_named(found, name.strip()) for name in wanted.split("+")]
    combinations = [
        sets
        for sets in itertools.product(*choices)
        if len({part.record.dataset.fingerprint for part in sets}) == 1
        and len({part.key for part in sets}) == len(sets)
    ]
    if not combinations:
        raise StoreError(
            f"{wanted!r}: the embeddings named are not of the same clips, so they can't stand side by side. "
            "Extract them from the same --data."
        )
    for of in (attrgetter("weights", "precision"), attrgetter("record.device")):
        combinations = [sets for sets in combinations if len(set(map(of, sets))) == 1] or combinations
    return [FeatureSet(sets) for sets in combinations]


def _named(found: Sequence[store.EmbeddingSet], name: str) -> list[store.EmbeddingSet]:
    named = [part for part in found if part.fold is None and name in (part.backbone, part.folder.name)]
    if not named:
        raise ConfigError(unknown("backbone among the embeddings", name, {part.backbone for part in found}))
    return named


def _runs(found: Sequence[store.EmbeddingSet]) -> list[FeatureSet]:
    """The sets of fine-tuned networks among `found`, those of one run together, in the order of their folds."""
    runs: dict[tuple[str, str, str], list[store.EmbeddingSet]] = {}
    for part in found:
        if part.record.finetuned is None:
            continue
        run = runs.setdefault((part.dataset, part.backbone, part.record.finetuned.key), [])
        if twin := next((other for other in run if other.fold == part.fold), None):
            raise StoreError(f"{twin.folder} and {part.folder} are the same set. Delete one of them.")
        run.append(part)
    return [FeatureSet(tuple(sorted(parts, key=lambda part: part.fold or 0))) for parts in runs.values()]


def _lacks(run: FeatureSet) -> str:
    assert run.finetuned is not None, "only a fine-tuning run has a set for each fold"
    command = run.sets[0].record.command or f"soundprobe extract --finetuned {run.finetuned.path}"
    folds = ", ".join(map(str, run.lacking))
    return f"{_run_name(run)} has no finished embeddings for fold {folds}. Go on with: {command}"


def _run_name(run: FeatureSet) -> str:
    return f"{run.name}-{run.finetuned.key if run.finetuned else ''}"


def read_features(
    feature_set: FeatureSet, as_rows: bool = False, *, into: Path | None = None
) -> tuple[Embeddings, list[str]]:
    """The feature set's embeddings, (N, sum of D) where several stand side by side, and the ids that are left out.

    Clips are matched by id; one that failed for any of the backbones is left out and named. Of a fine-tuning run each
    fold has (N, D) features of its own.

    Args:
        as_rows: of one set of frames, for heads that pool them: features are (N, 1 + M * D), see `base.frame_rows`.
        into: a folder to map the features in, instead of holding them.
    """
    parts = [store.read_embeddings(part, into) for part in feature_set.sets]
    first = parts[0]
    if as_rows:
        of_clip = {clip.clip_id: clip.frames for clip in store.read_frames(feature_set.sets[0].folder)}
        return replace(first, features=frame_rows([of_clip[clip] for clip in first.ids.tolist()])), []
    if len(parts) == 1:
        return first, []
    common = first.ids
    for part in parts[1:]:
        common = np.intersect1d(common, part.ids)
    every = np.unique(np.concatenate([part.ids for part in parts]))
    if len(common) == 0:
        raise StoreError(f"{feature_set.name}: the sets have no clip in common. See the failures in their meta.json.")
    rows = [np.searchsorted(part.ids, common) for part in parts]  # ids are sorted in every set
    base = rows[0]
    features: np.ndarray | FoldFeatures
    if feature_set.finetuned:
        each = zip(feature_set.by_fold, parts, rows, strict=True)
        features = FoldFeatures({fold: _joined([(part.features_of(fold), row)], into) for fold, part, row in each})
    else:
        features = _joined([(np.asarray(part.features), row) for part, row in zip(parts, rows, strict=True)], into)
    return (
        Embeddings(
            features=features,
            ids=first.ids[base],
            labels=first.labels[base],
            folds=first.folds[base],
            groups=first.groups[base],
            class_names=first.class_names,
            columns={name: column[base] for name, column in first.columns.items()},
            meta=first.meta,
            paths=None if first.paths is None else [first.paths[row] for row in base],
        ),
        np.setdiff1d(every, common).tolist(),
    )


def _joined(features: Sequence[tuple[np.ndarray, np.ndarray]], into: Path | None) -> np.ndarray:
    """(n, sum of D) float32: of each features (N, D) its rows (n,), side by side."""
    shape = len(features[0][1]), sum(columns.shape[1] for columns, _ in features)
    found: np.ndarray
    if into is None:
        found = np.empty(shape, dtype=np.float32)
    else:
        path = into / f"joined-{len(list(into.iterdir()))}.npy"
        found = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    stop = 0
    for columns, rows in features:
        start, stop = stop, stop + columns.shape[1]
        for at in range(0, len(rows), JOINED_AT_ONCE):
            found[at : at + JOINED_AT_ONCE, start:stop] = columns[rows[at : at + JOINED_AT_ONCE]]
    return found
