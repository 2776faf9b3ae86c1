"""One run's scores, and how far they would move if other recordings had been tested. No torch.

Clips that were cut from one recording are right or wrong together, so what is drawn again is recordings, not clips: as
many clips as there are say less than they seem to. A recording's clips enter only as counts, so a redrawn fold's
scores are a matrix product.

Letters: N clips, C classes, F folds, G recordings of one fold, B resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from soundprobe.base.errors import DataError
from soundprobe.scoring.intervals import LEVEL, Interval, wilson

METRICS = ("accuracy", "macro_f1")
RESAMPLES = 2000
FEW_RECORDINGS = 10
"""Below this many recordings in a fold, simulated intervals that should cover 95 % covered 90 to 92 %."""
WEIGHTS_AT_ONCE = 2**22  # float32: 16 MiB


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one run said of the clips that it tested, each clip once, in the order of the clips' ids.

    Attributes:
        name: the run's, for messages and tables.
        ids: (N,) str, unique.
        labels, predicted: (N,) int64 in 0 .. C-1.
        folds: (N,) int64, the fold that tested the clip.
        groups: (N,) str, the recording that it was cut from; the ids themselves where recordings are not known.
        n_classes: C.

    Raises:
        DataError: there are no clips, the columns' lengths differ, an id stands twice, or a label is out of range.
    """

    name: str
    ids: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    folds: np.ndarray
    groups: np.ndarray
    n_classes: int

    def __post_init__(self) -> None:
        ids = np.asarray(self.ids, dtype=np.str_)
        if len(ids) == 0:
            raise DataError(f"Run {self.name!r} has no predictions to score. Test at least one fold.")
        order = np.argsort(ids, kind="stable")
        object.__setattr__(self, "ids", ids[order])
        for column in ("labels", "predicted", "folds", "groups"):
            values = np.asarray(getattr(self, column), dtype=np.str_ if column == "groups" else np.int64)
            if values.shape != ids.shape:
                raise DataError(
                    f"Run {self.name!r}: {len(values)} {column} for {len(ids)} clips; one for each is needed."
                )
            object.__setattr__(self, column, values[order])
        twice = self.ids[1:][self.ids[1:] == self.ids[:-1]]
        if len(twice):
            raise DataError(
                f"Run {self.name!r}: clip {str(twice[0])!r} is predicted more than once; give one prediction a clip."
            )
        for column in ("labels", "predicted"):
            low, high = getattr(self, column).min(), getattr(self, column).max()
            if low < 0 or high >= self.n_classes:
                raise DataError(
                    f"Run {self.name!r}: {column} from {low} to {high} don't fit {self.n_classes} classes; "
                    f"whole numbers from 0 to {self.n_classes - 1} are needed."
                )

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> Predictions:
        """The predictions at `rows`, a boolean mask or index array of (N,): those of one salience, say."""
        names = ("ids", "labels", "predicted", "folds", "groups")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


@dataclass(frozen=True, eq=False)
class Scores:
    """A run's fold scores, and the same scores in B worlds in which other recordings were drawn.

    Two runs on the same clips with the same seed are redrawn alike, so `draws` can be subtracted pair by pair.

    Attributes:
        predictions: what was scored.
        folds: (F,) int64, ascending.
        recordings: (F,) int64, the folds' numbers of recordings.
        points: (F,) float64 for each of `METRICS`.
        draws: (B, F) float64 for each of `METRICS`.
        counts: (3, C) float64, over all folds: clips of a class that were found, clips of it, clips called it.
        count_draws: (B, 3, C) float64, the same in each world.
        seed: of the drawing.
    """

    predictions: Predictions
    folds: np.ndarray
    recordings: np.ndarray
    points: Mapping[str, np.ndarray]
    draws: Mapping[str, np.ndarray]
    counts: np.ndarray
    count_draws: np.ndarray
    seed: int

    @property
    def freedom(self) -> int:
        """How many recordings are free to vary: in each fold one less than it has."""
        return int((self.recordings - 1).sum())

    def interval(self, metric: str = "accuracy") -> Interval:
        """The metric's mean over folds, as tables show it.

        Where every clip is right, or every clip wrong, redrawing changes nothing: accuracy then has Wilson's interval
        for as many draws as there are recordings ("at least 90.4 %" of 36), and macro-F1 none.
        """
        return self._bound(metric, slice(None))

    def fold_interval(self, metric: str, fold: int) -> Interval:
        """The metric in one fold."""
        return self._bound(metric, self.folds == fold)

    def _bound(self, metric: str, folds: np.ndarray | slice) -> Interval:
        value, draws = self.points[metric][folds].mean(), self.draws[metric][:, folds].mean(axis=1)
        return bound_share(value, draws, self.recordings[folds], is_binomial=metric == "accuracy")

    def class_intervals(self) -> tuple[dict[str, Interval], ...]:
        """`precision`, `recall` and `f1` of each of the C classes, over the clips of all folds together.

        A figure that does not exist (the recall of a class without clips) is left out of its class's mapping. Worlds
        that drew nothing to compute a figure from are left out of its interval. It has no ends where these are more
        than half, or where redrawing changes nothing (all 40 clips found): no width would claim a certainty that the
        data do not have.
        """
        here, drawn = _class_scores(self.counts[None]), _class_scores(self.count_draws)
        found: list[dict[str, Interval]] = []
        for label in range(self.predictions.n_classes):
            values = {name: (here[name][0, label], drawn[name][:, label]) for name in here}
            found.append({name: self._bound_class(*pair) for name, pair in values.items() if not np.isnan(pair[0])})
        return tuple(found)

    def _bound_class(self, value: float, draws: np.ndarray) -> Interval:
        """The interval of one figure of a class, whose (B,) draws may be NaN or all alike."""
        there = draws[np.isfinite(draws)]
        there = there if 2 * len(there) >= len(draws) else np.full(1, value)
        return bound_share(value, there, self.recordings, is_binomial=False)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the intervals may be too narrow, a sentence each; empty where there is no such reason."""
        found = []
        single, few = self.folds[self.recordings == 1], self.folds[self.recordings < FEW_RECORDINGS]
        if len(single):
            found.append(
                f"{len(single)} of {len(self.folds)} folds hold a single recording, which can't be drawn differently: "
                "they add no width."
            )
        if len(few):
            found.append(
                f"{len(few)} of {len(self.folds)} folds hold fewer than {FEW_RECORDINGS} recordings: intervals from so "
                "few come out too narrow."
            )
        if self.interval().method == "Wilson":
            found.append(
                "Every clip got the same verdict, so redrawing changes nothing; that is not certainty. The interval is "
                f"Wilson's, for {self.recordings.sum()} recordings that could have been the other way."
            )
        return tuple(found)


def resample(run: Predictions, *, resamples: int = RESAMPLES, seed: int = 0) -> Scores:
    """The scores of `run`, and of B worlds: in each fold, recordings are drawn again with replacement.

    Of a fold's G recordings G - 1 are drawn, which makes the draws' variance that of a mean over G recordings; drawing
    all G would make it (G - 1) / G of that, too small by a quarter where a fold holds four. A recording that sits in
    two folds counts as one in each.

    Source: Rao and Wu, "Resampling inference with complex survey data", JASA 83, 1988 (strata, clusters, G - 1).

    Args:
        resamples: B, at least 100: the ends are quantiles at 2.5 %.
        seed: the same seed draws the same recordings for every run on the same clips.
    """
    if resamples < 100:
        raise DataError(f"{resamples} resamples are too few for a 95 % interval; give 100 or more (1,000 to 2,000).")
    folds, recordings, points, draws = np.unique(run.folds), [], [], []
    _, recording_of = np.unique(run.groups, return_inverse=True)
    total, drawn_total = np.zeros((3, run.n_classes)), np.zeros((resamples, 3, run.n_classes))
    for fold in folds:
        counts = _recording_counts(run, recording_of, np.flatnonzero(run.folds == fold))
        drawn = _redraw(counts, resamples, (seed, int(fold) % 2**32))
        whole = counts.sum(axis=0)
        recordings.append(len(counts))
        points.append(_fold_scores(whole[None]))
        draws.append(_fold_scores(drawn))
        total += whole
        drawn_total += drawn
    return Scores(
        predictions=run,
        folds=folds,
        recordings=np.array(recordings),
        points={name: np.concatenate([fold[name] for fold in points]) for name in METRICS},
        draws={name: np.stack([fold[name] for fold in draws], axis=1) for name in METRICS},
        counts=total,
        count_draws=drawn_total,
        seed=seed,
    )


def bound_share(value: float, draws: np.ndarray, recordings: np.ndarray, *, is_binomial: bool) -> Interval:
    """`bound` of a share in [0, 1] that was computed from folds of so many `recordings` (F,); never without width.

    Where redrawing changes nothing, a share of clips (`is_binomial`) that is 0 or 1 has Wilson's interval for the
    number of recordings, since clips of one recording are right or wrong together. Any other has no ends.
    """
    found = bound(value, draws, int((recordings - 1).sum()))
    if found.has_width or found.low is None:
        return found
    if is_binomial and value in (0.0, 1.0):
        return wilson(value, int(recordings.sum()))
    return replace(found, low=None, high=None)


def bound(value: float, draws: np.ndarray, freedom: int, low: float = 0.0, high: float = 1.0) -> Interval:
    """The 95 % interval of `value`: the draws' outer quantiles, after moving the draws so that their mean is `value`.

    Draws of macro-F1 lie below the score itself (a redrawn fold lacks a class now and then, and F1 bends), by as much
    as their own spread; unmoved quantiles covered 78 % instead of 95 %. With few recordings the quantiles
    are taken further out, by as much as Student's t lies outside the normal.

    Args:
        draws: (B,) the value in the redrawn worlds.
        freedom: degrees of freedom; 0 gives no interval.
        low, high: the ends of what the value can be.
    """
    if freedom < 1:
        return Interval(float(value), None, None, "bootstrap over recordings")
    from scipy import stats

    tail = float(stats.norm.sf(stats.t.isf((1 - LEVEL) / 2, freedom)))
    moved = draws + (value - draws.mean())
    ends = np.quantile(moved, [tail, 1 - tail]).clip(low, high)
    return Interval(float(value), float(ends[0]), float(ends[1]), "bootstrap over recordings")


def _recording_counts(run: Predictions, recording_of: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(G, 3, C) float32: of each recording and class the clips found, the clips there are, and the clips called it."""
    names, recording = np.unique(recording_of[rows], return_inverse=True)
    true, said = run.labels[rows], run.predicted[rows]
    size = len(names) * run.n_classes

    def count(labels: np.ndarray, which: np.ndarray | slice = slice(None)) -> np.ndarray:
        cells = (recording * run.n_classes + labels)[which]
        return np.bincount(cells, minlength=size).reshape(len(names), run.n_classes)

    return np.stack([count(true, true == said), count(true), count(said)], axis=1).astype(np.float32)


def _redraw(counts: np.ndarray, resamples: int, seed: tuple[int, int]) -> np.ndarray:
    """(B, 3, C): the sums of `counts` (G, 3, C) over recordings drawn with replacement. Whole numbers, so exact."""
    G = len(counts)
    flat = counts.reshape(G, -1)
    # One run's draws are the next one's: all runs on the same recordings see the same worlds.
    weights = _kept_weights(G, resamples, seed) if G * resamples <= WEIGHTS_AT_ONCE else _weights(G, resamples, seed)
    return np.concatenate([some.astype(np.float32, copy=False) @ flat for some in weights]).reshape(
        resamples, *counts.shape[1:]
    )


def _weights(recordings: int, resamples: int, seed: tuple[int, int]) -> Iterator[np.ndarray]:
    """(B, G) int64 in blocks of rows: how often each world drew each recording."""
    rng = np.random.default_rng(list(seed))
    size, step = max(recordings - 1, 1), max(1, WEIGHTS_AT_ONCE // recordings)
    for start in range(0, resamples, step):
        worlds = min(step, resamples - start)
        drawn = rng.integers(0, recordings, size=(worlds, size)) + np.arange(worlds)[:, None] * recordings
        yield np.bincount(drawn.ravel(), minlength=worlds * recordings).reshape(worlds, recordings)


@lru_cache(maxsize=10)
def _kept_weights(recordings: int, resamples: int, seed: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """As `_weights`, kept: at most 10 folds of 16 MiB each."""
    return tuple(some.astype(np.float32) for some in _weights(recordings, resamples, seed))


def _fold_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """(B,) accuracy and macro-F1 from `counts` (B, 3, C), defined as in `soundprobe.scoring.metrics`."""
    hits, clips = counts[:, 0].sum(axis=1, dtype=np.float64), counts[:, 1].sum(axis=1, dtype=np.float64)
    return {"accuracy": hits / clips, "macro_f1": np.nanmean(_class_scores(counts)["f1"], axis=1)}


def _class_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """(B, C) precision, recall and F1 from `counts` (B, 3, C); NaN where there is nothing to divide by."""
    hits, clips, said = (counts[:, part].astype(np.float64) for part in range(3))

    def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)

    return {"precision": share(hits, said), "recall": share(hits, clips), "f1": share(2 * hits, clips + said)}
