"""Real result folders for the report's tests: predictions drawn at a stated accuracy, and the result.json they give.

The figures in result.json are computed here with numpy alone, so that they check the report's own.

Letters: n clips of one fold, C classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

URBAN_CLASSES = (
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
)
# Classes that are taken for each other more than for others, as engines and drills are.
NEIGHBOUR = {0: 5, 5: 0, 4: 7, 7: 4, 2: 9, 9: 2}
TITLES = {
    "mn04": ("EfficientAT mn04", 993_485, 384),
    "panns": ("PANNs CNN14", 80_753_615, 2048),
    "ast": ("Audio Spectrogram Transformer", 86_189_568, 768),
    "simplecnn": ("SimpleCNN", 1_400_970, 128),
}
HEADS = {"linear": "logistic regression", "mlp": "multilayer perceptron", "knn": "k nearest neighbours"}
CLIP_COLUMNS = ("clip.salience", "clip.duration_s", "clip.audio_sha256")
CHOICES = {"linear": {"strength": (0.01, 0.1)}, "mlp": {"width": (256, 512), "epochs": (20, 40)}, "knn": {"k": (5, 10)}}


@dataclass(frozen=True)
class Data:
    """A data set: how many clips each fold holds, and its classes."""

    name: str
    fold_clips: Mapping[int, int]
    class_names: Sequence[str] = URBAN_CLASSES
    failed: int = 0
    fingerprint: str = "5f0c2a9be1d34c77"


OFFICIAL = (873, 888, 925, 990, 936, 823, 838, 806, 816, 837)
URBAN = Data("urbansound8k", dict(enumerate(OFFICIAL, start=1)))
SAMPLE = Data("urbansound8k", {1: 100, 2: 100, 3: 97, 10: 100}, fingerprint="77aa")
ESC10 = Data(
    "esc10",
    dict.fromkeys(range(1, 6), 80),
    ("dog", "rain", "sea_waves", "crying_baby", "clock_tick", "sneezing", "helicopter", "chainsaw", "rooster", "fire"),
    fingerprint="e5c10",
)


def write_run(
    heads: Path,
    data: Data = URBAN,
    backbone: str = "mn04",
    head: str = "linear",
    accuracy: float = 0.8,
    *,
    weights: str = "pretrained",
    seed: int = 0,
    key: str = "",
    kind: str = "probe",
    folds: Sequence[int] | None = None,
    backbone_settings: Mapping[str, Any] | None = None,
    head_settings: Mapping[str, Any] | None = None,
    command: str = "",
    recordings: bool = True,
    history: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Writes one run whose accuracy is about `accuracy`, a little other in each fold, and returns its folder."""
    tested = list(data.fold_clips if folds is None else folds)
    rng = np.random.default_rng([seed, int(1000 * accuracy), *map(ord, backbone + head + weights)])
    parts = [_predict(data, fold, accuracy, rng) for fold in tested]
    backbone_key = key or f"{backbone}{weights}".encode().hex()[:12]
    head_key = f"{head}{seed}".encode().hex()[-12:].rjust(12, "0")
    folder = heads / data.name / f"{backbone}-{backbone_key}" / f"{head}-{head_key}"
    folder.mkdir(parents=True)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    write_predictions(folder, *columns, further=further_columns(data, tested) if recordings else None)
    names = backbone.split("+")
    info = {
        "format": 1,
        "kind": kind,
        "dataset": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "clips": sum(data.fold_clips.values()),
            "failed": data.failed,
            "class_names": list(data.class_names),
            "folds": list(data.fold_clips),
        },
        "backbone": {
            "name": backbone,
            "title": " + ".join(TITLES.get(name, (name, 0, 0))[0] for name in names),
            "weights": weights,
            "weights_label": {"pretrained": "AudioSet", "random": "random weights, seed 0"}.get(weights, weights),
            "weights_sha256": "" if weights == "random" else "899a8c62" * 8,
            "embedding_dim": sum(TITLES.get(name, ("", 0, 64))[2] for name in names),
            "parameters": sum(TITLES.get(name, ("", 1000, 0))[1] for name in names),
            "key": backbone_key,
            "settings": dict(backbone_settings or {"clip_seconds": None}),
        },
        "head": {
            "name": head,
            "title": HEADS.get(head, head),
            "settings": dict(head_settings or {}),
            "seed": seed,
            "key": head_key,
        },
        **scores(data, tested, parts, head, history),
        "complete": set(tested) == set(data.fold_clips),
        "command": command or f"soundprobe probe --backbone {backbone} --head {head} --seed {seed}",
        "versions": {"soundprobe": "0.1.0", "torch": "2.11.0", "python": "3.11.9"},
        "created": "2026-03-04T05:06:07+00:00",
        "seconds": 1.5 * len(tested),
    }
    write_result(folder, info)
    return folder


def write_result(folder: Path, info: Mapping[str, Any]) -> None:
    (folder / "result.json").write_text(json.dumps(info), encoding="utf-8")


def write_predictions(
    folder: Path,
    ids: np.ndarray,
    fold: np.ndarray,
    label: np.ndarray,
    predicted: np.ndarray,
    proba: np.ndarray,
    further: Mapping[str, Sequence[Any]] | None = None,
) -> None:
    table = {
        "clip_id": pa.array(ids.tolist(), pa.string()),
        "fold": pa.array(fold),
        "label": pa.array(label),
        "predicted": pa.array(predicted),
        "proba": pa.array(list(proba.astype(np.float32)), pa.list_(pa.float32())),
        **{name: pa.array(list(values)) for name, values in (further or {}).items()},
    }
    pq.write_table(pa.table(table), folder / "predictions.parquet")


def scores(
    data: Data,
    folds: Sequence[int],
    parts: Sequence[tuple[np.ndarray, ...]],
    head: str,
    history: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """`folds` and `summary` of result.json, by hand."""
    entries = []
    for number, (fold, (_, _, label, predicted, _)) in enumerate(zip(folds, parts, strict=True)):
        entries.append(
            {
                "fold": fold,
                "train_clips": sum(data.fold_clips.values()) - len(label),
                "test_clips": len(label),
                "accuracy": float(np.mean(label == predicted)),
                "macro_f1": macro_f1_by_hand(label, predicted),
                "chosen": {name: values[number % 3 == 0] for name, values in CHOICES.get(head, {}).items()},
                "history": list(history),
                "seconds": 1.5,
            }
        )
    summary = {}
    for name in ("accuracy", "macro_f1"):
        values = [entry[name] for entry in entries]
        sample = float(np.std(values, ddof=1)) if len(values) > 1 else None
        summary[name] = {
            "mean": float(np.mean(values)),
            "std_population": float(np.std(values)),
            "std_sample": sample,
        }
    return {"folds": entries, "summary": summary}


def macro_f1_by_hand(label: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 of the classes that occur, each from its precision and recall."""
    found = []
    for c in np.union1d(label, predicted):
        hits = np.sum((label == c) & (predicted == c))
        if hits == 0:
            found.append(0.0)
            continue
        precision, recall = hits / np.sum(predicted == c), hits / np.sum(label == c)
        found.append(2 * precision * recall / (precision + recall))
    return float(np.mean(found))


def labels_of(data: Data, fold: int) -> np.ndarray:
    """(n,) the classes of a fold's clips: the same for every run on the data set, in turn as far as they go."""
    n = data.fold_clips[fold]
    return np.random.default_rng([fold, n]).permutation(np.arange(n) % len(data.class_names))


def further_columns(data: Data, folds: Sequence[int]) -> dict[str, list[Any]]:
    """Recordings of five clips of one class, and each clip's salience, length and digest, in the order of the folds."""
    columns: dict[str, list[Any]] = {name: [] for name in ("group", *CLIP_COLUMNS)}
    for fold in folds:
        label = labels_of(data, fold)
        seen = dict.fromkeys(range(len(data.class_names)), 0)
        for number, c in enumerate(label.tolist()):
            columns["group"].append(f"{fold}-{c}-{seen[c] // 5}")
            seen[c] += 1
            columns["clip.salience"].append(1 + number % 3 // 2)
            columns["clip.duration_s"].append(4.0 if number % 6 else round(0.3 + number % 37 / 10, 2))
            columns["clip.audio_sha256"].append(f"{fold:02d}{number:062d}")
    return columns


def _predict(data: Data, fold: int, accuracy: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """ids (n,), fold (n,), label (n,), predicted (n,), proba (n, C)."""
    n, classes = data.fold_clips[fold], len(data.class_names)
    label = labels_of(data, fold)
    chance = np.clip(accuracy + rng.normal(0, 0.03), 0, 1) + 0.05 * np.cos(label)
    confused = np.array([NEIGHBOUR.get(int(c), (int(c) + 3) % classes) % classes for c in label])
    wrong = np.where(rng.random(n) < 0.6, confused, rng.integers(0, classes, n))
    predicted = np.where(rng.random(n) < chance, label, wrong)
    proba = np.full((n, classes), 0.3 / classes, dtype=np.float32)
    proba[np.arange(n), predicted] += 0.7
    ids = np.array([f"clip-{fold}-{i}" for i in range(n)])
    return ids, np.full(n, fold), label, predicted, proba
