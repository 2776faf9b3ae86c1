"""Maps of the clips by their embeddings, and how the classes are drawn there. Letters: N clips, D the dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soundprobe.base.errors import SoundprobeError
from soundprobe.embeddings.sets import FeatureSet, find_feature_sets, read_features
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Words
from soundprobe.reporting.runs.marks import is_finetuned_in_folds, is_imported
from soundprobe.reporting.wording import one_line, percent

COLOURS = 10
SEED = 0
EDGE, NOWHERE = 65_534, 65_535
LEAST_POINTS = 3
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
class Map:
    """Where the clips lie.

    Attributes:
        name: how it was made, to choose it by; what: what one sees, as a sentence.
        x, y: (N,) whole numbers from 0 to `EDGE`, y upwards; `NOWHERE` for a clip without an embedding.
    """

    name: str
    what: Words
    x: np.ndarray
    y: np.ndarray


def maps_of(comparison: Comparison, ids: np.ndarray) -> tuple[list[Map], str]:
    """Maps of the clips `ids` (N,), by the embeddings of the best row that has any; or none and why, as a sentence."""
    media = comparison.media
    assert media is not None
    row, features, reason = find_features(comparison, media.options.embeddings)
    if row is None or features is None:
        return [], reason
    try:
        embeddings = read_features(features)[0]
    except SoundprobeError as error:
        return [], f"There is no map: {error}"
    common, mine, theirs = np.intersect1d(ids, embeddings.ids, return_indices=True)
    if len(common) < LEAST_POINTS:
        return [], f"There is no map: the embeddings and the run have fewer than {LEAST_POINTS} clips in common."
    scaled = standardised(np.asarray(embeddings.features)[theirs])
    found = []
    for method in dict.fromkeys([media.options.map, "pca"]):
        plane, how = METHODS[method](scaled)
        x, y = np.full((2, len(ids)), NOWHERE)
        x[mine], y[mine] = on_grid(plane).T
        found.append(Map(method.upper(), _what(row, comparison, how), x, y))
    return found, ""


def standardised(features: np.ndarray) -> np.ndarray:
    """(N, D) with every dimension counting alike, as it does for the heads."""
    features = features.astype(np.float32)
    spread = features.std(axis=0)
    return (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)


def by_pca(features: np.ndarray) -> tuple[np.ndarray, str]:
    """(N, 2) the two main directions of features (N, D), and what that is."""
    from scipy.sparse.linalg import svds

    # Lanczos' method from a fixed start: the two largest alone, without scikit-learn's second of importing.
    left, sizes, right = svds(features, k=2, v0=np.ones(min(features.shape), dtype=features.dtype))
    signs = np.sign(right[np.arange(2), np.abs(right).argmax(axis=1)])  # else the start decides what is up
    plane = (left * sizes * signs)[:, ::-1]
    explained = float(np.square(sizes).sum() / max(np.square(features).sum(), 1e-12))
    return plane, (
        f"the two directions in which they differ most (PCA), with {percent(explained, 0)}\N{NO-BREAK SPACE}% of the "
        "differences: much that lies apart is hidden here"
    )


def by_umap(features: np.ndarray) -> tuple[np.ndarray, str]:
    """(N, 2) of features (N, D) by UMAP, which keeps neighbours together (McInnes, Healy and Melville 2018)."""
    from umap import UMAP

    plane = UMAP(n_components=2, random_state=SEED, n_jobs=1).fit_transform(features)
    return np.asarray(plane), "neighbours kept together (UMAP): distances between groups say nothing"


METHODS = {"pca": by_pca, "umap": by_umap}


def on_grid(plane: np.ndarray) -> np.ndarray:
    """(N, 2) whole numbers from 0 to `EDGE`."""
    low, high = plane.min(axis=0), plane.max(axis=0)
    return np.round(EDGE * (plane - low) / np.where(high > low, high - low, 1)).astype(np.int64)


def _what(row: Row, comparison: Comparison, how: str) -> Words:
    best = comparison.best
    assert best is not None
    why = _why_not(row, best)
    return (
        f"The map lays clips together that are alike to {one_line(row.first.backbone['title'])}; {how}. Hollow "
        f"marks are mistakes{f'. It is not of the best run: {why}' if why else ''}.",
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
