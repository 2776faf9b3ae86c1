"""A trained head on new audio: which class, and how surely; for a whole clip, or window by window.

The head of every fold is asked and their probabilities are averaged: new audio was in no fold, so none of them has seen
it, and together they are steadier than any one. A head belongs to one embedding: the backbone is loaded as the head's
file names it, and refused where weights or settings are not those that it was trained on. Where networks were
fine-tuned in folds, each fold's head is asked about the embedding of its own fold's network.

Letters: T samples, W windows, C classes, D the embedding's dimension.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from soundprobe.audio.checks import Findings
from soundprobe.audio.decode import check_channels, decode_checked, read_bytes, source_name
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.spec import LAST, PRECISIONS
from soundprobe.backbones.weights.verify import sha256_of
from soundprobe.base.errors import AudioError, ConfigError, StoreError, WeightsError
from soundprobe.base.machine import check_device_name, choose_device
from soundprobe.base.records import Source
from soundprobe.base.registry import code_of
from soundprobe.base.stored import NetworksRecord, UsedBackboneRecord
from soundprobe.embeddings.needed import check_may_fetch
from soundprobe.heads.catalog import HEADS, load_head
from soundprobe.scoring import results
from soundprobe.scoring.run_names import WHY_NOT, run_folder
from soundprobe.training.tuned_backbones import load_network, open_run

if TYPE_CHECKING:
    import torch

    from soundprobe.backbones.load import LoadedBackbone

BATCH_WINDOWS = 16
CAN_PREDICT = ("probe",)
"""The kinds of runs that have heads on embeddings."""
SEED = re.compile(r"random \(seed (\d+)\)")
LEAST_REST_S = 1e-3
"""A shorter rest of a clip gets no window of its own: it may come from rounding to samples."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a head says of one clip.

    Attributes:
        name: the clip; class_names: C names; proba: (C,) float64, sums to 1, the mean over the folds' heads.
        heads: how many heads were asked.
        duration_s: of the clip; heard_s: how much of it from its beginning the backbone takes.
        findings: what is conspicuous about its sound; see `soundprobe.audio.checks`.
    """

    name: str
    class_names: tuple[str, ...]
    proba: np.ndarray
    heads: int
    duration_s: float
    heard_s: float
    findings: Findings = field(default_factory=dict)

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
    """

    folder: Path
    class_names: tuple[str, ...]
    members: tuple[Member, ...]
    device: torch.device
    channels: str | None = None

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


def load_predictor(
    folder: str | Path,
    *,
    weights: str | Path | None = None,
    channels: str | None = None,
    device: str = "auto",
    progress: bool = True,
) -> Predictor:
    """The heads of the run in `folder` (`heads/<dataset>/<backbone>-<key>/<head>-<key>`) and their backbones.

    Args:
        weights: the backbone's weights where the head was trained on a file of the user's own, or the folder of the
            fine-tuning run where that was moved.
        channels: see `Predictor`.

    Raises:
        StoreError: no trained heads there, a damaged one, or heads that do not belong together.
        ConfigError: the heads are of a fine-tuned network, or the backbone that can be loaded is not theirs.
        WeightsError: the backbone's weights can't be had.
    """
    check_device_name(device)
    if channels is not None:
        check_channels(channels)
    place = Path(folder)
    heads, abouts, folds = [], [], []
    for path in _head_files(place):
        result, arrays, record = results.read_fold(path)
        about = record.about
        if about.head == "finetune":
            raise ConfigError(
                f"{place} holds fine-tuned networks, not heads on frozen embeddings. Give the folder of a probe."
            )
        if code_of(HEADS[about.head].target).get("code_sha256") != about.code_sha256:
            raise ConfigError(
                f"The heads in {place} were trained by other code than {about.head} has now. Probe again."
            )
        heads.append(load_head(about.head, arrays, record.params))
        abouts.append(about)
        folds.append(result.fold)
    about = abouts[0]
    if any(other.backbone.key != about.backbone.key for other in abouts):
        raise StoreError(f"The heads in {place} belong to different embeddings. Delete the folder and probe again.")
    if about.backbone.finetuned is not None:
        networks = _networks_of(about.backbone, about.backbone.finetuned, place, weights, folds)
        members = tuple(Member((network,), (head,)) for network, head in zip(networks, heads, strict=True))
    else:
        members = (Member(tuple(_backbones_of(about.backbone, place, weights, progress)), tuple(heads)),)
    width = sum(backbone.spec.embedding_dim for backbone in members[0].backbones)
    if width != heads[0].n_features_in_:
        raise ConfigError(
            f"The heads in {place} take embeddings of {heads[0].n_features_in_} numbers, but "
            f"{about.backbone.name} gives {width}. Probe again with this version."
        )
    return Predictor(place, tuple(about.class_names), members, choose_device(device), channels)


def check_weights(folder: str | Path, weights: str | Path | None) -> None:
    """Whether the weights of the backbones of the run in `folder` can be had, as far as can be told without torch.

    Raises:
        StoreError: no trained heads there. WeightsError: there is nothing at `weights`, or the published ones may not
            be fetched.
    """
    about = results.read_fold(_head_files(Path(folder))[0])[2].about.backbone
    if weights is not None:
        if not Path(weights).exists():
            raise WeightsError(f"No weights at {str(weights)!r}. Give a file's path, or that of a fine-tuning run.")
        return
    if about.finetuned is None:
        for name, kind in zip(about.name.split("+"), about.weights.split("+"), strict=False):
            file = BACKBONES[name].weights
            if kind == "pretrained" and file is not None:
                check_may_fetch(name, file, instead="")


def predict(
    clips: str | Path | Iterable[str | Path],
    *,
    run: str | Path | None = None,
    head: str | Path | None = None,
    heads: str | Path = "heads",
    dataset: str | None = None,
    weights: str | Path | None = None,
    channels: str | None = None,
    device: str = "auto",
    progress: bool = True,
) -> list[Prediction]:
    """What the heads of a run say of each clip; see `load_predictor` for the errors.

    Args:
        run: "best", a run's name, the beginning of its key, or its folder; see `scoring.run_names.find_run`. `head` is
            its older name.
        heads: the folder that runs are below; dataset: only runs on that data set.

    Raises:
        ConfigError: no run, or several, are named so. AudioError: a clip can't be decoded.
    """
    paths = [clips] if isinstance(clips, str | Path) else list(clips)
    folder = run_folder(heads, head if run is None else run, dataset=dataset, kinds=CAN_PREDICT)
    predictor = load_predictor(folder, weights=weights, channels=channels, device=device, progress=progress)
    return [predictor.predict(str(path)) for path in paths]


def _head_files(place: Path) -> list[Path]:
    files = sorted(place.glob("fold-*.safetensors"))
    if not files and (place / "result.json").exists() and results.read_result(place).kind == "import":
        raise ConfigError(f"{place} {WHY_NOT['import']}. Give the folder of a probe.")
    if not files:
        raise StoreError(f"No trained heads in {place}. `soundprobe runs list` shows the runs there are.")
    return files


def _networks_of(
    about: UsedBackboneRecord, told: NetworksRecord, folder: Path, weights: str | Path | None, folds: Sequence[int]
) -> Iterator[LoadedBackbone]:
    """The fine-tuned network of each of `folds`, on which its head was trained."""
    place = Path(told.path if weights is None else weights)
    if not place.exists():
        raise ConfigError(
            f"The heads in {folder} belong to networks that were fine-tuned in {place}, and nothing is there. Give the "
            "run's folder with --weights FOLDER."
        )
    run = open_run(place)
    for fold in folds:
        if run.networks.get(fold) != told.networks.get(str(fold)):
            raise ConfigError(
                f"The network of fold {fold} in {place} is not the one that the heads in {folder} were trained on. "
                "Extract with --finetuned and probe again, or give the right run with --weights FOLDER."
            )
        yield load_network(run, fold, about.settings["clip_seconds"], shortcuts=False)


def _backbones_of(
    about: UsedBackboneRecord, folder: Path, weights: str | Path | None, progress: bool
) -> Iterable[LoadedBackbone]:
    """The backbones that a head's metadata name, each checked to give the very embeddings that it was trained on."""
    told = (about.name, about.weights, about.weights_label, about.weights_sha256)
    columns = [text.split("+") if "+" in about.name else [text] for text in told]
    names = columns[0]
    for name, kind, label, sha256 in itertools.zip_longest(*columns, fillvalue=""):
        settings = about.settings if len(names) == 1 else about.settings.get(name)
        if settings is None:
            raise ConfigError(f"The heads in {folder} don't say the settings of {name}. Probe again.")
        own = len(names) == 1 or kind == "file"
        # Side by side, the published file is known by its bytes.
        own = own or (weights is not None and Path(weights).is_file() and sha256_of(Path(weights)) == sha256)
        given = weights if own else None
        yield _backbone(name, kind, label, sha256, settings, folder, given, progress)


def _backbone(
    name: str,
    kind: str,
    label: str,
    sha256: str,
    settings: dict[str, Any],
    folder: Path,
    weights: str | Path | None,
    progress: bool,
) -> LoadedBackbone:
    precision = settings.get("precision", "fp32")
    if precision == "int8":
        raise ConfigError(
            f"The heads in {folder} were trained on {name} in int8, which predict can't run. "
            "Extract without --precision int8 and probe again."
        )
    if precision not in PRECISIONS:
        raise ConfigError(
            f"The heads in {folder} were trained on {name} in {precision!r}, and this version knows only "
            f"{', '.join(PRECISIONS)}. Extract and probe again."
        )
    seed = SEED.fullmatch(label)
    if kind == "file" and weights is None:
        raise ConfigError(f"The heads in {folder} were trained on {name} with {label}: give it with --weights FILE.")
    # The published file, too, may lie anywhere.
    asked = weights if kind == "file" or (kind == "pretrained" and weights) else None if kind == "none" else kind
    BACKBONES[name].check_weights(asked)
    from soundprobe.backbones.load import load_backbone
    from soundprobe.embeddings.precision import declared, in_half

    clip_seconds = settings.get("clip_seconds")
    if clip_seconds == BACKBONES[name].clip_seconds:
        clip_seconds = None
    backbone = load_backbone(
        name,
        weights=asked,
        clip_seconds=clip_seconds,
        layers=settings.get("layers", LAST),
        seed=int(seed[1]) if seed else 0,
        shortcuts=False,  # preparing CNN14's takes longer than a few clips without it, and 0.75 GB
        progress=progress,
    )
    backbone = declared(backbone, precision).on_channels(settings.get("channels", "mean"))
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
    # On any device, also where 16 bits are no faster: a head belongs to the numbers that it was trained on.
    return backbone if precision == "fp32" else in_half(backbone)
