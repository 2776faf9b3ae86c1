"""A trained head on new audio: which class, and how surely; for a whole clip, or window by window.

The head of every fold is asked and their probabilities are averaged: new audio was in no fold, so none of them has seen
it, and together they are steadier than any one. A head belongs to one embedding: the backbone is loaded as the head's
file names it, and refused where weights or settings are not those that it was trained on.

Letters: T samples, W windows, C classes, D the embedding's dimension.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from soundprobe import results
from soundprobe.audio import decode, fit_length, read_bytes, source_name
from soundprobe.backbones.catalog import get_spec
from soundprobe.backbones.load import Backbone, load_backbone
from soundprobe.errors import AudioError, ConfigError, StoreError
from soundprobe.heads.catalog import HEADS, load_head
from soundprobe.machine import choose_device
from soundprobe.records import Source

BATCH_WINDOWS = 16
LEAST_REST_S = 1e-3
"""A shorter rest of a clip gets no window of its own: it may come from rounding to samples."""
SEED = re.compile(r"random \(seed (\d+)\)")


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a head says of one clip.

    Attributes:
        name: the clip; class_names: C names; proba: (C,) float64, sums to 1, the mean over the folds' heads.
        heads: how many heads were asked.
        duration_s: of the clip; heard_s: how much of it from its beginning the backbone takes.
    """

    name: str
    class_names: tuple[str, ...]
    proba: np.ndarray
    heads: int
    duration_s: float
    heard_s: float

    @property
    def predicted(self) -> str:
        """The most probable class."""
        return self.class_names[int(self.proba.argmax())]


@dataclass(frozen=True, eq=False)
class Timeline:
    """Probabilities over time: starts_s and ends_s (W,) of the windows, proba (W, C)."""

    class_names: tuple[str, ...]
    starts_s: np.ndarray
    ends_s: np.ndarray
    proba: np.ndarray


@dataclass(frozen=True, eq=False)
class Predictor:
    """The heads of one run with the backbones that their embeddings come from, side by side where there are several."""

    folder: Path
    class_names: tuple[str, ...]
    backbones: tuple[Backbone, ...]
    heads: tuple[Any, ...]
    device: torch.device

    def predict(self, source: Source) -> Prediction:
        """The whole clip, embedded as `extract` would.

        Raises:
            AudioError: it can't be decoded, or its embedding is not finite.
        """
        name, audio = source_name(source), read_bytes(source)
        parts, heard_s, duration_s = [], float("inf"), 0.0
        for backbone in self.backbones:
            rate_hz = backbone.spec.sample_rate_hz
            wave = decode(audio, sample_rate_hz=rate_hz, name=name)
            duration_s = len(wave) / rate_hz
            parts.append(self._embed(backbone, [wave], name))
            samples = backbone.spec.input_samples(duration_s, backbone.settings["clip_seconds"])
            heard_s = min(heard_s, samples / rate_hz, duration_s)
        proba = self._proba(np.concatenate(parts, axis=1))[0]
        return Prediction(name, self.class_names, proba, len(self.heads), duration_s, heard_s)

    def timeline(self, source: Source, *, window_s: float = 1.0, hop_s: float = 0.5) -> Timeline:
        """Windows of the clip, each embedded as a clip of its own, padded with silence where the backbone wants more.

        The last window ends with the clip, so it may start less than a hop after the one before it.

        Raises:
            AudioError: as `predict`. ConfigError: a window or hop that is not above 0.
        """
        for option, value in (("window", window_s), ("hop", hop_s)):
            if not 0 < value < float("inf"):
                raise ConfigError(f"A {option} of {value} s is not valid: give more than 0, such as 0.5.")
        name, audio = source_name(source), read_bytes(source)
        parts: list[np.ndarray] = []
        starts_s: np.ndarray = np.zeros(1)
        duration_s = 0.0
        for backbone in self.backbones:
            rate_hz = backbone.spec.sample_rate_hz
            wave = decode(audio, sample_rate_hz=rate_hz, name=name)
            if not parts:
                duration_s = len(wave) / rate_hz
                starts_s = window_starts(duration_s, window_s, hop_s)
            first = [round(start * rate_hz) for start in starts_s]
            windows = [wave[at : at + max(1, round(window_s * rate_hz))] for at in first]
            parts.append(self._embed(backbone, windows, name))
        proba = self._proba(np.concatenate(parts, axis=1))
        return Timeline(self.class_names, starts_s, np.minimum(starts_s + window_s, duration_s), proba)

    def _embed(self, backbone: Backbone, waves: Sequence[np.ndarray], name: str) -> np.ndarray:
        """(W, D) float32 embeddings of W waves, each cut or padded as `extract` does."""
        spec, rows = backbone.spec, []
        module = backbone.module.to(self.device)
        for start in range(0, len(waves), BATCH_WINDOWS):
            some = waves[start : start + BATCH_WINDOWS]
            samples = max(
                spec.input_samples(len(wave) / spec.sample_rate_hz, backbone.settings["clip_seconds"]) for wave in some
            )
            batch = torch.from_numpy(np.stack([fit_length(wave, samples) for wave in some])).to(self.device)
            lengths = torch.tensor([min(len(wave), samples) for wave in some], device=self.device)
            with torch.inference_mode():
                rows.append(module(batch, lengths).float().cpu().numpy())
        features = np.concatenate(rows)
        if not np.isfinite(features).all():
            raise AudioError(name, "the backbone's embedding is not finite")
        return features

    def _proba(self, features: np.ndarray) -> np.ndarray:
        """(W, C): the mean of the heads' probabilities, each put in the order of `class_names`."""
        total = np.zeros((len(features), len(self.class_names)))
        for head in self.heads:
            total[:, np.asarray(head.classes_, dtype=np.int64)] += head.predict_proba(features)
        return total / len(self.heads)


def window_starts(duration_s: float, window_s: float, hop_s: float) -> np.ndarray:
    """(W,) where windows start: every hop, and once more so that the last one ends with the clip."""
    starts_s: np.ndarray = np.arange(max(1, 1 + int((duration_s - window_s) / hop_s + 1e-6))) * hop_s
    if duration_s - (starts_s[-1] + window_s) > LEAST_REST_S:
        return np.append(starts_s, duration_s - window_s)
    return starts_s


def load_predictor(
    folder: str | Path, *, weights: str | Path | None = None, device: str = "auto", progress: bool = True
) -> Predictor:
    """The heads of the run in `folder` (`heads/<dataset>/<backbone>-<key>/<head>-<key>`) and their backbones.

    Args:
        weights: the backbone's weights where the head was trained on a file of the user's own.

    Raises:
        StoreError: no trained heads there, a damaged one, or heads that do not belong together.
        ConfigError: the heads are of a fine-tuned network, or the backbone that can be loaded is not theirs.
        WeightsError: the backbone's weights can't be had.
    """
    place = Path(folder)
    files = sorted(place.glob("fold-*.safetensors"))
    if not files:
        raise StoreError(
            f"No trained heads in {place}. Give a run's folder, such as heads/urbansound8k/mn04-.../linear-...; "
            "`soundprobe probe` prints it."
        )
    heads, abouts = [], []
    for path in files:
        _, arrays, metadata = results.read_fold(path)
        about = metadata["about"]
        if about.get("head") not in HEADS:
            raise ConfigError(
                f"{place} holds fine-tuned networks, not heads on frozen embeddings. Give the folder of a probe."
            )
        heads.append(load_head(about["head"], arrays, metadata["params"]))
        abouts.append(about)
    about = abouts[0]
    if any(other["backbone"]["key"] != about["backbone"]["key"] for other in abouts):
        raise StoreError(f"The heads in {place} belong to different embeddings. Delete the folder and probe again.")
    backbones = tuple(_backbones(about["backbone"], place, weights, progress))
    width = sum(backbone.spec.embedding_dim for backbone in backbones)
    if width != heads[0].n_features_in_:
        raise ConfigError(
            f"The heads in {place} take embeddings of {heads[0].n_features_in_} numbers, but "
            f"{about['backbone']['name']} gives {width}. Probe again with this version."
        )
    return Predictor(place, tuple(about["class_names"]), backbones, tuple(heads), choose_device(device))


def predict(
    clips: str | Path | Iterable[str | Path],
    *,
    head: str | Path,
    weights: str | Path | None = None,
    device: str = "auto",
    progress: bool = True,
) -> list[Prediction]:
    """What the heads in the folder `head` say of each clip; see `load_predictor` for the errors.

    Raises:
        AudioError: a clip can't be decoded.
    """
    predictor = load_predictor(head, weights=weights, device=device, progress=progress)
    paths = [clips] if isinstance(clips, str | Path) else list(clips)
    return [predictor.predict(str(path)) for path in paths]


def _backbones(about: dict[str, Any], folder: Path, weights: str | Path | None, progress: bool) -> Iterable[Backbone]:
    """The backbones that a head's metadata name, each checked to give the very embeddings that it was trained on."""
    fields = ("name", "weights", "weights_label", "weights_sha256")
    columns = [str(about[field]).split("+") for field in fields]
    names = columns[0]
    for name, kind, label, sha256 in itertools.zip_longest(*columns, fillvalue=""):
        settings = about["settings"] if len(names) == 1 else about["settings"].get(name)
        if settings is None:
            raise ConfigError(f"The heads in {folder} don't say the settings of {name}. Probe again.")
        yield _backbone(name, kind, label, sha256, settings, folder, weights, progress)


def _backbone(
    name: str,
    kind: str,
    label: str,
    sha256: str,
    settings: dict[str, Any],
    folder: Path,
    weights: str | Path | None,
    progress: bool,
) -> Backbone:
    if settings.get("precision", "fp32") != "fp32":
        raise ConfigError(
            f"The heads in {folder} were trained on {name} in {settings['precision']}, which predict can't run. "
            "Extract without --precision and probe again."
        )
    seed = SEED.fullmatch(label)
    if kind == "file" and weights is None:
        raise ConfigError(f"The heads in {folder} were trained on {name} with {label}: give it with --weights FILE.")
    asked: str | Path = weights if kind == "file" and weights is not None else kind
    clip_seconds = settings.get("clip_seconds")
    if clip_seconds == get_spec(name).clip_seconds:
        clip_seconds = None
    backbone = load_backbone(
        name, weights=asked, clip_seconds=clip_seconds, seed=int(seed[1]) if seed else 0, progress=progress
    )
    if backbone.weights.sha256 != sha256:
        raise ConfigError(
            f"The heads in {folder} belong to {name} with weights {sha256[:12]}..., but those here are "
            f"{backbone.weights.sha256[:12]}.... Give the right ones with --weights, or extract and probe again."
        )
    mine = json.loads(json.dumps(backbone.settings))
    if mine != settings:
        differing = sorted(key for key in {*mine, *settings} if mine.get(key) != settings.get(key))
        raise ConfigError(
            f"The heads in {folder} belong to {name} with another {', '.join(differing)} than this version has. "
            "Extract and probe again."
        )
    return backbone
