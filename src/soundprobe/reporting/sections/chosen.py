"""Which settings were chosen inside the training folds, and by how many folds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.elements import Cell, Column, Element, Span, Text, Words, joined, lead
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import run_table
from soundprobe.reporting.wording import bars, listing, percent, setting_text
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
    if weighted := [row for row in rows if row.layer_weights]:
        yield Text(
            "Weights of the layers that a head was trained on the sum of, learnt with it in each training fold: the "
            "mean over folds, a bar a layer, from what goes into the first to the last.",
            role="how",
        )
        columns = [
            Column(
                "Layers",
                lambda row: Cell(bars(row.layer_weights.values()), title=setting_text(row.layer_weights)),
                text=True,
            ),
            Column("Most on", lambda row: max(row.layer_weights, key=row.layer_weights.__getitem__)),
            Column("Weight, %", lambda row: max(row.layer_weights.values()), percent),
        ]
        yield run_table(columns, weighted)
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
    "chosen",
    "Chosen settings",
    _show,
    row_facts=lambda comparison, row: {"chosen": row.chosen, "layer_weights": row.layer_weights},
    folded=True,
)
