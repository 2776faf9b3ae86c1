"""What a pretrained network's own classifier hears in each class of the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from soundprobe.base.errors import StoreError
from soundprobe.embeddings.store import set_folder
from soundprobe.embeddings.tag_means import FILE, ClassTagsRecord, TagRecord, TagsRecord
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.elements import Definitions, Element, Span, Text, Words, joined
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.wording import one_line, percent

LEAST = 0.05
SHOWN = 5
MUCH_MORE = 2.0
"""A tag that is so many times as probable as in other classes is of this one."""


def _show(comparison: Comparison) -> Iterator[Element]:
    try:
        record = tags_of(comparison)
    except StoreError as error:
        yield Text(one_line(error))
        return
    if record is None:
        return
    yield Text(
        f"Mean probability, in percent, of what {one_line(record.title)} was pretrained to tell apart, by its own "
        f"classifier. Bold: at least {MUCH_MORE:g} times as probable as in the other classes. A class without any bold "
        "may be labelled by something else than its sound.",
        role="how",
    )
    yield Definitions([(one_line(one.name), _heard(one)) for one in record.classes])


def _heard(one: ClassTagsRecord) -> Words:
    shown = [tag for tag in one.tags if tag.mean >= LEAST][:SHOWN] or one.tags[:1]
    return joined([_tag(tag) for tag in shown], "; ")


def _tag(tag: TagRecord) -> Words:
    text = f"{one_line(tag.name)} {percent(tag.mean, 0)}"
    return Span("strong", text) if tag.mean >= MUCH_MORE * tag.elsewhere else text


def tags_of(comparison: Comparison) -> TagsRecord | None:
    """Of the best frozen run whose embeddings were tagged.

    Raises:
        StoreError: a file is damaged.
    """
    if comparison.media is None:
        return None
    root = comparison.media.options.embeddings
    for row in comparison.ranked:
        if row.first.info["kind"] == "probe" and not row.is_control:
            backbone = row.first.backbone
            folder = set_folder(root, comparison.name, str(backbone["name"]), str(backbone["key"]))
            record = TagsRecord.read_if_there(folder / FILE)
            if record is not None:
                return record
    return None


def _facts(comparison: Comparison) -> dict[str, Any]:
    try:
        record = tags_of(comparison)
    except StoreError:
        record = None
    return {"tags": record and {name: record.content[name] for name in ("backbone", "title", "classes")}}


SECTION = Section("tags", "What the pretrained classifier hears in each class", _show, _facts)
