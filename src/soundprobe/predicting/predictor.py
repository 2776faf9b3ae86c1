"""The heads of a run on new audio: which class, and how surely; for a whole clip, or window by window.

The head of every fold is asked and their probabilities are averaged: new audio was in no fold, so none of them has seen
it, and together they are steadier than any one. Where networks were fine-tuned in folds, each head is asked about the
embedding of its own fold's network.

Letters: T samples, W windows, C classes, D the embedding's dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from soundprobe.audio.checks import Findings
from soundprobe.audio.decode import decode_checked
from soundprobe.audio.encoded import read_bytes, source_name
from soundprobe.base.errors import AudioError, ConfigError
from soundprobe.base.records import Source
from soundprobe.predicting.prediction import Prediction, Timeline

if TYPE_CHECKING:
    import torch

    from soundprobe.backbones.load import LoadedBackbone

BATCH_WINDOWS = 16
LEAST_REST_S = 1e-3
"""A shorter rest of a clip gets no window of its own: it may come from rounding to samples."""


@dataclass(frozen=True, eq=False)
class Member:
    """Heads, and the backbones that their embeddings come from, side by side where there are several."""

    backbones: tuple[LoadedBackbone, ...]
    heads: tuple[Any, ...]


Decoded = dict[tuple[int, str], tuple[np.ndarray, Findings]]
"""A clip's samples (T,) and findings by the rates in Hz and the channels that backbones want."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """The heads of one run: one member with all of them, or one for each fold where the networks were fine-tuned.

    `channels` is what becomes of a clip's channels; None takes what became of them in each backbone's embeddings.
    `head` is the key in `HEADS` of what all heads are.
    """

    folder: Path
    class_names: tuple[str, ...]
    members: tuple[Member, ...]
    device: torch.device
    channels: str | None = None
    head: str = ""

    @property
    def backbones(self) -> tuple[LoadedBackbone, ...]:
        return tuple(backbone for member in self.members for backbone in member.backbones)

    @property
    def heads(self) -> tuple[Any, ...]:
        return tuple(head for member in self.members for head in member.heads)

    def predict(self, source: Source) -> Prediction:
        """The whole clip, embedded as `extract` would.

        Raises:
            AudioError: it can't be decoded, or its embedding is not finite.
        """
        name, audio = source_name(source), read_bytes(source)
        decoded = self._decode(audio, name)
        heard_s = float("inf")
        for backbone in self.backbones:
            rate_hz = backbone.spec.sample_rate_hz
            duration_s = len(self._of(backbone, decoded)[0]) / rate_hz
            samples = backbone.input_samples(duration_s)
            heard_s = min(heard_s, samples / rate_hz, duration_s)
        proba = self._proba(lambda backbone: [self._of(backbone, decoded)[0]], name)[0]
        found = {kind: value for _, findings in decoded.values() for kind, value in findings.items()}
        return Prediction(name, self.class_names, proba, len(self.heads), duration_s, heard_s, found)

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
        decoded = self._decode(audio, name)
        first = self.backbones[0]
        duration_s = len(self._of(first, decoded)[0]) / first.spec.sample_rate_hz
        starts_s = window_starts(duration_s, window_s, hop_s)

        def windows(backbone: LoadedBackbone) -> list[np.ndarray]:
            rate_hz = backbone.spec.sample_rate_hz
            first = [round(start * rate_hz) for start in starts_s]
            wave = self._of(backbone, decoded)[0]
            return [wave[at : at + max(1, round(window_s * rate_hz))] for at in first]

        proba = self._proba(windows, name)
        return Timeline(self.class_names, starts_s, np.minimum(starts_s + window_s, duration_s), proba)

    def _decode(self, audio: bytes, name: str) -> Decoded:
        wanted = {(backbone.spec.sample_rate_hz, self.channels or backbone.channels) for backbone in self.backbones}
        return {
            (rate_hz, channels): decode_checked(audio, sample_rate_hz=rate_hz, name=name, channels=channels)
            for rate_hz, channels in wanted
        }

    def _of(self, backbone: LoadedBackbone, decoded: Decoded) -> tuple[np.ndarray, Findings]:
        return decoded[backbone.spec.sample_rate_hz, self.channels or backbone.channels]

    def _embed(self, backbone: LoadedBackbone, waves: Sequence[np.ndarray], name: str) -> np.ndarray:
        """(W, D) float32 embeddings of W waves, each cut or padded as `extract` does."""
        from soundprobe.embeddings.forward import embed_waves, stacked

        rows = []
        backbone.network.to(self.device)
        for start in range(0, len(waves), BATCH_WINDOWS):
            some = waves[start : start + BATCH_WINDOWS]
            samples = max(backbone.input_samples(len(wave) / backbone.spec.sample_rate_hz) for wave in some)
            rows.append(embed_waves(backbone.network, *stacked(some, samples), self.device))
        features = np.concatenate(rows)
        if not np.isfinite(features).all():
            raise AudioError(name, "the backbone's embedding is not finite")
        return features

    def _proba(self, waves_for: Callable[[LoadedBackbone], Sequence[np.ndarray]], name: str) -> np.ndarray:
        """(W, C): the mean of the heads' probabilities of W waves, each put in the order of `class_names`."""
        totals = []
        for member in self.members:
            parts = [self._embed(backbone, waves_for(backbone), name) for backbone in member.backbones]
            features = np.concatenate(parts, axis=1)
            total = np.zeros((len(features), len(self.class_names)))
            for head in member.heads:
                total[:, np.asarray(head.classes_, dtype=np.int64)] += head.predict_proba(features)
            totals.append(total)
        return np.sum(totals, axis=0) / len(self.heads)


def window_starts(duration_s: float, window_s: float, hop_s: float) -> np.ndarray:
    """(W,) where windows start: every hop, and once more so that the last one ends with the clip."""
    starts_s: np.ndarray = np.arange(max(1, 1 + int((duration_s - window_s) / hop_s + 1e-6))) * hop_s
    if duration_s - (starts_s[-1] + window_s) > LEAST_REST_S:
        return np.append(starts_s, duration_s - window_s)
    return starts_s
