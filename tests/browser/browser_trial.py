"""A run whose predictions are made up, so that a test knows what the page must show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from soundprobe.base.records import FoldResult, RunResult
from soundprobe.data.catalog import open_data
from soundprobe.embeddings.sets import find_feature_sets, read_features
from soundprobe.predicting.prediction import Prediction, Segment, Timeline
from soundprobe.predicting.prediction_list import Predictions
from soundprobe.reporting.write import ReportPaths
from soundprobe.scoring.results import write_result
from sounds import RATE_HZ, tone

HOSTILE = "<img src=x onerror=alert(1)>"


@dataclass(frozen=True)
class Trial:
    """A report on tones in three classes, one of them of a hostile name, and what its best run said.

    Attributes:
        confidence: clip id -> the probability of the class that it was taken for, of the wrong ones only.
    """

    root: Path
    report: ReportPaths
    confidence: dict[str, float]


def write_made_run(root: Path, seed: int) -> dict[str, float]:
    """Predictions that are wrong for every third clip, with probabilities all different; returns those of the wrong."""
    (features,) = find_feature_sets(root / "embeddings")
    embeddings, _ = read_features(features)
    rng = np.random.default_rng(seed)
    shares = rng.permutation(np.linspace(0.5, 0.99, len(embeddings)))
    proba = np.empty((len(embeddings), 3), dtype=np.float32)
    confidence = {}
    for row, (clip, label) in enumerate(zip(embeddings.ids, embeddings.labels, strict=True)):
        said = (label + 1) % 3 if row % 3 == 0 else label
        proba[row] = (1 - shares[row]) / 2
        proba[row, said] = shares[row]
        if said != label:
            confidence[str(clip)] = float(shares[row])
    folds = [
        FoldResult(fold, embeddings.ids[rows], embeddings.labels[rows], proba[rows], train_clips=24)
        for fold in (1, 2, 3)
        if (rows := np.flatnonzero(embeddings.folds == fold)).size
    ]
    info = {
        "kind": "probe",
        "dataset": {**features.dataset, "failed": 0, "left_out": []},
        "backbone": features.describe(),
        "head": {"name": "linear", "title": "Linear", "settings": {}, "seed": 0, "key": "0123456789ab"},
        "command": "soundprobe probe",
        "versions": {"soundprobe": "0"},
        "created": "2026-01-01T00:00:00+00:00",
        "seconds": 1.0,
    }
    clips = open_data(root / "clips")
    folder = root / "heads" / clips.name / f"{features.name}-{features.key}" / "linear-0123456789ab"
    write_result(folder, RunResult(folds, embeddings.class_names, info), embeddings)
    return confidence


def made_predictions(folder: Path) -> Predictions:
    """Two recordings of 2 s with classes over time, segments that overlap, and a hostile name."""
    class_names, starts = ("dog", HOSTILE, "siren"), np.arange(4) / 2
    timeline = Timeline(class_names, starts, starts + 0.5, np.array([[0.8, 0.1, 0.1]] * 2 + [[0.1, 0.2, 0.7]] * 2))
    segments = (Segment(0.0, 1.0, "dog", 0.8), Segment(0.5, 2.0, HOSTILE, 0.25), Segment(1.0, 2.0, "siren", 0.7))
    found = Predictions()
    for number in (1, 2):
        path = folder / f"clip {number}.wav"
        soundfile.write(path, tone(440 * number, 2.0), RATE_HZ)
        proba = timeline.proba.mean(axis=0)
        found.append(Prediction(str(path), class_names, proba, 4, 2.0, 2.0, {}, timeline, segments, source=path))
    return found
