"""How many of the labels that the report doubts are wrong, where labels are flipped on purpose.

    python benchmarks/label_errors.py --weights FILE                       synth, 5 % of recordings, then of clips
    python benchmarks/label_errors.py --weights FILE --data ESC-10/ --heads linear,mlp

FILE holds mn04's weights; without it they are fetched. Every head is trained anew on the flipped labels, fold by fold;
its suspects are what the report would show. Precision counts no more clips than were flipped; other wrong labels that a
data set has count against it. "each clip by itself" is told of no recordings, and so is cleanlab.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from cleanlab.filter import find_label_issues

from machine_note import describe
from soundprobe.base.records import Embeddings
from soundprobe.embeddings import store
from soundprobe.heads.catalog import make_head
from soundprobe.reporting.compared.judgements import Judgements
from soundprobe.reporting.compared.suspects import find_suspects
from soundprobe.scoring.folds import cross_validate
from soundprobe.verbs.extract import extract

CLEANLAB = ("prune_by_noise_rate", "prune_by_class", "confident_learning", "low_normalized_margin")


def flip(labels: np.ndarray, units: np.ndarray, classes: int, share: float, seed: int) -> np.ndarray:
    """(N,) labels, those of a share of the units replaced by another class, drawn evenly."""
    rng = np.random.default_rng(seed)
    names = np.unique(units)
    found = labels.copy()
    for unit in rng.choice(names, round(share * len(names)), replace=False):
        rows = units == unit
        found[rows] = (labels[rows][0] + rng.integers(1, classes)) % classes
    return found


def judge(clips: Embeddings, labels: np.ndarray, head: str) -> Judgements:
    """What heads that were trained on the flipped labels say of the clips that they never saw."""
    classes = len(clips.class_names)
    factory = functools.partial(make_head, head, seed=0)
    done = cross_validate(factory, clips.features, labels, clips.folds, clips.groups, clips.ids, classes)
    proba = np.zeros((len(clips), classes))
    for result, _ in done:
        proba[np.searchsorted(clips.ids, result.ids)] = result.proba
    return Judgements(clips.ids, clips.folds, labels, proba.argmax(axis=1), proba)


def ways(clips: Embeddings) -> dict[str, Callable[[Judgements], Sequence[int]]]:
    """What finds the rows that are suspected, the most contradicted first."""

    def ours(recordings: np.ndarray, judged: Judgements) -> list[int]:
        return [row for suspect in find_suspects(judged, recordings) for row in suspect.rows]

    def cleanlab(filter_by: str, judged: Judgements) -> np.ndarray:
        ranked = {"filter_by": filter_by, "return_indices_ranked_by": "normalized_margin"}
        return find_label_issues(judged.label, judged.proba, **ranked)

    found = {"by recording": clips.groups, "each clip by itself": clips.ids}
    return {
        **{name: functools.partial(ours, recordings) for name, recordings in found.items()},
        **{f"cleanlab, {name}": functools.partial(cleanlab, name) for name in CLEANLAB},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="synth")
    parser.add_argument("--weights")
    parser.add_argument("--heads", default="linear,knn")
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=15, help="How many, from 0 on.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (done,) = extract(options.data, backbone="mn04", weights=options.weights, embeddings=Path(folder))
        clips = store.read_embeddings(store.open_set(done.folder))
    print(describe())
    print(f"{len(clips)} clips of {len(np.unique(clips.groups))} recordings, {100 * options.share:g} % flipped\n")
    print("| head | flipped | judged | suspects, of flipped clips | precision, least | found, least |")
    print("|---|---|---|---|---|---|")
    for head, flipped in itertools.product(options.heads.split(","), ("recordings", "clips")):
        units = clips.groups if flipped == "recordings" else clips.ids
        labels = [flip(clips.labels, units, len(clips.class_names), options.share, n) for n in range(options.seeds)]
        judged = [judge(clips, one, head) for one in labels]
        for how, find in ways(clips).items():
            counts, precisions, recalls = [], [], []
            for one in judged:
                wrong, rows = one.label != clips.labels, find(one)
                counts.append((len(rows), wrong.sum()))
                precisions.append(wrong[rows[: wrong.sum()]].mean() if len(rows) else 0.0)
                recalls.append(wrong[rows].sum() / wrong.sum())
            listed = " of ".join(f"{mean:.1f}" for mean in np.mean(counts, axis=0))
            shares = [f"{np.mean(one):.2f}, {np.min(one):.2f}" for one in (precisions, recalls)]
            print(f"| {head} | {flipped} | {how} | {listed} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
