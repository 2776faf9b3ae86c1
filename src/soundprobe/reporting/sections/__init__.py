"""The sections of the report: one file each, which says once what HTML, Markdown and JSON show.

A new section is a file beside these with a `SECTION`, and its name in `ORDER`. Sections know `reporting.elements` and
never a renderer; renderers know elements and this list, and never a single section.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from soundprobe.reporting.sections.section import Section

ORDER = (
    "ranking",
    "statistics",
    "pretraining",
    "controls",
    "data_audit",
    "fold_by_fold",
    "classes",
    "confusion",
    "gallery",
    "label_suspects",
    "embedding_map",
    "recordings",
    "conditions",
    "calibration",
    "learning",
    "training_curves",
    "chosen",
    "cost",
    "reproduce",
)
"""The files of the sections, in the order in which the report shows them."""


def sections() -> tuple[Section, ...]:
    """Every section, in its order."""
    return tuple(resolve_name(f"{__name__}.{name}:SECTION") for name in ORDER)
