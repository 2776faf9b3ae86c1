"""What the scores rest on, checked: recordings, leaks, thin folds, failed clips, seeds. Each passes or warns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from soundprobe.data.audit.audit import Audit
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.sections.controls import shuffled_of
from soundprobe.reporting.wording import listing, plural

FEWEST_SEEDS = 3
WITHOUT_LUCK = ("linear", "knn")
"""Heads that come out the same whatever their seed."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, in a few words; `section` is the key of the section that tells more."""

    said: str
    passed: bool
    section: str


def checks_of(comparison: Comparison) -> tuple[Check, ...]:
    return tuple(_checks(comparison))


def _checks(comparison: Comparison) -> Iterator[Check]:
    audit = comparison.audit
    if audit is None:  # controls alone: their labels or folds are not the data's
        known = any(run.recordings_known for row in comparison.rows for run in row.runs)
        yield Check("folds not checked" if known else "recordings unknown", False, "audit")
    else:
        recordings = f"{plural(audit.recordings, 'recording')} known"
        yield Check(recordings if audit.recordings_known else "recordings unknown", audit.recordings_known, "audit")
        yield _leaks(audit)
        thin = len({one.class_name for one in audit.thin})
        said = f"folds thin in {thin} of {len(audit.class_names)} classes" if thin else "no thin folds"
        yield Check(said, not thin, "audit")
    for one in shuffled_of(comparison):
        if not one.near_chance:
            yield Check("shuffled labels score above chance", False, "controls")
    failed = comparison.failed
    yield Check(f"{plural(failed, 'clip')} failed" if failed else "no clip failed", not failed, "audit")
    drawn = [row for row in comparison.contenders if row.first.head["name"] not in WITHOUT_LUCK]
    few = [row for row in drawn if len(row.runs) < FEWEST_SEEDS]
    if few:
        named = listing([row.name for row in few]) if len(few) <= 2 else plural(len(few), "set-up")
        yield Check(f"fewer than {FEWEST_SEEDS} seeds: {named}", False, "ranking")
    elif comparison.contenders:
        fewest = min((len(row.runs) for row in drawn), default=0)
        yield Check(plural(fewest, "seed") if drawn else "no luck of a seed", True, "ranking")


def _leaks(audit: Audit) -> Check:
    unseen = " (near copies not looked for)" * (audit.near_pairs is None)
    if audit.leaking:
        return Check(f"{plural(len(audit.leaking), 'clip')} leak between folds", False, "audit")
    what = "no leaks" if audit.recordings_known else "no copies in two folds"
    return Check(f"{what}{unseen}", True, "audit")
