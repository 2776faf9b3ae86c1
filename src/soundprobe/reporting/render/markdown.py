"""Comparisons -> report.md: the page's words and tables, for places that show Markdown (GitHub, an editor)."""

from __future__ import annotations

from collections.abc import Sequence

from soundprobe.reporting.compared.comparison import Comparison, Standing, compare
from soundprobe.reporting.render.html import page_title
from soundprobe.reporting.render.markdown_parts import breakdown_blocks, evidence_blocks
from soundprobe.reporting.render.markdown_text import code, escape, row_name, table
from soundprobe.reporting.render.wording import (
    MISSING,
    between,
    count,
    duration,
    percent,
    plural,
    points,
    sentence,
    setting_text,
)
from soundprobe.reporting.runs.collect import UnreadableRun
from soundprobe.reporting.sections.breakdown import most_frequent
from soundprobe.reporting.sections.evidence import cautions_of
from soundprobe.reporting.sections.verdict import verdict_of
from soundprobe.scoring import notes

NOTES_NAME = f"{notes.TITLE} (**contaminated but for fold {notes.CLEAN_FOLD}**)"


def render_markdown(
    comparisons: Sequence[Comparison], unreadable: Sequence[UnreadableRun], title: str | None = None
) -> str:
    """The whole report as GitHub-flavoured Markdown, every name from data escaped."""
    blocks = [f"# {escape(title or page_title(comparisons))}"]
    for comparison in comparisons:
        blocks += _dataset(comparison)
    if unreadable:
        blocks.append("## Runs that could not be read")
        blocks.append("\n".join(f"- {escape(run.path)}: {escape(sentence(run.reason))}" for run in unreadable))
    blocks += _notes()
    return "\n\n".join(blocks) + "\n"


def _dataset(comparison: Comparison) -> list[str]:
    verdict = verdict_of(comparison)
    failed = f" ({count(comparison.failed)} could not be used)" if comparison.failed else ""
    facts = (
        f"{plural(comparison.clips, 'clip')}{failed}, {len(comparison.class_names)} classes, "
        f"{plural(len(comparison.folds), 'fold')}; fingerprint {code(comparison.fingerprint)}"
    )
    findings = "\n".join(
        f"- **{': '.join(filter(None, [finding.question, f'{finding.figure} {finding.unit}'.strip()]))}.** "
        f"{escape(finding.meaning)}"
        for finding in verdict.findings
    )
    return [
        f"## {escape(comparison.name)}",
        facts,
        f"**{escape(verdict.headline)}**",
        findings,
        *_ranking(comparison),
        *evidence_blocks(comparison),
        *_folds(comparison),
        *_classes(comparison),
        *_confusions(comparison),
        *breakdown_blocks(comparison),
        *_chosen(comparison),
        *_cost(comparison),
        *_reproduce(comparison),
    ]


def _ranking(comparison: Comparison) -> list[str]:
    metrics = [
        heading for name in ("Accuracy", "Macro-F1") for heading in (name, "95 % interval", "± pop.", "± sample")
    ]
    head = ["Rank", "Run", *metrics, "Over control", "Seeds"]
    rows = []
    for row in comparison.rows:
        control = comparison.control_of(row)
        difference = compare(row, control) if control else None
        spread = f" (± {percent(row.accuracy_over_seeds.std_population)})" if len(row.runs) > 1 else ""
        figures = []
        for metric, values in (("accuracy", row.accuracy), ("macro_f1", row.macro_f1)):
            mean, *spreads = map(percent, values)
            figures += [mean, between(row.scores.interval(metric)), *spreads]
        over = points(difference.mean) if difference else MISSING
        rows.append(
            [str(comparison.rank_of(row) or MISSING), row_name(row), *figures, over, f"{len(row.runs)}{spread}"]
        )
    how = (
        "Percent; means over folds with 95 % intervals (bootstrap over recordings within folds), and the population "
        "(± pop.) and the sample standard deviation over folds. "
        "Seeds: how many, and how far their mean accuracies spread."
    )
    if comparison.standing is not Standing.OTHER:
        figures = []
        for values in (notes.accuracy(), notes.macro_f1()):
            mean, *spreads = map(percent, values)
            figures += [mean, MISSING, *spreads]
        other = "" if comparison.standing is Standing.SAME else " (**on other clips**)"
        rows.append([MISSING, NOTES_NAME + other, *figures, MISSING, MISSING])
        clean = f"accuracy {percent(notes.clean().accuracy)} %, macro-F1 {percent(notes.clean().macro_f1)} %"
        how += f" The notes' figures are {notes.CONTAMINATION_BRIEF}: {clean}."
    return ["### All runs", table(head, rows, left=2), how]


def _folds(comparison: Comparison) -> list[str]:
    blocks = ["### Fold by fold"]
    head = ["Run", *(str(fold) for fold in comparison.folds), "mean ± pop."]
    for measure, per_fold, stats in (
        ("Accuracy", "accuracy_on", "accuracy"),
        ("Macro-F1", "macro_f1_on", "macro_f1"),
    ):
        rows = []
        for row in comparison.rows:
            values = [percent(getattr(row, per_fold)(fold)) for fold in comparison.folds]
            mean = getattr(row, stats)
            rows.append([row_name(row), *values, f"{percent(mean.mean)} ± {percent(mean.std_population)}"])
        if comparison.standing is Standing.SAME:
            rows.append(_notes_folds(stats))
        blocks += [f"{measure}, percent:", table(head, rows)]
    return blocks


def _notes_folds(measure: str) -> list[str]:
    values = [
        percent(getattr(fold, measure)) if fold.fold == notes.CLEAN_FOLD else f"~~{percent(getattr(fold, measure))}~~"
        for fold in notes.FOLDS
    ]
    stats = notes.accuracy() if measure == "accuracy" else notes.macro_f1()
    return [NOTES_NAME, *values, f"~~{percent(stats.mean)} ± {percent(stats.std_population)}~~"]


def _classes(comparison: Comparison) -> list[str]:
    head = ["Run", *(escape(name) for name in comparison.class_names)]
    rows = [[row_name(row), *(percent(share) for share in row.per_class_f1)] for row in comparison.rows]
    return ["### F1 of each class", "Percent, over the predictions of all tested folds together.", table(head, rows)]


def _confusions(comparison: Comparison) -> list[str]:
    if comparison.best is None:
        return []
    mistakes = [
        f"- {escape(found.true)} taken for {escape(found.predicted)}: {plural(found.count, 'clip')}, "
        f"{percent(found.share, 0)} % of the class"
        for found in most_frequent(comparison.best)
    ]
    return [
        f"### Most frequent mistakes of {row_name(comparison.best)}",
        "\n".join(mistakes) or "It made no mistake.",
    ]


def _chosen(comparison: Comparison) -> list[str]:
    rows = []
    for row in comparison.rows:
        settings = [
            f"{escape(name)} {', '.join(f'{escape(value)} ({folds})' for value, folds in values.items())}"
            for name, values in row.chosen_briefly.items()
        ]
        if settings:
            rows.append([row_name(row), "; ".join(settings)])
    if not rows:
        return []
    return [
        "### Settings chosen inside the training folds",
        "In brackets: how many folds chose it.",
        table(["Run", "Chosen"], rows, left=2),
        *map(escape, cautions_of(comparison)),
    ]


def _cost(comparison: Comparison) -> list[str]:
    rows = [
        [
            row_name(row),
            count(row.first.backbone["parameters"]),
            count(row.first.backbone["embedding_dim"]),
            MISSING if row.seconds_per_clip is None else duration(row.seconds_per_clip),
            duration(row.seconds),
        ]
        for row in comparison.rows
    ]
    head = ["Run", "Backbone parameters", "Embedding width", "Embedding, per clip", "Training, all folds"]
    return ["### Cost", table(head, rows)]


def _reproduce(comparison: Comparison) -> list[str]:
    entries = []
    for row in comparison.rows:
        backbone = row.first.backbone
        lines = [f"- {row_name(row)}"]
        lines += [f"  - {code(command)}" for command in backbone.get("commands") or ()]
        lines += [f"  - seed {run.head['seed']}: {code(run.info['command'])}" for run in row.runs]
        digest = f", sha256 {code(backbone['weights_sha256'])}" if backbone.get("weights_sha256") else ""
        keys = f"keys {code(backbone['key'])} and {code(row.first.head['key'])}"
        lines.append(f"  - weights {escape(backbone['weights'])}{digest}; {keys}")
        lines.append(f"  - {escape(setting_text(row.first.info['versions']))}")
        entries.append("\n".join(lines))
    return ["### What reproduces it", "\n".join(entries)]


def _notes() -> list[str]:
    fresh = f"**{notes.published(notes.clean().first_loss, 2)}**"
    handovers = notes.evidence()
    head = ["Fold", *(str(fold.fold) for fold in notes.FOLDS)]
    rows = [
        ["loss at which the fold before ended", MISSING, *(notes.published(h.ended_at, 2) for h in handovers)],
        ["loss of the first epoch", fresh, *(notes.published(h.began_at, 2) for h in handovers)],
        ["began as", "**fresh**", *("carried over" if h.carried_over else "fresh" for h in handovers)],
    ]
    return [
        f"## The notes' CNN, and why only its fold {notes.CLEAN_FOLD} counts",
        escape(notes.CONTAMINATION),
        table(head, rows),
    ]
