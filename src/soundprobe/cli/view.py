"""`soundprobe view`: any audio file as a page, and what a trained head says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from soundprobe.base.errors import one_line
from soundprobe.base.files import check_room, remove_leftovers_of
from soundprobe.cli.options import Allow, Dataset, Device, HeadsFolder, Quiet, examples, flag, option
from soundprobe.cli.output import AllowFailures, Json, answer, out, stop_if_failed
from soundprobe.cli.predict import Channels, Run, Weights

EXAMPLES = examples(
    "soundprobe view clip.wav",
    "soundprobe view recordings/ --to recordings.html",
    "soundprobe view clip.wav --run mn04-linear",
    "soundprobe view clip.wav --segments labels.csv",
)


def view(
    clips: Annotated[list[Path], typer.Argument(metavar="CLIP", help="Audio files, or folders of them.")],
    to: Annotated[Path, option("FILE", "The page to write.")] = Path("view.html"),
    run: Run = None,
    segments: Annotated[Path | None, option("FILE", "Labels to show: CSV, or Audacity's or Raven's.")] = None,
    dataset: Dataset = None,
    weights: Weights = None,
    window: Annotated[float, option("S", "Audio in each probability. Less than predict's, to show changes.")] = 1.0,
    hop: Annotated[float, option("S", "From one probability to the next.")] = 0.5,
    frames: Annotated[bool, flag("Ask about each frame, not about windows.", "--frames")] = False,
    limit: Annotated[int, option("N", "At most so many clips.")] = 50,
    max_mb: Annotated[float, option("MB", "Clips beyond this are left out.")] = 50.0,
    channels: Channels = None,
    heads: HeadsFolder = Path("heads"),
    device: Device = "auto",
    allow: Allow = None,
    allow_failures: AllowFailures = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a page of clips to see and hear."""
    from soundprobe.verbs.predict import check_clips, find_folder
    from soundprobe.verbs.view import view as show

    check_room(to.parent, 0)
    remove_leftovers_of([to])
    if run is None:
        check_clips(clips)
    else:
        folder = find_folder(clips, heads, run, dataset, weights)
    shown = show(
        clips if len(clips) > 1 else clips[0],
        run=None if run is None else folder,
        segments=segments,
        weights=weights,
        window_s=window,
        hop_s=hop,
        frames=frames,
        limit=limit,
        max_mb=max_mb,
        channels=channels,
        device=device,
        progress=not quiet,
    )
    for note in shown.notes:
        out.print(one_line(note), markup=False)
    page = shown.save(to)
    out.print(f"view -> {page}", markup=False)
    answer(as_json, page=page, clips=[clip.name for clip in shown.clips], failed=shown.failed, notes=shown.notes)
    stop_if_failed(shown.failed, shown.failed + len(shown.clips), allow_failures)
