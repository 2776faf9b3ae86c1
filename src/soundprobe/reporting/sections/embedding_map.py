"""A map of the clips by their embeddings: the two directions along which a backbone tells them apart most (PCA).

Letters: N clips, D the embedding's dimension, P the clips that are drawn.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.base.errors import SoundprobeError
from soundprobe.base.records import Embeddings
from soundprobe.embeddings.sets import FeatureSet, find_feature_sets, read_features
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.media import Media
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Element, Interactive, Text, on_page
from soundprobe.reporting.runs.marks import is_finetuned_in_folds, is_imported
from soundprobe.reporting.sections.gallery import Judgements, judgements_of
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import run_name
from soundprobe.reporting.wording import count, one_line, percent

MOST_POINTS = 2000
COLOURS = 10
SEED = 0
DIFFERENT_IN_FOLDS = "networks that were fine-tuned in folds have other embeddings in each"


@dataclass(frozen=True)
class Symbol:
    """How a class is drawn: one of ten colours, and a shape for those who don't tell the colours apart."""

    name: str
    colour: int
    path: str


# Shapes within 6 units of their middle, about equal in area.
SHAPES = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",  # disc
    "M-4.4-4.4h8.8v8.8h-8.8z",  # square
    "M0-5.8L5.4 4H-5.4z",  # triangle
    "M0-6.2L6.2 0L0 6.2L-6.2 0z",  # diamond
    "M0 5.8L-5.4-4H5.4z",  # triangle, point down
    "M-1.9-5.6h3.8v3.7h3.7v3.8h-3.7v3.7h-3.8v-3.7h-3.7v-3.8h3.7z",  # plus
    "M0-5.9L5.6-1.8L3.5 4.8H-3.5L-5.6-1.8z",  # pentagon
    "M-5.2-2.6L-2.6-5.2L0-2.6L2.6-5.2L5.2-2.6L2.6 0L5.2 2.6L2.6 5.2L0 2.6L-2.6 5.2L-5.2 2.6L-2.6 0z",  # cross
    "M-5.6 0L-2.8-4.9H2.8L5.6 0L2.8 4.9H-2.8z",  # hexagon
    "M0-6.4L1.7-2L6.1-2L2.6 0.8L3.9 5.4L0 2.7L-3.9 5.4L-2.6 0.8L-6.1-2L-1.7-2z",  # star
)


def symbols_of(class_names: Sequence[str]) -> list[Symbol]:
    """One for each class; up to a hundred are all different."""
    return [
        Symbol(one_line(name), number % COLOURS, SHAPES[(number + number // COLOURS) % len(SHAPES)])
        for number, name in enumerate(class_names)
    ]


@dataclass(frozen=True, eq=False)
class Placed:
    """Where each of P clips lies: x and y (P,) in percent of the plot, and the rows of the judgements (P,).

    `explained` is the share of the embeddings' variance that the two directions hold.
    """

    x: np.ndarray
    y: np.ndarray
    rows: np.ndarray
    explained: float


def _show(comparison: Comparison) -> Iterator[Element]:
    media, best = comparison.media, comparison.best
    if best is None or media is None:
        return
    row, features, reason = find_features(comparison, media.options.embeddings)
    placed, judged = None, None
    if row is not None and features is not None:
        try:
            judged = judgements_of(row)
            placed = place(read_features(features)[0], judged)
            reason = "There is no map: the embeddings and the run have fewer than 3 clips in common."
        except SoundprobeError as error:
            reason = f"There is no map: {error}"
    if row is None or judged is None or placed is None:
        yield Text(on_page(one_line(reason)), role="caveat")
        return
    in_gallery = set(media.ready)  # the gallery comes first on the page; its sounds are not embedded twice
    clips = _heard(judged, placed.rows, media)
    yield _what(row, best, placed, len(judged.ids))
    silence = _silence(media, len(clips), len(placed.rows))
    if silence:
        yield Text(on_page(one_line(silence)), role="how")
    yield Interactive(
        "map.html",
        "The map is in report.html.",
        {
            "symbols": symbols_of(comparison.class_names),
            "with_sound": len(clips),
            "points": _points(judged, placed, clips),
            "data": _data(judged, placed, comparison.class_names, clips - in_gallery, media),
        },
    )


def _what(row: Row, best: Row, placed: Placed, clips: int) -> Text:
    drawn, backbone = len(placed.rows), row.first.backbone
    which, them = (f"{count(drawn)} of {count(clips)} clips", "them") if drawn < clips else ("Each clip", "it")
    why = _why_not(row, best)
    return Text(
        f"{which} where {one_line(backbone['title'])} puts {them}: clips that lie together are alike to it. Two "
        f"directions of {count(backbone['embedding_dim'])} (PCA), which hold {percent(placed.explained, 0)}"
        "\N{NO-BREAK SPACE}% of the differences, so much that lies apart is hidden here.",
        on_page(" Hollow: ", run_name(row), f" is wrong about it{f' ({why})' if why else ''}."),
        role="how",
    )


def find_features(comparison: Comparison, root: Path) -> tuple[Row | None, FeatureSet | None, str]:
    """The best row whose embeddings are in the store, with them; or neither and why, as a sentence with its remedy."""
    tuned = False
    for row in comparison.ranked:
        if row.first.info["kind"] != "probe" or (row.is_control and row is not comparison.best):
            continue
        if is_finetuned_in_folds(row.first):  # its networks put each clip in as many places as there are folds
            tuned = True
            continue
        try:
            found = find_feature_sets(root, backbone=str(row.first.backbone["name"]), dataset=comparison.name)
        except SoundprobeError:
            continue
        for features in found:
            if features.key == row.first.backbone["key"]:
                return row, features, ""
    if tuned:
        return None, None, f"There is no map: {DIFFERENT_IN_FOLDS}, and there are no frozen ones in {one_line(root)}."
    reason = (
        f"There is no map, because the embeddings of the runs are not in {one_line(root)}. "
        "Make the report again with --embeddings FOLDER."
    )
    return None, None, reason


def _why_not(row: Row, best: Row) -> str:
    """Why the map is `row`'s and not the best run's; empty where it is."""
    if row is best:
        return ""
    if best.first.info["kind"] == "finetune" or is_finetuned_in_folds(best.first):
        return DIFFERENT_IN_FOLDS
    if is_imported(best.first):
        return "an imported run has no embeddings"
    return "the best run's own embeddings are not in the store"


def place(embeddings: Embeddings, judged: Judgements) -> Placed | None:
    """The clips in the plane of their two main directions, at most `MOST_POINTS` of them; None for fewer than 3.

    Every dimension counts alike (standardised), as it does for the heads. Clips beyond the limit are left out evenly:
    the most confident mistakes stay, the others are drawn at random.
    """
    from sklearn.decomposition import PCA

    common, mine, theirs = np.intersect1d(judged.ids, embeddings.ids, return_indices=True)
    if len(common) < 3:
        return None
    features = np.asarray(embeddings.features)[theirs].astype(np.float64)
    spread = features.std(axis=0)
    features = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    pca = PCA(n_components=2, svd_solver="randomized", random_state=SEED)
    plane = pca.fit_transform(features)  # (N, 2)
    keep = np.arange(len(common))
    if len(common) > MOST_POINTS:
        rank = np.random.default_rng(SEED).random(len(common))
        wrong = judged.predicted[mine] != judged.label[mine]
        first = np.lexsort([-judged.confidence[mine], ~wrong])[: min(int(wrong.sum()), MOST_POINTS // 10)]
        rank[first] = -1
        keep = np.sort(np.argsort(rank, kind="stable")[:MOST_POINTS])
    shown = plane[keep]
    low, high = shown.min(axis=0), shown.max(axis=0)
    percent = 3 + 94 * (shown - low) / np.where(high > low, high - low, 1)
    explained = float(np.nan_to_num(pca.explained_variance_ratio_.sum()))
    return Placed(percent[:, 0].round(2), (100 - percent[:, 1]).round(2), mine[keep], explained)


def _heard(judged: Judgements, rows: np.ndarray, media: Media) -> set[str]:
    """The ids of the drawn clips that the page has sound for: mistakes and right ones in turn, as far as room goes."""
    wrong = judged.predicted[rows] != judged.label[rows]
    mistakes = rows[wrong][np.argsort(-judged.confidence[rows[wrong]], kind="stable")]
    right = np.random.default_rng(SEED).permutation(rows[~wrong])
    turns = itertools.chain.from_iterable(itertools.zip_longest(mistakes, right))
    order = [str(judged.ids[row]) for row in turns if row is not None]
    return {clip for clip, made in media.fetch(order).items() if made.sound is not None}


def _silence(media: Media, heard: int, drawn: int) -> str:
    """Why some or all points make no sound, as a sentence; empty where all do."""
    if media.reason or heard == drawn:
        return media.reason
    if not media.options.audio:
        return "The sounds were left out with --no-audio."
    return (
        f"{heard:,} of the points can be heard, the strongly drawn ones: the page has room for so much only "
        f"(--max-audio-mb {media.options.max_audio_mb:g})."
    )


def _points(judged: Judgements, placed: Placed, clips: set[str]) -> list[tuple[int, float, float, int, str]]:
    """What is drawn: number, x, y, class, and the CSS classes; what can be heard comes last and so lies on top."""
    points = []
    for number, row in enumerate(placed.rows):
        label = int(judged.label[row])
        kind = "right" if judged.predicted[row] == label else "wrong"
        heard = "" if not clips or str(judged.ids[row]) in clips else " faint"
        points.append((number, float(placed.x[number]), float(placed.y[number]), label, f"{kind}{heard}"))
    return sorted(points, key=lambda point: (not point[4].endswith("faint"), point[4].startswith("wrong"), point[0]))


def _data(
    judged: Judgements, placed: Placed, class_names: Sequence[str], clips: set[str], media: Media
) -> dict[str, Any]:
    """What the script needs: each point's clip, class, predicted class, confidence and fold; sounds of `clips`."""
    sure = np.round(100 * judged.confidence.astype(np.float64)).astype(np.int64)
    columns = (judged.ids, judged.label, judged.predicted, sure, judged.fold)
    points = list(zip(*(column[placed.rows].tolist() for column in columns), strict=True))
    sounds = {}
    for clip in sorted(clips):
        made = media.ready[clip]
        assert made.sound is not None
        sound, picture = (base64.b64encode(one).decode() for one in (made.sound, made.picture))
        sounds[clip] = [sound, picture, round(made.duration_s, 3)]
    return {"classes": [one_line(name) for name in class_names], "points": points, "sounds": sounds}


SECTION = Section("map", "A map of the embeddings", _show)
