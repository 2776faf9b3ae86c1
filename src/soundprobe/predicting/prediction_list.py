"""Predictions as Python gets them: a list that shows itself in a notebook, prints in three lines, and makes tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from soundprobe.base.display import ROWS, plural
from soundprobe.base.errors import AudioError, ConfigError, one_line, unknown
from soundprobe.base.labelled import data_frame
from soundprobe.predicting.prediction import NONE_OF_THESE, Prediction
from soundprobe.viewing.page import View, clip_view

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

SHOWN_CLASSES, TAGS_SHOWN = 3, 6
PLAYERS = 8
PLAYERS_MB = 8.0
ROWS_OF = ("clips", "segments", "windows")


class Predictions(list[Prediction]):
    """What was said of each clip, in their order: a list of `Prediction`."""

    def __repr__(self) -> str:
        """Three lines, fewer where there is nothing to say."""
        if not self:
            return "no predictions"
        if len(self) == 1:
            return "\n".join(_lines(self[0]))
        first = self[0]
        seconds = sum(one.duration_s for one in self)
        counts = Counter(one.predicted for one in self).most_common(5)
        unsure = min(self, key=lambda one: float(one.proba.max()))
        heads = plural(first.heads, "head")
        return "\n".join(
            (
                f"{len(self):,} clips, {seconds:,.1f} s, {len(first.class_names)} classes, {heads}",
                ", ".join(f"{one_line(name)} {count:,}" for name, count in counts),
                f"least sure: {one_line(unsure.name)}, {_shares(unsure, 1)}",
            )
        )

    def to_pandas(self, rows: str = "clips") -> pd.DataFrame:
        """A table with a row a clip, a segment or a window.

        Args:
            rows: "clips" (clip, class, probability, duration_s, heard_s, novelty, trained_on, and p_<class> for
                each), "segments" (clip, start_s, end_s, class, probability) or "windows" (clip, start_s, end_s,
                p_<class>).

        Raises:
            ConfigError: pandas is not installed, or `rows` is none of these.
        """
        return data_frame("pandas", self._columns(rows))

    def to_polars(self, rows: str = "clips") -> pl.DataFrame:
        """As `to_pandas`, of polars."""
        return data_frame("polars", self._columns(rows))

    def _columns(self, rows: str) -> dict[str, list[Any]]:
        if rows not in ROWS_OF:
            raise ConfigError(unknown("kind of rows", rows, ROWS_OF))
        names = {"clips": CLIP_COLUMNS, "segments": SEGMENT_COLUMNS, "windows": SEGMENT_COLUMNS[:3]}[rows]
        classes = () if rows == "segments" else dict.fromkeys(name for one in self for name in one.class_names)
        found: dict[str, list[Any]] = {name: [] for name in (*names, *(f"p_{name}" for name in classes))}
        for told in self._rows(rows):
            for name, column in found.items():
                column.append(told.get(name))
        return found

    def _rows(self, rows: str) -> Iterator[dict[str, Any]]:
        for one in self:
            if rows == "clips":
                said = (one.name, one.predicted, float(one.proba.max()), one.duration_s, one.heard_s)
                told = dict(zip(CLIP_COLUMNS, (*said, one.novelty, one.trained_on), strict=True))
                yield {**told, **_proba(one.class_names, one.proba)}
            elif rows == "segments":
                for part in one.segments:
                    stretch = (one.name, part.start_s, part.end_s, part.label, part.probability)
                    yield dict(zip(SEGMENT_COLUMNS, stretch, strict=True))
            elif one.timeline is not None:
                timeline = one.timeline
                for start_s, end_s, proba in zip(timeline.starts_s, timeline.ends_s, timeline.proba, strict=True):
                    window = {"clip": one.name, "start_s": float(start_s), "end_s": float(end_s)}
                    yield {**window, **_proba(timeline.class_names, proba)}

    def view(self) -> View:
        """A page with a table of all and players of the first, as a notebook shows it; `save` writes it."""
        clips, notes, taken = [], [], 0
        for one in self[:PLAYERS]:
            if one.source is None or taken > PLAYERS_MB * 1e6:
                continue
            try:
                clip = clip_view(one.source, timeline=one.timeline, segments=one.segments)
            except AudioError as error:  # gone since
                notes.append(f"{one_line(error)}.")
                continue
            taken += clip.page_bytes
            clips.append(clip)
        table = [("clip", "class", "probability", "next"), *map(_cells, self[:ROWS])]
        if len(self) > ROWS:
            notes.append(f"The first {ROWS} of {len(self):,} clips; to_pandas() has all.")
        title = one_line(self[0].name) if len(self) == 1 else f"{len(self):,} clips"
        return View(title, tuple(clips), tuple(notes), table=table)

    def _repr_html_(self) -> str:
        return self.view()._repr_html_()


CLIP_COLUMNS = ("clip", "class", "probability", "duration_s", "heard_s", "novelty", "trained_on")
SEGMENT_COLUMNS = ("clip", "start_s", "end_s", "class", "probability")


def _lines(one: Prediction) -> Iterator[str]:
    yield f"{one_line(one.name)}: {_shares(one, 1)}"
    if len(one.class_names) > 1:
        yield f"then {_shares(one, TAGS_SHOWN if one.multilabel else SHOWN_CLASSES, 1)}"
    segments = f", {plural(len(one.segments), 'segment')}" if one.segments else ""
    yield f"{one.duration_s:,.1f} s{segments}, {plural(one.heads, 'head')}"


def _shares(one: Prediction, last: int, first: int = 0) -> str:
    """The classes from the `first` most probable to before the `last`, with their probabilities."""
    if one.is_unknown and first == 0:
        return NONE_OF_THESE
    first -= one.is_unknown
    return ", ".join(f"{one_line(name)} {100 * share:.1f} %" for name, share in one.most_probable(last)[first:])


def _cells(one: Prediction) -> tuple[str, str, str, str]:
    return (
        one_line(one.name),
        one_line(one.predicted),
        "" if one.is_unknown else f"{100 * one.proba.max():.1f} %",
        _shares(one, TAGS_SHOWN if one.multilabel else SHOWN_CLASSES, 1),
    )


def _proba(class_names: tuple[str, ...], proba: Any) -> dict[str, float]:
    return {f"p_{name}": float(share) for name, share in zip(class_names, proba, strict=True)}
