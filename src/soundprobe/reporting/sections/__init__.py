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
    "classes",
    "confusion",
    "recordings",
    "conditions",
    "gallery",
    "label_suspects",
    "pretrained_tags",
    "ranking",
    "pretraining",
    "statistics",
    "fold_by_fold",
    "calibration",
    "learning",
    "data_audit",
    "controls",
    "training_curves",
    "chosen",
    "cost",
    "reproduce",
)
"""The files of the sections, in the order in which the report shows them."""
CHAPTERS = {
    "classes": "Where it fails",
    "gallery": "Listen",
    "ranking": "All runs",
    "data_audit": "Method",
}
"""The file that a chapter begins with, and the chapter's title; the files after it in `ORDER` are of it, too."""


def chapters() -> dict[str, list[Section]]:
    """Every section in its order, by the title of its chapter."""
    found: dict[str, list[Section]] = {}
    title = ""
    for name in ORDER:
        title = CHAPTERS.get(name, title)
        found.setdefault(title, []).append(resolve_name(f"{__name__}.{name}:SECTION"))
    return found


def sections() -> tuple[Section, ...]:
    """Every section, in its order."""
    return tuple(one for chapter in chapters().values() for one in chapter)
