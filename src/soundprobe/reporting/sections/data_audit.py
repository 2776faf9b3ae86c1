"""Can the folds be trusted? What they share, and how evenly they are filled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from soundprobe.data.audit.audit import Audit
from soundprobe.data.audit.balance import FoldBalance
from soundprobe.data.audit.leaks import NearPair
from soundprobe.data.corrections import corrected
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.elements import (
    Cell,
    Column,
    Definitions,
    Element,
    Fold,
    Heading,
    Span,
    Table,
    Text,
    Words,
    columns_of,
    joined,
    name,
)
from soundprobe.reporting.sections.conditions import SALIENCE
from soundprobe.reporting.sections.section import Section, Unmeasured
from soundprobe.reporting.wording import (
    MISSING,
    UNKNOWN_RECORDINGS,
    count,
    one_line,
    plural,
    sentence,
)

PAIRS = 20


def _show(comparison: Comparison) -> Iterator[Element]:
    found = comparison.audit
    if found is None:
        if any(run.recordings_known for row in comparison.rows for run in row.runs):
            yield Text("Controls alone were run: their labels or folds are not the data's. Probe without --control.")
        else:
            yield Text("Which recording each clip was cut from is not known here. Probe again to have it written down.")
        return
    yield Text(verdict_of_audit(found))
    items = [
        ("Recordings in two folds", _shared(found)),
        ("Same bytes", _identical(found)),
        ("Near copies across folds", _near(found)),
        ("Clips of a recording", _clips_per_recording(found)),
        ("Short clips", _short(found)),
    ]
    items += [] if found.silent is None else [("Silent clips", count(len(found.silent)))]
    noted = {"Noted of the sound": found.sound_notes, "Noted when they were read": found.reading_notes}
    items += [(title, " ".join(map(one_line, notes))) for title, notes in noted.items() if notes]
    items += [("Clips that failed", count(comparison.failed))] if comparison.failed else []
    yield Definitions([*items, *_corrected(comparison)])
    pairs = (found.near_pairs or found.closest_pairs or ())[:PAIRS]
    if pairs:
        columns = [
            Column("Clip", lambda pair: name(pair.ids[0]), text=True),
            Column("Clip", lambda pair: name(pair.ids[1]), text=True),
            Column("Folds", lambda pair: " and ".join(map(str, pair.folds))),
            Column("Classes", lambda pair: " and ".join(map(one_line, dict.fromkeys(pair.class_names))), text=True),
            Column("Cosine", lambda pair: f"{pair.cosine:.3f}"),
            Column("Known to be", _known, text=True),
        ]
        table = Table(columns, pairs, "Pairs of clips in different folds that sound alike", named=False)
        yield Fold(f"The {'near' if found.near_pair_count else 'closest'} pairs, to listen to", [table])
    yield from _folds(found)


def _folds(found: Audit) -> Iterator[Element]:
    values = list(found.folds[0].salience or ()) if found.folds else []
    marks_thin = 0 < len(found.thin) <= 0.3 * len(found.folds) * len(found.class_names)
    unit = "recording" if found.recordings_known else "clip"
    saliences = {str(value): said for value, said in SALIENCE.items()}

    def clips(fold: FoldBalance, label: int) -> Cell:
        thin = marks_thin and fold.class_recordings[label] < 3
        title = f"{plural(fold.class_recordings[label], unit)} only" if thin else ""
        return Cell(count(fold.class_clips[label]), style="thin" if thin else "", title=title)

    columns = [Column("Fold", lambda fold: fold.fold, text=True)]
    columns.append(Column("Clips", lambda fold: fold.clips, count))
    if found.recordings_known:
        columns.append(Column("Recordings", lambda fold: fold.recordings, count))
    columns += columns_of(map(one_line, found.class_names), clips, turned=True)
    headings = [saliences.get(value, f"salience {value}") for value in values]
    columns += columns_of(headings, lambda fold, place: count(fold.salience[values[place]]), turned=True)
    yield Heading("Clips of each class and fold")
    yield Table(columns, found.folds, "Clips of each class and fold", "counts")
    decides = f"One {unit} then decides much of the class's score there."
    if found.thin and not marks_thin:
        of = count(len(found.folds) * len(found.class_names))
        yield Text(
            f"{plural(len(found.thin), 'pair')} of class and fold of {of} hold fewer than 3 {unit}s: "
            f"{decides[:1].lower()}{decides[1:]}",
            role="how",
        )
    elif found.thin:
        marked = Span("thin", "Marked")
        yield Text(marked, f": classes of which a fold holds fewer than 3 {unit}s. {decides}", role="how")


def _known(pair: NearPair) -> str:
    return "the same bytes" if pair.same_bytes else "one recording" if pair.same_recording else MISSING


def _shared(found: Audit) -> Words:
    shared = found.shared_recordings
    if not shared:
        return "none" if found.recordings_known else f"not known ({UNKNOWN_RECORDINGS})"
    said = [
        (name(one.group), f"\N{NO-BREAK SPACE}(folds {', '.join(map(str, one.folds))}; {plural(one.clips, 'clip')})")
        for one in shared[:20]
    ]
    clips = plural(sum(one.clips for one in shared), "clip")
    more = ", …" if len(shared) > 20 else ""
    return (f"{plural(len(shared), 'recording')}, {clips}: ", joined(said), more)


def _identical(found: Audit) -> Words:
    if found.identical is None:
        return sentence(found.not_checked["identical"])
    if not found.identical:
        return "no two clips"
    across = sum(one.across_folds for one in found.identical)
    return f"{plural(len(found.identical), 'set')} of clips, {across} of them across folds"


def _near(found: Audit) -> Words:
    if found.near_pairs is None:
        return f"not looked for: {found.not_checked['near copies']}"
    if found.near_pair_count:
        pairs = plural(found.near_pair_count, "pair")
        return f"{pairs} of clips with a cosine of {found.near_cosine} or more (embeddings, mean taken off)"
    closest = f"; the closest have {found.closest_pairs[0].cosine:.3f}" if found.closest_pairs else ""
    return f"none found: no pair reaches a cosine of {found.near_cosine}{closest}"


def _clips_per_recording(found: Audit) -> Words:
    one = found.clips_per_recording
    if not found.recordings_known:
        return UNKNOWN_RECORDINGS
    return (
        f"{one.fewest} to {one.most}, {one.mean:.1f} on average; {count(found.recordings)} recordings say as much as "
        f"{count(one.effective)} of equal size"
    )


def _short(found: Audit) -> Words:
    if found.short is None:
        return sentence(found.not_checked["short"])
    shortest = f", the shortest {found.short[0].value:.2f} s" if found.short else ""
    return f"{count(len(found.short))} under {found.short_s} s{shortest}"


def _unmeasured(comparison: Comparison) -> Iterator[Unmeasured]:
    if comparison.audit and comparison.audit.silent is None:
        yield Unmeasured(
            "Whether clips are silent", f"soundprobe data check{comparison.data_options}{comparison.embeddings_option}"
        )


def _corrected(comparison: Comparison) -> Iterator[tuple[str, Words]]:
    runs = [run for row in comparison.rows for run in row.runs]
    clips = max(corrected(run.columns) for run in runs)
    if clips:
        told = (run.record.dataset.opened_as or {} for run in runs)
        file = next((Path(one["corrections"]).name for one in told if one.get("corrections")), "")
        yield "Labels corrected", (count(clips), *((" by ", name(file)) if file else ()))


def verdict_of_audit(found: Audit) -> str:
    """Whether test clips have siblings or copies in training folds, in a sentence or two."""
    looked = "" if found.near_pairs is not None else " (near copies were not looked for)"
    if not found.recordings_known:
        copies = f"{count(len(found.leaking))} clips have" if found.leaking else "no clip has"
        return (
            f"Whether recordings sit in two folds is not known ({UNKNOWN_RECORDINGS}); {copies} a copy or a near copy "
            f"in another fold{looked}. If files are cut from longer recordings, scores are too high: extract again "
            "with --group-regex or a manifest that has a column group."
        )
    if not found.leaking:
        return f"No sibling, copy or near copy of a clip was found in another fold{looked}."
    share = 100 * len(found.leaking) / found.clips
    return (
        f"{plural(len(found.leaking), 'clip')} of {count(found.clips)} ({share:.1f} %) have a sibling of their "
        f"recording, a copy or a near copy in another fold{looked}: when they are tested, something very like them was "
        "trained on. What siblings and copies with the same bytes change, probe --exclude-leaks shows; it keeps near "
        "copies in training."
    )


SECTION = Section(
    "audit",
    "Can the folds be trusted?",
    _show,
    facts=lambda one: {"audit": one.audit and one.audit.to_json()},
    unmeasured=_unmeasured,
)
