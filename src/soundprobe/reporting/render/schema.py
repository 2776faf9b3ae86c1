"""Comparisons -> report.json, for machines.

Each section of the report adds its facts to the data set and to the rows; what no section is about is added here.
Format 3. Accuracies and F1 are shares in [0, 1]; a figure that does not exist (the sample deviation of one fold, the F1
of a class without clips) is null.

    {"format": 3, "title": str,
     "notes": null where no data set is UrbanSound8K, else
              {"title", "dataset", "clean_fold", "parameters", "contamination": why all but the clean fold don't count,
               "folds": [{"fold", "accuracy", "macro_f1", "first_loss", "last_loss", "contaminated": bool}],
               "contaminated_mean": {"accuracy": STATS, "macro_f1": STATS}},
     "datasets": [{"name", "fingerprint", "clips", "failed", "class_names": [C], "folds": [F],
                   "published": [{"name", "title", "standing": "same clips" | "a sample of the clips" of which it was
                                  published, "tests": the folds that are test results, "contamination": why the others
                                  are none, or "", "folds": [{"fold", "accuracy", "macro_f1" or null}]}],
                   "verdict": [sentences, the first the answer],
                   "figures": [{"figure", "unit", "what"}] of the first screen,
                   "checks": [{"said", "passed": bool, "section"}], "next": [{"said", "command", "section"}],
                   "unmeasured": [{"what", "command"}],
                   "best": index in "rows" or null,
                   "audit": AUDIT or null where no run says the clips' recordings,
                   "hardest_recordings": [{"group", "folds", "class_names", "clips", "wrong", "best_wrong",
                                           "taken_for", "taken_share"}] over the contenders,
                   "label_suspects": {"row": index in "rows" of the run that is asked, "clips": [{"clip", "fold",
                                      "recording" or null, "given", "suggested": class names, "probability" of the
                                      suggested}], most contradicted recording first} or null,
                   "tags": null, or what a network's own classifier hears in each class: {"backbone", "title",
                            "classes": [{"name", "clips", "tags": [{"name", "mean", "elsewhere": in the other
                                         classes' clips}]}]},
                   "baselines": [{"kind": "no_network", "untrained", "own" or "from_scratch", "row"}], the
                                best row of each kind that does without pretraining, best first,
                   "over_baselines": [PAIR] of the best pretrained row less each of them,
                   "own": null, or the user's own model: {"name", "row": index in "rows" or null, "lead": null or of the
                          best run over it {"row", "unit", "interval": INTERVAL, "p_holm" or null, "clear", "caution":
                          why they are no equals or "", "classes": [{"name", "run", "own", "difference", "clips"}]}},
                   "over_own": [PAIR] of each contender less the user's own model,
                   "without_leaks": [PAIR] of rows that left leaking training clips out, less those that kept them,
                   "optimistic": [{"row", "honest": indices in "rows" of a run on reshuffled folds or with a network
                                   carried over, and the same as it should be or null, "gap": in accuracy,
                                   "in_training", "honest_in_training": share of clips whose recording is trained on}],
                   "rows": [ROW, best first; then those without a rank, rows that lack folds last]}],
     "unreadable": [{"path", "reason"}]}

    STATS  {"mean", "std_population", "std_sample"} over folds
    INTERVAL {"value", "low", "high", "method", "level"}; `low` and `high` are null where the data can't give them
    PAIR   {"row", "other": indices in "rows", "clips": that both tested, "accuracy": PAIRED, "macro_f1": PAIRED}
    PAIRED {"mean": INTERVAL of the first less the second, by the bootstrap, "differences": one a fold of "folds",
            "interval": INTERVAL, the wider of the bootstrap's and the t-test's, as the page shows it,
            "detectable": the least true difference that would be clear in about 80 % of cases, or null,
            "t_test": {"statistic", "freedom", "p", "low", "high", "test_train_ratio", "error", "reason"}, "p_holm",
            "comparisons": how many Holm's correction is for, "clear": bool,
            "sign_test": {"ahead", "behind", "ties", "p", "smallest_p"}}; see `soundprobe.scoring.paired_tests`
    AUDIT  as `soundprobe.data.audit.audit.Audit.to_json`
    ROW    {"name", "title", "kind": "probe" | "finetune" | "import", "tag": what must be said of it,
            "is_control": bool,
            "caution": what must be known to read it, or "",
            "imported": null, or of an import what `soundprobe.scoring.run_records.ImportRecord` says,
            "control_of": "random weights", "shuffled labels", "reshuffled folds" (whose "folds" are its own) or "",
            "contaminated": bool (carried over),
            "rank": int, or null where it has none, as every control, "complete": bool,
            "backbone": {"name", "title", "weights": "pretrained", "random", "file", "fine-tuned" or "none" (a baseline:
                         nothing learnt), "weights_label", "weights_sha256", "embedding_dim", "parameters", "key",
                         "settings", "commands"}, "head": {"name", "title", "settings"},
            "accuracy": STATS, "macro_f1": STATS, averaged over seeds before;
            "intervals": {"accuracy": INTERVAL, "macro_f1": INTERVAL}, "doubts": [why they may be too narrow],
            "seed_spread": {"accuracy": STATS, "macro_f1": STATS} over the seeds' means,
            "folds": [{"fold", "accuracy", "macro_f1", "interval": INTERVAL of the accuracy}] averaged over seeds,
            "per_class": [C of {"precision", "recall", "f1"}: INTERVAL each, left out where it does not exist],
            "calibration": null without probabilities, else
                           {"ece", "by_luck", "by_luck_high": mean and 95 % quantile of a perfectly calibrated run's,
                            "confidence", "accuracy", "bins": [{"low", "high", "clips", "confidence", "accuracy",
                            "by_luck_low", "by_luck_high": the middle 95 % of such a run's accuracies}]},
            "training": {"epoch", "train_loss", "train_loss_eval", "validation_loss", "validation_accuracy",
                         "as_trained_percent", "remeasured_percent": validation less training loss} of the last epoch,
                        means
                        over folds, null where a fold lacks it; or null for what trained no network,
            "learning_curve": [{"share", "recordings", "clips", "accuracy", "macro_f1", "spread", "folds"}],
            "shots": [{"shots", "recordings", "clips", "accuracy", "macro_f1", "interval": INTERVAL over folds, by the
                      corrected t-test, "spread" over draws, "draws", "folds"}],
            "peeking": {"honest", "peeked_by_fold", "peeked_overall"} or null; never used by anything,
            "by": {"salience" and "length": [{"condition", "clips", "recordings", "accuracy": INTERVAL or null}]},
                  for the best rows only,
            "per_class_f1": [C], "confusion": [C][C] counts, rows true, over all folds and seeds,
            "chosen": {setting: {value: how many folds chose it}},
            "layer_weights": {layer: mean over folds of its learnt weight}, empty where none were,
            "seconds" of all folds, "seconds_per_clip" or null,
            "control": index in "rows" of its random-weights control, or null,
            "over_control": {"mean", "folds_better", "folds", "matched": same head and settings} or null,
            "against_control": PAIR or null; "against_best": PAIR or null, for contenders,
            "against_published": {name: {"clips", "design_effect", "by_clip", "by_recording": INTERVAL of the row less
                  it on the folds that are published as test results}}, of what was published of the same clips,
            "runs": [{"path", "seed", "head_key", "weights_label", "weights_sha256", "accuracy": STATS,
                      "macro_f1": STATS, "command", "versions", "created", "seconds"}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from soundprobe.base.files import plain_json
from soundprobe.reporting.compared.baselines import PublishedHere
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.pairs import place_of
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.content import Content, Part
from soundprobe.reporting.sections import notes_cnn, sections

FORMAT = 3
BACKBONE_FIELDS = """
    name title weights weights_label weights_sha256 embedding_dim parameters key settings commands
"""
DATASET_ORDER = """
    name fingerprint clips failed class_names folds published verdict figures checks next unmeasured best audit
    hardest_recordings label_suspects tags baselines over_baselines own over_own without_leaks optimistic rows
"""
ROW_ORDER = """
    name title kind tag caution imported is_control control_of contaminated rank complete backbone head accuracy
    macro_f1 seed_spread folds per_class_f1 confusion chosen layer_weights seconds seconds_per_clip control
    over_control intervals doubts per_class calibration learning_curve shots training peeking by against_control
    against_best against_published runs
"""
"""Fields in the order in which the file holds them, whichever section they come from; others follow."""


def build_document(content: Content) -> dict[str, Any]:
    """The document that the module's docstring describes, of JSON's own types."""
    document = {
        "format": FORMAT,
        "title": content.title,
        "notes": notes_cnn.facts() if notes_cnn.applies([part.comparison for part in content.parts]) else None,
        "datasets": [_dataset(part) for part in content.parts],
        "unreadable": [{"path": run.path, "reason": run.reason} for run in content.unreadable],
    }
    return {name: plain_json(value) for name, value in document.items()}


def _dataset(part: Part) -> dict[str, Any]:
    comparison = part.comparison
    own = {
        "name": comparison.name,
        "fingerprint": comparison.fingerprint,
        "clips": comparison.clips,
        "failed": comparison.failed,
        "class_names": comparison.class_names,
        "folds": comparison.folds,
        "published": [_published(here) for here in comparison.published],
        "verdict": part.verdict.sentences,
        "figures": [asdict(one) for one in part.verdict.figures],
        "checks": [asdict(one) for one in part.checks],
        "next": [asdict(one) for one in part.steps],
        "unmeasured": [asdict(one) for one in part.unmeasured],
        "best": place_of(comparison.best, comparison.rows),
        "rows": [_row(comparison, row) for row in comparison.rows],
    }
    return _merged(DATASET_ORDER, own, *(section.facts(comparison) for section in sections()))


def _published(here: PublishedHere) -> dict[str, Any]:
    one = here.published
    folds = [{"fold": fold.fold, "accuracy": fold.accuracy, "macro_f1": fold.macro_f1} for fold in one.folds]
    told = {"name": one.name, "title": one.title, "standing": here.standing.value, "tests": one.tests}
    return {**told, "contamination": one.contamination, "folds": folds}


def _row(comparison: Comparison, row: Row) -> dict[str, Any]:
    own = {
        "name": row.name,
        "title": row.title,
        "kind": row.first.info["kind"],
        "tag": row.tag,
        "caution": row.caution or row.no_equal,
        "imported": row.first.info.get("imported"),
        "is_control": row.is_control,
        "control_of": row.control,
        "contaminated": row.contaminated,
        "complete": row.complete,
        "backbone": {name: row.first.backbone.get(name) for name in BACKBONE_FIELDS.split()},
        "head": {name: row.first.head[name] for name in ("name", "title", "settings")},
    }
    return _merged(ROW_ORDER, own, *(section.row_facts(comparison, row) for section in sections()))


def _merged(order: str, *facts: Mapping[str, Any]) -> dict[str, Any]:
    """All `facts` as one object, fields in their `order`.

    Raises:
        ValueError: two of them have a field of one name.
    """
    found: dict[str, Any] = {}
    for some in facts:
        if twice := found.keys() & some.keys():
            raise ValueError(f"report.json has {sorted(twice)} from two sections; name them apart")
        found |= some
    known = [name for name in order.split() if name in found]
    return {name: found[name] for name in dict.fromkeys([*known, *found])}
