"""Comparisons -> report.json, for machines: docs/json.md says what its fields hold.

Each section of the report adds its facts to the data set and to the rows; what no section is about is added here.
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
    """The document that docs/json.md describes, of JSON's own types."""
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
