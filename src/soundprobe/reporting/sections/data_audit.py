"""The page's part on the data: what folds share, and how evenly they are filled."""

from __future__ import annotations

from typing import Any

from soundprobe.data.audit.audit import Audit
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.render.wording import count, plural
from soundprobe.reporting.sections.conditions import SALIENCE

PAIRS = 20


def prepare_audit(comparison: Comparison) -> dict[str, Any] | None:
    """The audit with its verdict; None where no run says the clips' recordings."""
    found = comparison.audit
    if found is None:
        return None
    values = list(found.folds[0].salience or ()) if found.folds else []
    names = {str(value): name for value, name in SALIENCE.items()}
    return {
        "audit": found,
        "verdict": verdict_of_audit(found),
        "marks_thin": 0 < len(found.thin) <= 0.3 * len(found.folds) * len(found.class_names),
        "pairs": (found.near_pairs or found.closest_pairs or ())[:PAIRS],
        "salience": [names.get(value, f"salience {value}") for value in values],
        "salience_values": values,
    }


def verdict_of_audit(found: Audit) -> str:
    """Whether test clips have siblings or copies in training folds, in a sentence or two."""
    looked = "" if found.near_pairs is not None else " (near copies were not looked for)"
    if not found.leaking:
        return f"No clip has a sibling of its recording, a copy or a near copy in another fold{looked}."
    share = 100 * len(found.leaking) / found.clips
    return (
        f"{plural(len(found.leaking), 'clip')} of {count(found.clips)} ({share:.1f} %) have a sibling of their "
        f"recording, a copy or a near copy in another fold{looked}: when they are tested, something very like them was "
        "trained on. What siblings and copies with the same bytes change, probe --exclude-leaks shows; it keeps near "
        "copies in training."
    )
