"""Which settings were chosen inside the training folds, and by how many folds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.elements import Column, Element, Span, Text, Words, joined, lead
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import run_table
from soundprobe.reporting.wording import listing
from soundprobe.scoring.tuning import fine_tuning_verdict


def _show(comparison: Comparison) -> Iterator[Element]:
    rows = [row for row in comparison.rows if row.chosen]
    if not rows:
        return
    seeds = " (of all seeds)" if comparison.has_seeds else ""
    yield Text(
        "Each was chosen inside the training folds, by recording; the test fold was never asked. In brackets: how many "
        f"folds{seeds} chose it.",
        role="how",
    )
    yield run_table([Column("Chosen", lambda row: _settings(row.chosen_briefly), text=True)], rows)
    for row in rows:
        verdict = fine_tuning_verdict([fold for run in row.runs for fold in run.record.folds])
        if verdict:
            yield Text(f"{row.name}: {verdict}", role="how")
    for caution in cautions_of(comparison):
        yield Text(caution, role="caveat")


def _settings(chosen: Mapping[str, Mapping[str, int]]) -> Words:
    settings = []
    for setting, values in chosen.items():
        said = [(lead(value), f"\N{NO-BREAK SPACE}({folds})") for value, folds in values.items()]
        settings.append(Span("setting", (f"{setting} ", joined(said))))
    return joined(settings, "; ")


def cautions_of(comparison: Comparison) -> tuple[str, ...]:
    """What must be known of single rows to read them, a sentence for each kind of row."""
    found: dict[str, list[str]] = {}
    for row in comparison.rows:
        if row.caution:
            found.setdefault(row.caution, []).append(row.name)
    return tuple(f"{listing(names)}: {caution}" for caution, names in found.items())


SECTION = Section(
    "chosen", "Chosen settings", _show, row_facts=lambda comparison, row: {"chosen": row.chosen}, folded=True
)
