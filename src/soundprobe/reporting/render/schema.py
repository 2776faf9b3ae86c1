"""Comparisons -> report.json, for machines.

Format 2. Accuracies and F1 are shares in [0, 1]; a figure that does not exist (the sample deviation of one fold, the F1
of a class without clips) is null.

    {"format": 2, "title": str,
     "notes": {"title", "dataset", "clean_fold", "parameters", "contamination": why all but the clean fold don't count,
               "folds": [{"fold", "accuracy", "macro_f1", "first_loss", "last_loss", "contaminated": bool}],
               "contaminated_mean": {"accuracy": STATS, "macro_f1": STATS}},
     "datasets": [{"name", "fingerprint", "clips", "failed", "class_names": [C], "folds": [F],
                   "notes_standing": "same clips" | "a sample of the clips" | "other clips",
                   "verdict": [sentences],
                   "best": index in "rows" or null,
                   "audit": AUDIT or null where no run says the clips' recordings,
                   "hardest_recordings": [{"group", "folds", "class_names", "clips", "wrong", "best_wrong",
                                           "taken_for", "taken_share"}] over the contenders,
                   "without_leaks": [PAIR] of rows that left leaking training clips out, less those that kept them,
                   "rows": [ROW, best first; then those without a rank, rows that lack folds last]}],
     "unreadable": [{"path", "reason"}]}

    STATS  {"mean", "std_population", "std_sample"} over folds
    INTERVAL {"value", "low", "high", "method", "level"}; `low` and `high` are null where the data can't give them
    PAIR   {"row", "other": indices in "rows", "clips": that both tested, "accuracy": PAIRED, "macro_f1": PAIRED}
    PAIRED {"mean": INTERVAL of the first less the second, "differences": one a fold of "folds",
            "t_test": {"statistic", "freedom", "p", "low", "high", "test_train_ratio", "reason"}, "p_holm",
            "comparisons": how many Holm's correction is for, "clear": bool,
            "sign_test": {"ahead", "behind", "ties", "p", "smallest_p"}}; see `soundprobe.scoring.paired_tests`
    AUDIT  as `soundprobe.data.audit.audit.Audit.to_json`
    ROW    {"name", "title", "kind": "probe" | "finetune", "tag": what must be said of it, "is_control": bool,
            "caution": what must be known to read it, or "",
            "control_of": "random weights", "shuffled labels" or "", "contaminated": bool (carried over),
            "rank": int, or null where it has none, as every control, "complete": bool,
            "backbone": {"name", "title", "weights", "weights_label", "weights_sha256", "embedding_dim", "parameters",
                         "key", "settings", "commands"}, "head": {"name", "title", "settings"},
            "accuracy": STATS, "macro_f1": STATS, averaged over seeds before;
            "intervals": {"accuracy": INTERVAL, "macro_f1": INTERVAL}, "doubts": [why they may be too narrow],
            "seed_spread": {"accuracy": STATS, "macro_f1": STATS} over the seeds' means,
            "folds": [{"fold", "accuracy", "macro_f1", "interval": INTERVAL of the accuracy}] averaged over seeds,
            "per_class": [C of {"precision", "recall", "f1"}: INTERVAL each, left out where it does not exist],
            "calibration": {"ece", "confidence", "accuracy",
                            "bins": [{"low", "high", "clips", "confidence", "accuracy"}]},
            "training": {"epoch", "train_loss", "train_loss_eval", "validation_loss", "validation_accuracy",
                         "as_trained_percent", "remeasured_percent": the notes' overfitting} of the last epoch, means
                        over folds, null where a fold lacks it; or null for what trained no network,
            "learning_curve": [{"share", "recordings", "clips", "accuracy", "macro_f1", "spread", "folds"}],
            "peeking": {"honest", "peeked_by_fold", "peeked_overall"} or null; never used by anything,
            "by": {"salience" and "length": [{"condition", "clips", "recordings", "accuracy": INTERVAL or null}]},
                  for the best rows only,
            "per_class_f1": [C], "confusion": [C][C] counts, rows true, over all folds and seeds,
            "chosen": {setting: {value: how many folds chose it}}, "seconds" of all folds, "seconds_per_clip" or null,
            "control": index in "rows" of its random-weights control, or null,
            "over_control": {"mean", "folds_better", "folds", "matched": same head and settings} or null,
            "against_control": PAIR or null; "against_best": PAIR or null, for contenders,
            "against_notes": {"clips", "design_effect", "by_clip", "by_recording": INTERVAL of fold 1 less the notes'}
                  or null where the clips are others,
            "runs": [{"path", "seed", "head_key", "accuracy": STATS, "macro_f1": STATS, "command", "versions",
                      "created", "seconds"}]}
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from soundprobe.reporting.compared.comparison import Comparison, compare
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.render.html import page_title
from soundprobe.reporting.render.schema_parts import dataset_parts, index_of, interval, row_parts
from soundprobe.reporting.runs.collect import UnreadableRun
from soundprobe.reporting.runs.run import Run
from soundprobe.reporting.sections.verdict import verdict_of
from soundprobe.scoring import notes
from soundprobe.scoring.metrics import MeanStd, mean_std

FORMAT = 2
BACKBONE_FIELDS = (
    "name",
    "title",
    "weights",
    "weights_label",
    "weights_sha256",
    "embedding_dim",
    "parameters",
    "key",
    "settings",
    "commands",
)


def build_document(
    comparisons: Sequence[Comparison], unreadable: Sequence[UnreadableRun], title: str | None = None
) -> dict[str, Any]:
    """The document that the module's docstring describes, of JSON's own types."""
    document = {
        "format": FORMAT,
        "title": title or page_title(comparisons),
        "notes": _notes(),
        "datasets": [_dataset(comparison) for comparison in comparisons],
        "unreadable": [{"path": run.path, "reason": run.reason} for run in unreadable],
    }
    return {name: _without_nan(value) for name, value in document.items()}


def _notes() -> dict[str, Any]:
    folds = [
        {
            "fold": fold.fold,
            "accuracy": fold.accuracy,
            "macro_f1": fold.macro_f1,
            "first_loss": fold.first_loss,
            "last_loss": fold.last_loss,
            "contaminated": fold.fold != notes.CLEAN_FOLD,
        }
        for fold in notes.FOLDS
    ]
    return {
        "title": notes.TITLE,
        "dataset": notes.DATASET,
        "clean_fold": notes.CLEAN_FOLD,
        "parameters": notes.PARAMETERS,
        "contamination": notes.CONTAMINATION,
        "folds": folds,
        "contaminated_mean": {"accuracy": _stats(notes.accuracy()), "macro_f1": _stats(notes.macro_f1())},
    }


def _dataset(comparison: Comparison) -> dict[str, Any]:
    return {
        "name": comparison.name,
        "fingerprint": comparison.fingerprint,
        "clips": comparison.clips,
        "failed": comparison.failed,
        "class_names": list(comparison.class_names),
        "folds": list(comparison.folds),
        "notes_standing": comparison.standing.value,
        "verdict": list(verdict_of(comparison).sentences),
        "best": index_of(comparison, comparison.best),
        **dataset_parts(comparison),
        "rows": [_row(comparison, row) for row in comparison.rows],
    }


def _row(comparison: Comparison, row: Row) -> dict[str, Any]:
    control = comparison.control_of(row)
    return {
        "name": row.name,
        "title": row.title,
        "kind": row.first.info["kind"],
        "tag": row.tag,
        "caution": row.caution,
        "is_control": row.is_control,
        "control_of": row.control,
        "contaminated": row.contaminated,
        "rank": comparison.rank_of(row),
        "complete": row.complete,
        "backbone": {name: row.first.backbone.get(name) for name in BACKBONE_FIELDS},
        "head": {name: row.first.head[name] for name in ("name", "title", "settings")},
        "accuracy": _stats(row.accuracy),
        "macro_f1": _stats(row.macro_f1),
        "seed_spread": {
            "accuracy": _stats(row.accuracy_over_seeds),
            "macro_f1": _stats(row.macro_f1_over_seeds),
        },
        "folds": [
            {
                "fold": fold,
                "accuracy": float(accuracy),
                "macro_f1": float(macro_f1),
                "interval": interval(row.scores.fold_interval("accuracy", fold)),
            }
            for fold, accuracy, macro_f1 in zip(row.folds, row.fold_accuracy, row.fold_macro_f1, strict=True)
        ],
        "per_class_f1": row.per_class_f1.tolist(),
        "confusion": row.confusion.tolist(),
        "chosen": {name: dict(values) for name, values in row.chosen.items()},
        "seconds": row.seconds,
        "seconds_per_clip": row.seconds_per_clip,
        "control": index_of(comparison, control),
        "over_control": _difference(row, control),
        **row_parts(comparison, row),
        "runs": [_run(run) for run in row.runs],
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "path": run.path,
        "seed": run.head["seed"],
        "head_key": run.head["key"],
        "accuracy": _stats(mean_std([scores.accuracy for scores in run.folds])),
        "macro_f1": _stats(mean_std([scores.macro_f1 for scores in run.folds])),
        **{name: run.info[name] for name in ("command", "versions", "created", "seconds")},
    }


def _difference(row: Row, control: Row | None) -> dict[str, Any] | None:
    difference = compare(row, control) if control else None
    if difference is None:
        return None
    return {
        "mean": difference.mean,
        "folds_better": difference.better,
        "folds": difference.folds,
        "matched": difference.matched,
    }


def _stats(stats: MeanStd) -> dict[str, float]:
    return dict(stats._asdict())


def _without_nan(value: Any) -> Any:
    """`value` with null in place of what JSON has no number for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _without_nan(item) for name, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_without_nan(item) for item in value]
    return value
