"""The heads of a run on new audio: which class, and how surely; of a whole recording, and window by window.

The head of every fold is asked and their probabilities are averaged: new audio was in no fold, so none of them has seen
it, and together they are steadier than any one. Where networks were fine-tuned in folds, each head is asked about the
embedding of its own fold's network.

A recording no longer than a window is embedded as a whole, as `extract` would. A longer one is heard in windows, and
what is said of it is the mean over them. Windows go through the networks in batches of one shape, filled up where there
are too few, so what is said of a window depends on its own samples only.

Letters: T samples, W windows, C classes, D the embedding's dimension.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from soundprobe.audio.checks import Findings
from soundprobe.audio.decode import WaveBlocks, decode_blocks
from soundprobe.audio.encoded import Encoded, digest, open_encoded, source_name
from soundprobe.audio.from_python import sources_of
from soundprobe.audio.live import Live
from soundprobe.base.errors import AudioError, ConfigError
from soundprobe.base.files import leading_digits
from soundprobe.base.frame_rows import frame_rows, mean_frames
from soundprobe.base.records import Source
from soundprobe.data.listing import with_folders
from soundprobe.predicting.prediction import Prediction, Timeline
from soundprobe.predicting.prediction_list import Predictions
from soundprobe.predicting.segmenting import LEAST_SURE, check_segmenting, segments, segments_of_each
from soundprobe.predicting.windows import Grid, Reel, Window, check_length, windows

if TYPE_CHECKING:
    import torch

    from soundprobe.backbones.load import LoadedBackbone
    from soundprobe.backbones.protocol import Backbone
    from soundprobe.heads.novelty import Novelty

BATCH_WINDOWS = 4
"""Windows of one forward pass, always: with another number the same window gives slightly other numbers."""
A_DAY_S = 86_400.0
FILES_AHEAD = 2
"""Recordings that are decoded while another is embedded."""


@dataclass(frozen=True)
class Listening:
    """How recordings are heard, and what of them becomes a segment.

    Attributes:
        window_s: None takes as much as the heads were trained on, see `Predictor.trained_s`.
        hop_s: from one window's beginning to the next one's; None takes half a window.
        threshold, min_duration_s: see `segments`; None takes the run's own thresholds, where it has any.

    Raises:
        ConfigError: a value is not valid, as far as can be told without the run.
    """

    window_s: float | None = None
    hop_s: float | None = None
    threshold: float | Mapping[str, float] | None = None
    min_duration_s: float = 0.0

    def __post_init__(self) -> None:
        if self.window_s is not None:
            check_length("window", self.window_s)
        if self.hop_s is not None:
            check_length("hop", self.hop_s)
            Grid(self.window_s or self.hop_s, self.hop_s)
        check_segmenting(self.threshold or 0.0, self.min_duration_s)


@dataclass(frozen=True, eq=False)
class Member:
    """Heads, and the backbones that their embeddings come from, side by side where there are several."""

    backbones: tuple[LoadedBackbone, ...]
    heads: tuple[Any, ...]


@dataclass(frozen=True)
class _Batch:
    """Windows of one recording that are embedded together; share: how much of it was heard by then, where known."""

    name: str
    windows: Sequence[Window]
    share: float | None = None


@dataclass(frozen=True)
class _End:
    """The end of a recording; trained_on: whether its very bytes trained heads."""

    name: str
    duration_s: float
    findings: Findings
    trained_on: bool


_Heard = _Batch | _End | AudioError
"""What comes of a recording, in this order: batches, and its end or why there is none."""


@dataclass(frozen=True, eq=False)
class Said:
    """Of W windows: proba (W, C), the mean over the heads, and where a fit knows it novelty (W,)."""

    proba: np.ndarray
    novelty: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Predictor:
    """The heads of one run: one member with all of them, or one for each fold where the networks were fine-tuned.

    Attributes:
        channels: what becomes of a clip's channels; None takes what became of them in each backbone's embeddings.
        trained_s: how long the clips are that the heads were trained on (their median), where the run says it.
        thresholds: of classes, below which a fit itself reports none of them; infinity of one that it never does.
        novelty: how unlike its training clips an embedding is, where a fit has that; of the only member.
        known: (N,) uint64, sorted, the `leading_digits` of the clips that heads were trained on, as far as known.
        head: the key in `HEADS` of what all heads are.
        multilabel: whether each class is a yes or no of its own, so that several may be heard at once.
    """

    folder: Path
    class_names: tuple[str, ...]
    members: tuple[Member, ...]
    device: torch.device
    channels: str | None = None
    trained_s: float | None = None
    thresholds: Mapping[str, float] | None = None
    novelty: Novelty | None = None
    known: np.ndarray = field(default_factory=lambda: leading_digits(()))
    head: str = ""
    multilabel: bool = False

    @property
    def backbones(self) -> tuple[LoadedBackbone, ...]:
        return tuple(backbone for member in self.members for backbone in member.backbones)

    @property
    def heads(self) -> tuple[Any, ...]:
        return tuple(head for member in self.members for head in member.heads)

    def __call__(
        self,
        sound: Any,
        *,
        sample_rate_hz: float | None = None,
        listening: Listening | None = None,
        engine: str = "threads",
    ) -> Predictions:
        """What the heads say of each clip of `sound`, which may be anything that Python has; see `sources_of`.

        Args:
            engine: see `predict_each`.

        Raises:
            SoundprobeError: as `sources_of` and `predict`.
        """
        sources = [source for source, _ in with_folders(sources_of(sound, sample_rate_hz))]
        found = Predictions()
        for source, said in zip(sources, self.predict_each(sources, listening, engine=engine), strict=True):
            if isinstance(said, AudioError):
                raise said
            found.append(replace(said, source=source))
        return found

    @property
    def most_s(self) -> float:
        """The longest window that every backbone takes."""
        return min(one.input_samples(A_DAY_S) / one.spec.sample_rate_hz for one in self.backbones)

    @property
    def highest_hz(self) -> float:
        """The highest frequency that a backbone can hear."""
        return max(one.spec.sample_rate_hz for one in self.backbones) / 2

    def without_unknown(self) -> Predictor:
        """The same heads, which call everything one of their classes."""
        return replace(self, novelty=None)

    def was_trained_on(self, sha256: str) -> bool:
        """Whether heads are known to have been trained on a clip whose encoded bytes have this digest."""
        return bool(np.isin(leading_digits([sha256]), self.known)[0])

    def is_unknown(self, said: Said) -> np.ndarray:
        """(W,) bool, which windows are too unlike the training clips for any class."""
        if self.novelty is None or said.novelty is None:
            return np.zeros(len(said.proba), dtype=bool)
        return self.novelty.is_unknown(said.novelty)

    def grid(self, listening: Listening) -> Grid:
        """The windows that `listening` asks for.

        Raises:
            ConfigError: the hop is longer than the window, or a backbone doesn't take so long a window.
        """
        window_s = listening.window_s or min(self.most_s, self.trained_s or self.most_s)
        if window_s > self.most_s:
            names = ", ".join(dict.fromkeys(one.spec.name for one in self.backbones))
            raise ConfigError(f"A window of {window_s:g} s is not valid for {names}: give {self.most_s:g} or less.")
        return Grid(window_s, listening.hop_s or window_s / 2)

    def threshold(self, listening: Listening) -> float | Mapping[str, float]:
        """That of `listening`, or the run's own, or none; of what may be several at once, `LEAST_SURE`."""
        if listening.threshold is not None:
            return listening.threshold
        return self.thresholds or (LEAST_SURE if self.multilabel else 0.0)

    def predict(self, source: Source | Live, listening: Listening | None = None) -> Prediction:
        """What the heads say of one recording.

        Raises:
            AudioError: it can't be decoded, or an embedding is not finite. ConfigError: see `grid`.
        """
        (found,) = self.predict_each([source], listening)
        if isinstance(found, AudioError):
            raise found
        return found

    def predict_each(
        self,
        sources: Iterable[Source | Live],
        listening: Listening | None = None,
        *,
        files_ahead: int = FILES_AHEAD,
        on_heard: Callable[[float], None] | None = None,
        engine: str = "threads",
    ) -> Generator[Prediction | AudioError]:
        """What the heads say of each recording, or why they can't, in their order and as soon as it is known.

        Args:
            files_ahead: how many recordings are decoded while another is embedded.
            on_heard: called with the share of the recording in hand that was heard, where this process hears it.
            engine: "threads" of this process, or "dask": some files a task, see `base.parallel.run_tasks`.

        Raises:
            ConfigError: see `grid`.
        """
        if engine != "threads":
            from soundprobe.predicting.on_workers import predict_each_on_workers

            self.grid(listening or Listening())
            recorded = [source for source in sources if not isinstance(source, Live)]
            yield from predict_each_on_workers(self, recorded, listening, files_ahead, engine)
            return
        from soundprobe.embeddings.streams import in_streams, streams_of

        how = listening or Listening()
        grid = self.grid(how)
        threshold = self.threshold(how)
        streams = min(streams_of(one.network, self.device) for one in self.backbones)
        for backbone in self.backbones:
            backbone.network.to(self.device)
        spans_s: list[tuple[float, float]] = []
        said: list[Said] = []
        failure: AudioError | None = None
        with (
            ThreadPoolExecutor(files_ahead + 1, thread_name_prefix="decode") as pool,
            closing(read_ahead((self._hear(source, grid) for source in sources), pool, files_ahead)) as heard,
            closing(in_streams(self._say, heard, streams)) as stream,
        ):
            for part, outcome in stream:
                if isinstance(outcome, Said) and isinstance(part, _Batch):
                    spans_s += [(window.start_s, window.end_s) for window in part.windows]  # and not their samples
                    said.append(outcome)
                    if on_heard and part.share is not None:
                        on_heard(part.share)
                    continue
                failure = failure or (outcome if isinstance(outcome, AudioError) else None)
                if isinstance(part, _Batch):
                    continue
                if failure is not None:
                    yield failure
                elif isinstance(part, _End):
                    yield self._prediction(part, spans_s, said, threshold, how.min_duration_s)
                spans_s, said, failure = [], [], None

    def follow(self, live: Live, listening: Listening | None = None) -> Generator[tuple[Window, Said]]:
        """Each window of a stream and what the heads say of it, as soon as its last sample has come.

        Raises:
            AudioError: the stream can't be decoded, or an embedding is not finite. ConfigError: see `grid`.
        """
        grid = self.grid(listening or Listening())
        for backbone in self.backbones:
            backbone.network.to(self.device)
        reels = [Reel(wave, rate_hz) for wave, (rate_hz, _) in zip(live.waves(self._wanted), self._wanted, strict=True)]
        for window in windows(reels, grid):
            said = self._say(_Batch(live.name, [window]))
            if isinstance(said, AudioError):
                raise said
            assert said is not None
            yield window, said

    def frame_timeline(self, source: Source) -> Timeline:
        """What the heads say of each of a recording's frames by itself, of a run on frames.

        A recording that is longer than the backbone takes is heard piece by piece.

        Raises:
            AudioError: as `predict`. ConfigError: the run is on embeddings of clips.
        """
        from soundprobe.embeddings.forward import frame_waves, stacked

        backbone, heads = self.backbones[0], self.heads
        spec = backbone.spec
        if backbone.kept_frames is None or spec.frames is None or len(self.backbones) > 1:
            raise ConfigError(f"{self.folder} is no run on frames. Give one of a set that extract --frames made.")
        hop_s = spec.frames.hop / spec.sample_rate_hz
        backbone.network.to(self.device)
        middles_s: list[float] = []
        proba: list[np.ndarray] = []
        duration_s = 0.0
        for part in self._hear(source, Grid(self.most_s, self.most_s)):
            if isinstance(part, AudioError):
                raise part
            if isinstance(part, _End):
                duration_s = part.duration_s
                continue
            for window in part.windows:
                stack = stacked(window.waves, backbone.input_samples(window.end_s - window.start_s))
                (frames,) = frame_waves(backbone.network, *stack, self.device, spec.frames)
                times_s = window.start_s + np.array(spec.frame_times_s(len(window.waves[0])))
                new = times_s > (middles_s[-1] if middles_s else -1.0) + hop_s / 2  # the last window begins in others
                middles_s += times_s[new].tolist()
                proba += [self._of_frames(heads, frames[new])]
        middles = np.array(middles_s)
        starts_s, ends_s = np.maximum(0.0, middles - hop_s / 2), np.minimum(duration_s, middles + hop_s / 2)
        starts_s[0], ends_s[-1] = 0.0, duration_s
        return Timeline(self.class_names, starts_s, ends_s, np.concatenate(proba))

    def _of_frames(self, heads: Sequence[Any], frames: np.ndarray) -> np.ndarray:
        """(m, C) the mean over the heads, of frames (m, D) as if each were a clip."""
        total = np.zeros((len(frames), len(self.class_names)))
        for head in heads:
            rows = frame_rows(list(frames[:, None])) if getattr(head, "frame_columns", 0) else frames
            total[:, np.asarray(head.classes_, dtype=np.int64)] += head.predict_proba(rows)
        return total / len(heads)

    def timeline(self, source: Source, *, window_s: float = 1.0, hop_s: float = 0.5) -> Timeline:
        """Windows of the clip, each embedded as a clip of its own; see `predict` for the errors."""
        timeline = self.predict(source, Listening(window_s, hop_s)).timeline
        assert timeline is not None
        return timeline

    def _prediction(
        self,
        end: _End,
        spans_s: Sequence[tuple[float, float]],
        said: Sequence[Said],
        threshold: float | Mapping[str, float],
        min_duration_s: float,
    ) -> Prediction:
        proba = np.concatenate([each.proba for each in said])
        is_unknown = np.concatenate([self.is_unknown(each) for each in said])
        scores = [each.novelty for each in said if each.novelty is not None]
        novelty = np.concatenate(scores) if scores else None
        timeline = Timeline(
            self.class_names,
            np.array([start_s for start_s, _ in spans_s]),
            np.array([end_s for _, end_s in spans_s]),
            proba,
            novelty,
            None if novelty is None else is_unknown,
        )
        # What is none of the classes has no say in which of them it is, unless nothing else is heard.
        none_known = bool(is_unknown.all())
        stretches = segments_of_each if self.multilabel else segments
        return Prediction(
            name=end.name,
            class_names=self.class_names,
            proba=proba[~is_unknown | none_known].mean(axis=0),
            heads=len(self.heads),
            duration_s=end.duration_s,
            heard_s=end.duration_s,
            findings=end.findings,
            timeline=timeline,
            segments=stretches(timeline, threshold=threshold, min_duration_s=min_duration_s),
            multilabel=self.multilabel,
            novelty=None if novelty is None else float(novelty.min()),
            is_unknown=none_known,
            trained_on=end.trained_on,
        )

    @property
    def _wanted(self) -> list[tuple[int, str]]:
        """The rates in Hz and the channels that backbones want, each once."""
        return list(dict.fromkeys(map(self._wants, self.backbones)))

    def _wants(self, backbone: LoadedBackbone) -> tuple[int, str]:
        return backbone.spec.sample_rate_hz, self.channels or backbone.channels

    def _hear(self, source: Source | Live, grid: Grid) -> Iterator[_Heard]:
        name = source.name if isinstance(source, Live) else source_name(source)
        try:
            audio = source if isinstance(source, Live) else open_encoded(source)
            waves = self._waves(audio, name)
            reels = [Reel(wave, rate_hz) for wave, (rate_hz, _) in zip(waves, self._wanted, strict=True)]
            told_s = waves[0].told_s
            for some in _batched(windows(reels, grid)):
                yield _Batch(name, some, None if told_s is None else min(1.0, some[-1].end_s / told_s))
            found = {kind: value for wave in waves for kind, value in wave.findings.items()}
            trained_on = len(self.known) > 0 and not isinstance(audio, Live) and self.was_trained_on(digest(audio))
            yield _End(name, reels[0].count / reels[0].rate_hz, found, trained_on)
        except AudioError as error:
            yield error

    def _waves(self, audio: Encoded | Live, name: str) -> list[WaveBlocks]:
        """The recording's samples, at each of the rates and of the channels that are wanted."""
        if isinstance(audio, Live):
            return audio.waves(self._wanted)
        return [
            decode_blocks(audio, sample_rate_hz=rate_hz, name=name, channels=channels)
            for rate_hz, channels in self._wanted
        ]

    def _say(self, part: _Heard) -> Said | AudioError | None:
        """What the heads say of a batch's windows, or why there is none; None of an end."""
        if not isinstance(part, _Batch):
            return part if isinstance(part, AudioError) else None
        count = len(part.windows)
        rows = list(part.windows)
        if not rows[0].whole:
            rows += rows[-1:] * (BATCH_WINDOWS - count)
        total, novelty = np.zeros((len(rows), len(self.class_names))), None
        for member in self.members:
            features = np.concatenate([self._embed(backbone, rows) for backbone in member.backbones], axis=1)
            if not np.isfinite(features).all():
                return AudioError(part.name, "the backbone's embedding is not finite")
            if self.novelty is not None:
                pooled = mean_frames(features, getattr(member.heads[0], "frame_columns", 0))
                novelty = self.novelty.score(pooled)[:count]
            for head in member.heads:  # each in the order of its own classes
                total[:, np.asarray(head.classes_, dtype=np.int64)] += head.predict_proba(features)
        return Said(total[:count] / len(self.heads), novelty)

    def _embed(self, backbone: LoadedBackbone, rows: Sequence[Window]) -> np.ndarray:
        """(W, D) float32, each window cut or padded as `extract` does."""
        from soundprobe.embeddings.forward import embed_waves, stacked

        reel = self._wanted.index(self._wants(backbone))
        waves = [window.waves[reel] for window in rows]
        samples = max(backbone.input_samples(len(wave) / backbone.spec.sample_rate_hz) for wave in waves)
        network = backbone.network if rows[0].whole else self._for_windows[id(backbone)]
        return embed_waves(network, *stacked(waves, samples), self.device)

    @cached_property
    def _for_windows(self) -> Mapping[int, Backbone]:
        """The same networks with their shortcuts, which many windows repay and a single clip doesn't."""
        networks = {}
        for backbone in self.backbones:
            networks[id(backbone)] = network = copy.copy(backbone.network)
            network.allow_shortcuts(True)
        return networks


def _batched(found: Iterator[Window]) -> Iterator[list[Window]]:
    while some := list(islice(found, BATCH_WINDOWS)):
        yield some


Item = TypeVar("Item")


def read_ahead(readers: Iterable[Iterator[Item]], pool: ThreadPoolExecutor, ahead: int) -> Generator[Item]:
    """All that `readers` give, one reader after the other, while the next items are read on `pool`.

    One item of the reader whose turn it is, and the first of each of `ahead` readers behind it.
    """
    waiting: deque[tuple[Iterator[Item], Future[Item | None]]] = deque()
    left = iter(readers)
    while True:
        for reader in islice(left, ahead + 1 - len(waiting)):
            waiting.append((reader, pool.submit(next, reader, None)))
        if not waiting:
            return
        reader, future = waiting.popleft()
        while (item := future.result()) is not None:
            future = pool.submit(next, reader, None)
            yield item
