"""What reproduces it: each row's commands, weights, keys, settings and versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import BREAK, Definitions, Element, Fold, Span, Text, Words, code, joined, name
from soundprobe.reporting.runs.run import Run
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import run_name
from soundprobe.reporting.wording import on_threads, one_line, setting_text
from soundprobe.scoring.metrics import mean_std


def _show(comparison: Comparison) -> Iterator[Element]:
    fingerprint = code(comparison.fingerprint)
    yield Text("Data set ", name(comparison.name), ", fingerprint ", fingerprint, ".", role="how")
    for row in comparison.rows:
        yield Fold(run_name(row), [_recipe(row)])


def _recipe(row: Row) -> Definitions:
    backbone, head = row.first.backbone, row.first.head
    commands = dict.fromkeys(command for run in row.runs for command in run.backbone.get("commands") or ())
    items: list[tuple[str, Words]] = [("Embeddings", joined(list(map(_command, commands)), BREAK))] if commands else []
    items += [(f"Seed {run.head['seed']}", (_command(run.info["command"]), _made(run))) for run in row.runs]
    imported = [one for run in row.runs if (one := run.record.imported)]
    files = [(one_line(one.file), Span("below", ("sha256 ", code(one.sha256)))) for one in imported]
    if files:
        items.append(("Predictions", joined(files, BREAK)))
        return Definitions([*items, ("Versions", setting_text(row.first.info["versions"]))])
    weights = {_weights(run.backbone): run for run in row.runs}  # several, where a seed drew them
    items += [("Weights", joined(list(weights), BREAK)), ("Backbone", _keyed(backbone)), ("Head", _keyed(head))]
    return Definitions([*items, ("Versions", setting_text(row.first.info["versions"]))])


def _weights(backbone: Mapping[str, Any]) -> Words:
    """Their kind and label, where that says more, and their digest."""
    kind, label = one_line(backbone["weights"]), one_line(backbone.get("weights_label") or "")
    if kind == "none":
        return label or kind
    words = label if label.startswith(kind) else ": ".join(filter(None, [kind, label]))
    digest = backbone.get("weights_sha256")
    return (words, Span("below", ("sha256 ", code(digest)))) if digest else words


def _command(command: object) -> Span:
    return Span("command", one_line(command))


def _made(run: Run) -> Span:
    when = f", {one_line(run.info['created'])}" if run.info["created"] else ""
    return Span("below", f"heads/{one_line(run.path)}{when}{on_threads(run.record.threads)}")


def _keyed(part: Mapping[str, Any]) -> Words:
    """A backbone or head with its key and settings."""
    settings = Span("below", setting_text(part["settings"])) if part["settings"] else ()
    return (f"{one_line(part['title'])}, key ", code(part["key"]), settings)


def _row_facts(comparison: Comparison, row: Row) -> dict[str, Any]:
    return {
        "runs": [
            {
                "path": run.path,
                "seed": run.head["seed"],
                "head_key": run.head["key"],
                "weights_label": run.backbone.get("weights_label"),
                "weights_sha256": run.backbone.get("weights_sha256"),
                "accuracy": mean_std([scores.accuracy for scores in run.folds])._asdict(),
                "macro_f1": mean_std([scores.macro_f1 for scores in run.folds])._asdict(),
                **{field: run.info[field] for field in ("command", "versions", "created", "seconds")},
            }
            for run in row.runs
        ]
    }


SECTION = Section("reproduce", "What reproduces it", _show, row_facts=_row_facts, folded=True)
