"""How many of the labels that the report doubts are wrong, where labels are flipped on purpose.

    python benchmarks/label_errors.py --weights FILE                       synth, 5 % of the recordings, seeds 0 to 2
    python benchmarks/label_errors.py --weights FILE --flip clips          single clips instead, each by itself
    python benchmarks/label_errors.py --weights FILE --data ESC-10/ --heads linear,mlp

FILE holds mn04's weights; without it they are fetched. Every head is trained anew on the flipped labels, fold by fold;
its suspects are what the report would show. Precision counts no more clips than were flipped; other wrong labels that a
data set has count against it. "each clip by itself" judges the clips of a recording one by one.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
from pathlib import Path

import numpy as np

from machine_note import describe
from soundprobe.base.records import Embeddings
from soundprobe.embeddings import store
from soundprobe.heads.catalog import make_head
from soundprobe.reporting.compared.judgements import Judgements
from soundprobe.reporting.compared.suspects import find_suspects
from soundprobe.scoring.folds import cross_validate
from soundprobe.verbs.extract import extract


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="synth")
    parser.add_argument("--weights")
    parser.add_argument("--heads", default="linear,mlp,knn")
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--flip", choices=["recordings", "clips"], default="recordings")
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (done,) = extract(options.data, backbone="mn04", weights=options.weights, embeddings=Path(folder))
        clips = store.read_embeddings(store.open_set(done.folder))
    print(describe())
    flips = f"{100 * options.share:g} % of the {options.flip} flipped, seeds {options.seeds}"
    print(f"{len(clips)} clips of {len(np.unique(clips.groups))} recordings; {flips}\n")
    print("| head | judged | suspects, of flipped clips | precision | found |")
    print("|---|---|---|---|---|")
    seeds = [int(seed) for seed in options.seeds.split(",")]
    units = clips.groups if options.flip == "recordings" else clips.ids
    labels = [flip(clips.labels, units, len(clips.class_names), options.share, seed) for seed in seeds]
    for head in options.heads.split(","):
        judged = [judge(clips, one, head) for one in labels]
        for how, recordings in (("by recording", clips.groups), ("each clip by itself", clips.ids)):
            counts, precisions, recalls = [], [], []
            for one in judged:
                wrong = one.label != clips.labels
                rows = [row for suspect in find_suspects(one, recordings) for row in suspect.rows]
                counts.append(f"{len(rows)} of {wrong.sum()}")
                precisions.append(wrong[rows[: wrong.sum()]].mean() if rows else float("nan"))
                recalls.append(wrong[rows].sum() / wrong.sum())
            cells = (counts, [f"{one:.2f}" for one in precisions], [f"{one:.2f}" for one in recalls])
            print(f"| {head} | {how} | {' | '.join(', '.join(cell) for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
