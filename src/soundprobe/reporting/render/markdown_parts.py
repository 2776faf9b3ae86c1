"""The parts of report.md that say how sure a figure is, and where the best run fails."""

from __future__ import annotations

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.pairs import Pair
from soundprobe.reporting.render.markdown_text import escape, row_name, table
from soundprobe.reporting.render.wording import MISSING, between, count, p_value, percent, points, points_between
from soundprobe.reporting.sections.calibration import calibrate
from soundprobe.reporting.sections.checks import peeked_of, shuffled_of
from soundprobe.reporting.sections.class_plots import class_figures
from soundprobe.reporting.sections.conditions import breakdowns_of, shown_rows
from soundprobe.reporting.sections.curves import learning_curve_of, prepare_training
from soundprobe.reporting.sections.data_audit import verdict_of_audit
from soundprobe.reporting.sections.evidence import doubts_of, notes_comparisons
from soundprobe.reporting.sections.recordings import hardest_recordings

OVERFITTING = (
    "Means over folds of the last epoch. Overfitting is the notes' figure, validation loss less training loss in % of "
    "training loss; it says nothing of accuracy, so judge by validation loss and accuracy."
)
PAIR_HEAD = [
    "",
    "points",
    "95 % interval",
    "folds ahead",
    "behind",
    "p (t-test)",
    "p (Holm)",
    "p (signs)",
    "difference",
]


def evidence_blocks(comparison: Comparison) -> list[str]:
    """Paired comparisons, controls and the audit."""
    blocks = []
    if comparison.against_best and comparison.best:
        blocks += [f"### Each run less the best, {row_name(comparison.best)}", _pairs(comparison.against_best)]
        blocks.append(
            "Accuracy on the same clips. Clear: p after Holm's correction is below .05 and the interval leaves out 0. "
            "The best was chosen by these same scores, so each p against it is a little too small, and Holm's "
            "guarantee does not cover that choice."
        )
    if comparison.best and doubts_of(comparison.best):
        blocks.append("\n".join(f"- {escape(doubt)}" for doubt in doubts_of(comparison.best)))
    against = notes_comparisons(comparison)
    if against:
        rows = [
            [
                row_name(row),
                percent(one.by_recording.run.value),
                points(one.by_recording.difference.value),
                points_between(one.by_clip.difference),
                points_between(one.by_recording.difference),
                "clear" if one.is_clear else "not clear",
            ]
            for row, one in against
        ]
        head = ["Run", "Fold 1, %", "Less the notes, points", "by clip", "by recording", "difference"]
        blocks += ["### Against the notes' CNN, on fold 1 alone", table(head, rows)]
    return [*blocks, *_controls(comparison), *_audit(comparison)]


def _pairs(pairs: tuple[Pair, ...], less: bool = False) -> str:
    rows = []
    for pair in pairs:
        one = pair.accuracy
        name = f"{row_name(pair.row)} less {row_name(pair.other)}" if less else row_name(pair.row)
        signs = [str(one.sign_test.ahead), str(one.sign_test.behind)]
        p = [p_value(one.t_test.p), p_value(one.p_holm), p_value(one.sign_test.p)]
        verdict = "clear" if one.is_clear else "not clear"
        rows.append([name, points(one.mean.value), points_between(one.mean), *signs, *p, verdict])
    return table(PAIR_HEAD, rows)


def _controls(comparison: Comparison) -> list[str]:
    blocks = []
    if comparison.against_controls:
        blocks += ["### What pretraining is worth", _pairs(comparison.against_controls, less=True)]
    shuffled = shuffled_of(comparison)
    if shuffled:
        rows = [
            [
                row_name(one.row),
                percent(one.accuracy.value),
                between(one.accuracy),
                percent(one.chance),
                f"{percent(one.chance_low)} to {percent(one.chance_high)}",
                "at chance" if one.near_chance else "**above chance**",
            ]
            for one in shuffled
        ]
        head = ["Run", "Accuracy", "95 % interval", "Guessing", "by luck", "verdict"]
        blocks += ["### Shuffled labels", table(head, rows)]
    peeked = peeked_of(comparison)
    if peeked:
        rows = [
            [
                row_name(one.row),
                percent(one.honest),
                f"~~{percent(one.overall)}~~",
                points(one.overall_gap),
                f"~~{percent(one.by_fold)}~~",
                points(one.gap),
            ]
            for one in peeked
        ]
        head = ["Run", "Honest choice", "Best setting on average", "gap", "Best setting of each fold", "gap"]
        blocks += ["### What peeking at the test folds would have added (measured, never used)", table(head, rows)]
    if comparison.without_leaks:
        blocks += ["### Leaking training clips left out", _pairs(comparison.without_leaks, less=True)]
    return blocks


def _audit(comparison: Comparison) -> list[str]:
    found = comparison.audit
    if found is None:
        return []
    lines = [
        f"- recording {escape(one.group)}: folds {', '.join(map(str, one.folds))}, {one.clips} clips"
        for one in found.shared_recordings
    ]
    lines += [
        f"- {escape(pair.ids[0])} and {escape(pair.ids[1])}: cosine {pair.cosine:.3f}, folds {pair.folds[0]} and "
        f"{pair.folds[1]}"
        for pair in (found.near_pairs or ())[:20]
    ]
    return ["### Can the folds be trusted?", escape(verdict_of_audit(found)), *(["\n".join(lines)] if lines else [])]


def breakdown_blocks(comparison: Comparison) -> list[str]:
    """Classes of the best run with intervals, conditions, recordings, calibration, learning curves."""
    shown = shown_rows(comparison)
    rows = []
    for name, clips, figures in class_figures(shown[0]):
        cells = [
            f"{percent(figures[key].value)} ({between(figures[key])})" if key in figures else MISSING
            for key in ("precision", "recall", "f1")
        ]
        rows.append([escape(name), count(clips), *cells])
    blocks = [f"### Class by class, {row_name(shown[0])}", table(["Class", "Clips", "Precision", "Recall", "F1"], rows)]
    for one in breakdowns_of(shown):
        names = [f"{name} ({count(clips)} clips)" for name, clips in zip(one.conditions, one.clips, strict=True)]
        rows = [
            [row_name(row), *(f"{percent(cell.value)} ({between(cell)})" if cell else MISSING for cell in cells)]
            for row, cells in zip(one.rows, one.cells, strict=True)
        ]
        blocks += [f"### Accuracy {one.title.lower()}", table(["Run", *names], rows)]
    hard = hardest_recordings(comparison)
    if hard:
        rows = [
            [
                escape(one.group),
                escape(", ".join(one.class_names)),
                ", ".join(map(str, one.folds)),
                str(one.clips),
                f"{one.wrong:.1f}",
                escape(one.taken_for),
            ]
            for one in hard
        ]
        head = ["Recording", "Class", "Fold", "Clips", "Wrong, on average", "Mostly taken for"]
        blocks += ["### The hardest recordings", table(head, rows, left=2)]
    found = [(row, calibrate(row)) for row in comparison.rows]
    rows = [[row_name(row), percent(one.ece), percent(one.confidence), one.verdict] for row, one in found]
    blocks += ["### Calibration", table(["Run", "Error (ECE), points", "Sure to, %", "It is"], rows)]
    curves = [(row, point) for row in comparison.rows for point in learning_curve_of(row)]
    if curves:
        rows = [
            [row_name(row), count(point.recordings), count(point.clips), percent(point.accuracy), percent(point.spread)]
            for row, point in curves
        ]
        head = ["Run", "Training recordings", "Clips", "Accuracy", "± between folds"]
        blocks += ["### Accuracy against training recordings", table(head, rows)]
    return [*blocks, *_training(comparison)]


def _training(comparison: Comparison) -> list[str]:
    view = prepare_training(comparison)
    if view is None:
        return []
    rows = [
        [
            row_name(row),
            _figure(last["epoch"], ".3g"),
            *(_figure(last[name], ".3f") for name in ("train_loss", "train_loss_eval", "validation_loss")),
            percent(last["validation_accuracy"]),
            *(_figure(last[name], "+,.1f") for name in ("as_trained_percent", "remeasured_percent")),
        ]
        for row, last in view["rows"]
    ]
    head = ["Run", "Last epoch", "Training loss", "Measured again", "Validation loss", "Validation accuracy"]
    head += ["Overfitting, %, as trained", "Overfitting, %, measured again"]
    return ["### Training", table(head, rows), OVERFITTING]


def _figure(value: float | None, form: str) -> str:
    return MISSING if value is None else format(value, form)
