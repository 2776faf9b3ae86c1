"""What choosing and training a head costs for an outer fold, against scikit-learn with joblib.

    python benchmarks/heads.py linear                       8,732 x 2,048, 5 rounds
    python benchmarks/heads.py mlp
    python benchmarks/heads.py linear mlp --quick           1,000 x 128, a minute

Both sides get the same rows, the same inner splits and the same candidates, and train once more with what they chose.
Each takes every core in its own way: soundprobe trains an outer fold on each, as `probe` does, and scikit-learn a
candidate of one outer fold on each; the start of processes is not counted. Rounds are interleaved. Only some folds
are timed (--time-folds): scikit-learn takes minutes for each.

scikit-learn's perceptron has no way to choose the number of epochs by the splits that the other settings are chosen by.
So it is timed twice: trained for `--epochs` epochs for each candidate, as soundprobe is told to as well, and with the
epochs among the candidates of its grid, where soundprobe chooses them as it does by default ("epochs chosen").
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import sklearn
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from machine_note import describe, spread
from soundprobe.base.parallel import run_tasks
from soundprobe.heads.linear import LinearHead
from soundprobe.heads.mlp import MLPHead
from soundprobe.scoring.folds import inner_split
from synthetic_embeddings import make_embeddings

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
Fit = Callable[[Rows], Any]
EPOCHS = (10, 20, 40, 60)
"""scikit-learn's candidates where epochs are chosen: coarser than soundprobe's, which may stop after any of 60."""


def linear_head(rows: Rows) -> LinearHead:
    return LinearHead().fit(rows[0], rows[1], groups=rows[2])


def logistic_regression(rows: Rows, jobs: int, max_iter: int = 1000) -> GridSearchCV:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=max_iter))
    return search(model, {"logisticregression__C": list(LinearHead().strengths)}, rows, LinearHead().inner_splits, jobs)


def mlp_head(epochs: int | None, rows: Rows) -> MLPHead:
    fixed = {} if epochs is None else {"max_epochs": epochs, "patience": epochs}
    return MLPHead(**fixed).fit(rows[0], rows[1], groups=rows[2])


def mlp_classifier(rows: Rows, jobs: int, epochs: tuple[int, ...]) -> GridSearchCV:
    head = MLPHead()
    batch = head.recipe_for(1, 1.0, len(rows[1])).batch_size
    perceptron = MLPClassifier(batch_size=batch, alpha=head.weight_decay, tol=0.0, n_iter_no_change=10**6)
    grid = {
        "mlpclassifier__hidden_layer_sizes": [(width,) for width in head.widths],
        "mlpclassifier__learning_rate_init": list(head.learning_rates),
        "mlpclassifier__max_iter": list(epochs),
    }
    return search(make_pipeline(StandardScaler(), perceptron), grid, rows, head.inner_splits, jobs)


def search(model: Any, grid: dict[str, list[Any]], rows: Rows, splits: int, jobs: int) -> GridSearchCV:
    X, y, groups = rows
    inner = inner_split(y, groups, splits)
    return GridSearchCV(model, grid, scoring="neg_log_loss", cv=inner, n_jobs=jobs).fit(X, y)


def objective(X: np.ndarray, y: np.ndarray, weights: np.ndarray, bias: np.ndarray, strength: float) -> float:
    """Mean loss + penalty, on standardised X (N, D), of weights (D, C) and bias (C,)."""
    logits = X @ weights.astype(np.float64) + bias
    loss = (logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]).mean()
    return float(loss + (weights.astype(np.float64) ** 2).sum() / (2 * strength * len(y)))


def check_linear(rows: Rows, asked: np.ndarray, truth: np.ndarray, head: LinearHead) -> str:
    """How far `head` is from a tightly converged solution at its strength."""
    X = StandardScaler().fit(rows[0].astype(np.float64))
    Z, strength = X.transform(rows[0].astype(np.float64)), head.chosen_["strength"]
    tight = LogisticRegression(C=strength, tol=1e-8, max_iter=5000).fit(Z, rows[1])
    best = objective(Z, rows[1], tight.coef_.T, tight.intercept_, strength)
    ours = objective(Z, rows[1], head.weights_, head.bias_, strength)
    theirs = (tight.predict(X.transform(asked.astype(np.float64))) == truth).mean()
    points = 100 * ((head.predict(asked) == truth).mean() - theirs)
    return f"objective {ours / best - 1:+.1e} of a tight solution's, accuracy {points:+.2f} points of its {theirs:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("heads", nargs="*", choices=["linear", "mlp"])
    parser.add_argument("--clips", type=int, default=8732)
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--time-folds", type=int, help="how many of the outer folds are timed; default: one a core")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20, help="of the perceptrons where both sides train equally long")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes of each side")
    parser.add_argument("--check", action="store_true", help="compare with a tightly converged solution: minutes")
    parser.add_argument("--quick", action="store_true", help="1,000 x 128, 2 rounds, 5 epochs")
    options = parser.parse_args()
    # A perceptron that is told how many epochs to train warns each time; the variable is for the processes.
    os.environ["PYTHONWARNINGS"] = "ignore"
    warnings.simplefilter("ignore", ConvergenceWarning)
    if options.quick:
        options.clips, options.dimension, options.rounds, options.epochs = 1000, 128, 2, 5
    options.time_folds = min(options.folds, options.time_folds or options.jobs)
    data = make_embeddings(options.clips, options.dimension, options.classes, options.folds)
    print(f"{describe()}; scikit-learn {sklearn.__version__} with {options.jobs} processes")
    print(
        f"{options.clips} x {options.dimension}, {options.classes} classes; {options.time_folds} of {options.folds} "
        f"outer folds timed on both sides, {options.rounds} interleaved rounds"
    )
    heads = options.heads or ["linear"]
    pairs: list[tuple[str, Fit, Fit]] = []
    if "linear" in heads:
        pairs.append(("linear", linear_head, lambda rows: logistic_regression(rows, options.jobs)))
    if "mlp" in heads:
        equal = options.epochs
        pairs += [
            (f"mlp, {equal} epochs", partial(mlp_head, equal), lambda r: mlp_classifier(r, options.jobs, (equal,))),
            ("mlp, epochs chosen", partial(mlp_head, None), lambda r: mlp_classifier(r, options.jobs, EPOCHS)),
        ]
    for name, ours, theirs in pairs:
        compare(name, ours, theirs, data, options)


def compare(name: str, ours: Fit, theirs: Fit, data: Any, options: argparse.Namespace) -> None:
    seconds: dict[str, list[float]] = {"soundprobe": [], "scikit-learn": []}
    told = ""
    folds = [int(fold) for fold in np.unique(data.folds)[: options.time_folds]]
    rows = {
        fold: [column[data.folds != fold] for column in (data.features, data.labels, data.groups)] for fold in folds
    }
    some = np.arange(60 * options.classes)
    noise = np.random.default_rng(0).normal(size=(len(some), 8)).astype(np.float32)
    tiny = [(noise, some % options.classes, some)] * options.jobs
    for round_ in range(options.rounds):
        list(run_tasks(ours, [(part,) for part in tiny], jobs=options.jobs))  # starts processes and loads libraries
        began = time.perf_counter()
        mine = list(run_tasks(ours, [(rows[fold],) for fold in folds], jobs=options.jobs))
        seconds["soundprobe"].append((time.perf_counter() - began) / len(folds))
        theirs(tiny[0])
        began = time.perf_counter()
        peers = [theirs(rows[fold]) for fold in folds]
        seconds["scikit-learn"].append((time.perf_counter() - began) / len(folds))
        print(
            f"  {name}, round {round_ + 1}: " + ", ".join(f"{s} {v[-1]:.1f} s" for s, v in seconds.items()), flush=True
        )
    for fold, head, peer in zip(folds, mine, peers, strict=True):
        asked, truth = data.features[data.folds == fold], data.labels[data.folds == fold]
        told += f"  fold {fold}: chose {head.chosen_}, scikit-learn {peer.best_params_}; accuracy "
        told += f"{(head.predict(asked) == truth).mean():.3f}, {(peer.predict(asked) == truth).mean():.3f}\n"
        if options.check and name == "linear":
            told += f"  {check_linear(rows[fold], asked, truth, head)}\n"
    ratios = [theirs / mine for mine, theirs in zip(*seconds.values(), strict=True)]
    print(
        f"{name}: soundprobe {spread(seconds['soundprobe'])} s a fold, scikit-learn {spread(seconds['scikit-learn'])}"
    )
    print(f"{name}: ratio {spread(ratios)}\n{told}", end="")


if __name__ == "__main__":
    main()
