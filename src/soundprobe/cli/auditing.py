"""What `soundprobe data check` prints of an audit: leaks between folds, balance, short and silent clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from soundprobe.base.errors import SoundprobeError, one_line
from soundprobe.base.records import Clips, Embeddings
from soundprobe.data.audit.audit import Audit, ListedClip
from soundprobe.data.audit.leaks import Identical, NearPair

SHOWN = 10
CLOSEST_SHOWN = 3
Item = TypeVar("Item")


def find_embeddings(root: Path, clips: Clips) -> Embeddings | None:
    """Pretrained embeddings of these clips, or of some of them, in the store at `root`; None where there are none.

    Of a backbone's last layer, on which near copies' scale was measured.
    """
    from soundprobe.embeddings import store

    known = set(clips.ids.tolist())
    for found in store.find_sets(root)[0]:
        if found.dataset == clips.name and found.weights == "pretrained" and not found.record.backbone.layers:
            try:
                embeddings = store.read_embeddings(found)
            except SoundprobeError:
                continue
            if set(embeddings.ids.tolist()) <= known:
                return embeddings
    return None


def print_audit(found: Audit, out: Console) -> None:
    """Each finding with the first few it is about; what was not looked at says what it needs."""
    spread = found.clips_per_recording
    if found.recordings_known:
        out.print(
            f"clips of a recording: {spread.fewest} to {spread.most}, {spread.mean:.1f} on average; {found.recordings} "
            f"recordings say as much as {spread.effective:.0f} of equal size"
        )
    if found.folds[0].salience is not None:
        shares = [f"{fold.fold}: {100 * (fold.salience or {}).get('1', 0) / fold.clips:.0f}" for fold in found.folds]
        out.print(f"foreground clips (salience 1) in percent of each fold: {', '.join(shares)}")
    if found.thin:
        units = "recordings" if found.recordings_known else "clips"
        _list(
            out,
            f"{len(found.thin)} times a fold holds fewer than 3 {units} of a class, so one decides much there:",
            found.thin,
            lambda one: (
                f"fold {one.fold}, {one.class_name}: "
                + (f"{one.recordings} recordings, " if found.recordings_known else "")
                + f"{one.clips} clips"
            ),
        )
    _print_copies(found, out)
    for title, clips, unit in (
        (f"shorter than {found.short_s:g} s", found.short, "s"),
        (f"silent (peak below {found.silent_peak:g} of full scale)", found.silent, "peak"),
    ):
        if clips:
            _list(out, f"{len(clips)} clips are {title}:", clips, partial(_clip, unit=unit))
        elif clips is not None:
            out.print(f"No clip is {title}.")
    if found.leaking:
        out.print(
            f"{len(found.leaking)} of {found.clips} clips have "
            f"{'a sibling of their recording, ' if found.recordings_known else ''}a copy or a near copy in "
            "another fold. What siblings and copies with the same bytes are worth: soundprobe probe --exclude-leaks, "
            "then soundprobe report. Near copies stay in training."
        )
    for name, reason in found.not_checked.items():
        out.print(f"Not checked: {name}: {reason}", markup=False)


def _print_copies(found: Audit, out: Console) -> None:
    if found.identical:
        across = sum(one.across_folds for one in found.identical)
        title = f"{len(found.identical)} sets of clips have the same bytes, {across} of them across folds:"
        _list(out, title, found.identical, _identical)
    elif found.identical is not None:
        out.print("No two clips have the same bytes.")
    if found.near_pairs:
        title = (
            f"{found.near_pair_count} pairs of clips in different folds sound nearly the same "
            f"(cosine {found.near_cosine:g} or more):"
        )
        _list(out, title, found.near_pairs, _near)
    elif found.near_pairs is not None:
        out.print(f"No near copy found: no pair across folds reaches a cosine of {found.near_cosine:g}. The closest:")
        for pair in (found.closest_pairs or ())[:CLOSEST_SHOWN]:
            out.print(f"  {one_line(_near(pair))}", markup=False)


def _identical(one: Identical) -> str:
    places = [f"{name} (fold {fold})" for name, fold in zip(one.ids, one.folds, strict=True)]
    labels = sorted(set(one.class_names))
    return ", ".join(places) + (f": labelled {' and '.join(labels)}" if len(labels) > 1 else "")


def _near(pair: NearPair) -> str:
    known = ", the same bytes" if pair.same_bytes else ", one recording" if pair.same_recording else ""
    return (
        f"{pair.cosine:.3f}  {pair.ids[0]} (fold {pair.folds[0]}, {pair.class_names[0]}) and {pair.ids[1]} "
        f"(fold {pair.folds[1]}, {pair.class_names[1]}){known}"
    )


def _clip(clip: ListedClip, unit: str) -> str:
    return f"{clip.id}: {clip.value:.2f} s" if unit == "s" else f"{clip.id}: {unit} {clip.value:.2g}"


def _list(out: Console, title: str, items: Sequence[Item], text: Callable[[Item], str]) -> None:
    out.print(title, markup=False)
    for item in items[:SHOWN]:
        out.print(f"  {one_line(text(item))}", markup=False)
    if len(items) > SHOWN:
        out.print(f"  ... and {len(items) - SHOWN} more")
