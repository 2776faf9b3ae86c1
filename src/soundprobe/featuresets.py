"""What a head is trained on: the embeddings of one backbone, or of several side by side."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe import store
from soundprobe.errors import ConfigError, SoundprobeWarning, StoreError, unknown
from soundprobe.keys import digest_key
from soundprobe.records import Embeddings

WEIGHTS = ("pretrained", "random", "file")


@dataclass(frozen=True)
class FeatureSet:
    """One embedding set, or several of the same clips whose embeddings are concatenated."""

    sets: tuple[store.EmbeddingSet, ...]

    @property
    def name(self) -> str:
        return "+".join(part.backbone for part in self.sets)

    @property
    def key(self) -> str:
        """The set's own key, or a digest of all of them in their order."""
        return self.sets[0].key if len(self.sets) == 1 else digest_key({"sets": [part.key for part in self.sets]})

    @property
    def failed(self) -> list[str]:
        """The ids of the clips that have no embedding in one of the sets, sorted."""
        return sorted({item["clip_id"] for part in self.sets for item in part.meta["failures"]})

    @property
    def folds(self) -> list[int]:
        """The folds of which every set has clips."""
        return sorted(set.intersection(*(set(part.meta["embedded_folds"]) for part in self.sets)))

    @property
    def dataset(self) -> dict[str, Any]:
        return dict(self.sets[0].meta["dataset"])

    def describe(self) -> dict[str, Any]:
        """The `backbone` field of result.json."""
        parts = [part.meta["backbone"] for part in self.sets]
        joined = {
            field: "+".join(str(part[field]) for part in parts)
            for field in ("name", "title", "weights", "weights_label", "weights_sha256")
        }
        summed = {field: sum(int(part[field]) for part in parts) for field in ("embedding_dim", "parameters")}
        settings = parts[0]["settings"] if len(parts) == 1 else {part["name"]: part["settings"] for part in parts}
        seconds = [part.meta["seconds_per_clip"] for part in self.sets]
        return {
            **joined,
            **summed,
            "key": self.key,
            "settings": settings,
            "seconds_per_clip": None if None in seconds else round(sum(seconds), 6),
            "device": "+".join(dict.fromkeys(str(part.meta["device"]) for part in self.sets)),
            "commands": [part.meta["command"] for part in self.sets],
        }


def find_feature_sets(
    root: Path, *, backbone: str | None = None, dataset: str | None = None, weights: str | None = None
) -> list[FeatureSet]:
    """The feature sets below the store's `root` that the names ask for; every set where none is named.

    Args:
        backbone: "mn04", "mn04+ast" (side by side), several joined by commas, or a set's folder name "mn04-<key>".
        dataset: a data set's name; weights: "pretrained", "random" or "file".

    Raises:
        ConfigError: a name fits no set. StoreError: there is no finished set at all.
    """
    if weights is not None and weights not in WEIGHTS:
        raise ConfigError(unknown("kind of weights", weights, WEIGHTS))
    found, unusable = store.find_sets(root)
    if not found:
        why = "".join(f" {reason}" for reason in list(unusable.values())[:1])
        raise StoreError(f"No finished embeddings in {root}.{why} Make some with: soundprobe extract --backbone mn04")
    if dataset is not None:
        names = {part.dataset for part in found}
        if dataset not in names:
            raise ConfigError(unknown("data set among the embeddings", dataset, names))
        found = [part for part in found if part.dataset == dataset]
    if weights is not None:
        found = [part for part in found if part.weights == weights]
        if not found:
            raise StoreError(
                f"No finished embeddings in {root} are of {weights} weights. Extract with --weights {weights}."
            )
    if backbone is None:
        empty = [part for part in found if not part.meta["embedded"]]
        for part in empty if len(empty) < len(found) else []:
            warnings.warn(f"{part.folder} is left out: every clip of it failed.", SoundprobeWarning, stacklevel=2)
        return [FeatureSet((part,)) for part in found if part not in empty or len(empty) == len(found)]
    wanted = [name.strip() for name in backbone.split(",") if name.strip()]
    if not wanted:
        raise ConfigError(f"--backbone {backbone!r} names no backbone. Give one, such as --backbone mn04, or mn04+ast.")
    return [feature_set for name in wanted for feature_set in _side_by_side(found, name)]


def _side_by_side(found: Sequence[store.EmbeddingSet], wanted: str) -> list[FeatureSet]:
    """Every combination of sets of the same clips for "a+b"; of one kind of weights and precision where there are."""
    choices = [_named(found, name.strip()) for name in wanted.split("+")]
    combinations = [
        sets
        for sets in itertools.product(*choices)
        if len({part.meta["dataset"]["fingerprint"] for part in sets}) == 1
        and len({part.key for part in sets}) == len(sets)
    ]
    if not combinations:
        raise StoreError(
            f"{wanted!r}: the embeddings named are not of the same clips, so they can't stand side by side. "
            "Extract them from the same --data."
        )
    alike = [sets for sets in combinations if len({(part.weights, part.precision) for part in sets}) == 1]
    return [FeatureSet(sets) for sets in alike or combinations]


def _named(found: Sequence[store.EmbeddingSet], name: str) -> list[store.EmbeddingSet]:
    named = [part for part in found if name in (part.backbone, part.folder.name)]
    if not named:
        raise ConfigError(unknown("backbone among the embeddings", name, {part.backbone for part in found}))
    return named


def read_features(feature_set: FeatureSet) -> tuple[Embeddings, list[str]]:
    """The feature set's embeddings, (N, sum of D) where several stand side by side, and the ids that are left out.

    Clips are matched by id; one that failed for any of the backbones is left out and named.
    """
    parts = [store.read_embeddings(part) for part in feature_set.sets]
    first = parts[0]
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
    return (
        Embeddings(
            features=np.concatenate([part.features[row] for part, row in zip(parts, rows, strict=True)], axis=1),
            ids=first.ids[base],
            labels=first.labels[base],
            folds=first.folds[base],
            groups=first.groups[base],
            class_names=first.class_names,
            columns={name: column[base] for name, column in first.columns.items()},
            meta=first.meta,
        ),
        np.setdiff1d(every, common).tolist(),
    )
