"""Which score tells classes that were never heard from those that were: the choice behind "none of these".

    python benchmarks/novelty.py --embeddings figures/esc10/frozen/mn04/embeddings \
        figures/urbansound8k/frozen/mn04/embeddings --shared dog,dog_bark

Each set in turn is what was heard. Its own clips are scored out of fold; beside them stand all clips of the other set
but those of classes that both have; then, within the set alone, each class left out of training in turn, the mean over
them. Both as AUROC, and as the share that is told from the data's own where 95 % of these pass.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from machine_note import describe
from soundprobe.base.records import Embeddings
from soundprobe.embeddings.sets import find_feature_sets, read_features
from soundprobe.heads.catalog import make_head
from soundprobe.heads.inference import unit
from soundprobe.heads.novelty import Novelty
from soundprobe.heads.scaling import scaler_of, standardised

Score = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""From training features (N, D), their labels (N,) and queries (Q, D) to (Q,), larger for what is more unlike."""
PASSING = 0.95


def surest(features: np.ndarray, labels: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Less the largest probability of a linear head: Hendrycks and Gimpel, 2017."""
    head = make_head("linear", seed=0, strengths=[0.1])
    least: np.ndarray = -head.fit(features, labels).predict_proba(queries).max(axis=1)
    return least


def nearest(k: int, *, cosine: bool) -> Score:
    """The distance to the k-th nearest training clip, standardised: Sun et al., 2022."""

    def score(features: np.ndarray, _: np.ndarray, queries: np.ndarray) -> np.ndarray:
        scaler = scaler_of(features)
        rows, asked = (standardised(one, *scaler).astype(np.float64) for one in (features, queries))
        rows, asked = (unit(rows), unit(asked)) if cosine else (rows, asked)
        squares = (asked**2).sum(axis=1)[:, None] + (rows**2).sum(axis=1) - 2 * asked @ rows.T
        found: np.ndarray = np.partition(squares, k - 1, axis=1)[:, k - 1]
        return found

    return score


SCORES: dict[str, Score] = {
    "1 - probability, linear": surest,
    "1 nearest, cosine": nearest(1, cosine=True),
    "5 nearest, cosine": nearest(5, cosine=True),
    "1 nearest, Euclid": nearest(1, cosine=False),
    "5 nearest, Euclid": nearest(5, cosine=False),
    "Mahalanobis": lambda features, labels, queries: Novelty.of(features, labels).score(queries),
}


def told_apart(own: np.ndarray, unheard: np.ndarray) -> tuple[float, float]:
    """AUROC, and the share of the unheard beyond the distance at which `PASSING` of the own pass."""
    truth = np.repeat([0, 1], [len(own), len(unheard)])
    auroc = roc_auc_score(truth, np.concatenate([own, unheard]))
    return float(auroc), float((unheard > np.quantile(own, PASSING)).mean())


def against_other(score: Score, heard: Embeddings, unheard: np.ndarray) -> tuple[float, float]:
    features = np.asarray(heard.features)
    own = [
        score(features[heard.folds != fold], heard.labels[heard.folds != fold], features[heard.folds == fold])
        for fold in np.unique(heard.folds)
    ]
    return told_apart(np.concatenate(own), score(features, heard.labels, unheard))


def without_a_class(score: Score, heard: Embeddings) -> tuple[float, float]:
    features, found = np.asarray(heard.features), []
    for label in np.unique(heard.labels):
        own, unheard = [], []
        for fold in np.unique(heard.folds):
            train = (heard.folds != fold) & (heard.labels != label)
            test = np.flatnonzero(heard.folds == fold)
            scores = score(features[train], heard.labels[train], features[test])
            own.append(scores[heard.labels[test] != label])
            unheard.append(scores[heard.labels[test] == label])
        found.append(told_apart(np.concatenate(own), np.concatenate(unheard)))
    return tuple(np.mean(found, axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embeddings", nargs=2, required=True, metavar="FOLDER", help="of two data sets")
    parser.add_argument("--backbone", default="mn04")
    parser.add_argument("--shared", default="", help="classes of either that the other has, too, joined by commas")
    args = parser.parse_args()
    print(describe())
    found = [find_feature_sets(Path(root), backbone=args.backbone) for root in args.embeddings]
    first, second = (read_features(one)[0] for (one,) in found)
    shared = args.shared.split(",")
    print("AUROC, share told from the data's own where 95 % of these pass")
    for heard, other in ((first, second), (second, first)):
        mine = [label for label, name in enumerate(other.class_names) if name not in shared]
        unheard = np.asarray(other.features)[np.isin(other.labels, mine)]
        names = f"{heard.meta['dataset']['name']} against {other.meta['dataset']['name']}, {len(mine)} classes"
        print(f"\n{names}, {len(unheard)} clips; and a class left out")
        for name, score in SCORES.items():
            pairs = (against_other(score, heard, unheard), without_a_class(score, heard))
            print(f"{name:<26}" + "  ".join(f"{auroc:.3f} {share:.3f}" for auroc, share in pairs))


if __name__ == "__main__":
    main()
