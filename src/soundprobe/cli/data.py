"""`soundprobe data`: what data sets there are, whether one is sound, and how to get one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from soundprobe.base.errors import one_line
from soundprobe.cli.options import (
    Channels,
    Data,
    EmbeddingsFolder,
    MadeFolds,
    Quiet,
    examples,
    flag,
    opens_data,
    option,
)
from soundprobe.cli.output import AllowFailures, Json, answer, fits, out, stop_if_failed
from soundprobe.reporting.wording import UNKNOWN_RECORDINGS, plural

ROWS_SHOWN = 20

app = typer.Typer(no_args_is_help=True, help="List, check, generate or fetch data sets.", rich_markup_mode=None)


@app.command("list", epilog=examples("soundprobe data list"))
def list_data(as_json: Json = False) -> None:
    """List what --data takes: names and layouts."""
    from soundprobe.data.catalog import DATASETS, LAYOUTS

    table = Table(box=None, pad_edge=False)
    for column in ("--data", "what it is", "how it is recognised"):
        table.add_column(column)
    for named in DATASETS.values():
        table.add_row(named.name, named.title, named.description)
    for layout in LAYOUTS.usable():
        table.add_row("a path", f"{layout.title} ({layout.name})", layout.description)
    out.print(table)
    fields = ("name", "title", "description")
    answer(
        as_json,
        datasets=[{name: getattr(one, name) for name in fields} for one in DATASETS.values()],
        layouts=[{name: getattr(one, name) for name in fields} for one in LAYOUTS.usable()],
    )


@app.command(epilog=examples("soundprobe data check UrbanSound8K/", "soundprobe data check clips.csv --folds 5"))
@opens_data
def check(
    path: Annotated[str | None, typer.Argument(metavar="DATA", help="As --data.")] = None,
    data: Data = "urbansound8k",
    folds: MadeFolds = 10,
    channels: Channels = "mean",
    headers_only: Annotated[bool, flag("Don't decode: quicker, finds less.", "--headers-only")] = False,
    embeddings: EmbeddingsFolder = Path("embeddings"),
    allow_failures: AllowFailures = None,
    as_json: Json = False,
    quiet: Quiet = False,
    *,
    how: dict[str, Any],
) -> None:
    """Decode and count clips; find what folds share."""
    from soundprobe.audio.decode import check_channels
    from soundprobe.base.progress import progress_bar
    from soundprobe.data.catalog import open_data
    from soundprobe.data.corrections import corrected
    from soundprobe.data.readers.made_folds import deal_readable, missing_classes
    from soundprobe.data.scan import explain_first_missing, scan, summarise

    check_channels(channels)
    clips = open_data(data if path is None else path, folds=folds, **how)
    with progress_bar(f"check {clips.name}", len(clips), "clips", shown=not quiet) as bar:
        scanned = scan(clips, on_progress=bar.advance, decode_samples=not headers_only, channels=channels)
    # Only now what takes long to import.
    from soundprobe.cli.auditing import find_embeddings, print_audit
    from soundprobe.data.audit.audit import audit
    from soundprobe.data.audit.file_names import suggest_groups

    clips = deal_readable(clips, scanned.errors == "")
    if how["corrections"] is not None:
        out.print(f"{plural(corrected(clips.columns), 'label')} corrected by {how['corrections']}.", markup=False)
    summary = summarise(clips, scanned)
    _print_summary(summary)
    if not clips.recordings_known and (found_groups := suggest_groups(clips.ids, clips.labels)):
        out.print(f"File names look as if they held it: {found_groups.describe()}", markup=False)
    if clips.folds_seed is None:
        for name, lacking in missing_classes(clips, scanned.errors == "").items():
            out.print(f"Class {name!r} has no readable clip in fold {', '.join(map(str, lacking))}.", markup=False)
    if summary["missing"] and (said := explain_first_missing(clips, scanned)):
        out.print(f"{summary['missing']} clips are missing. {said}", markup=False)
    readable = summary["missing"] < summary["clips"]
    found = audit(
        clips,
        sha256=scanned.sha256 if readable else None,
        duration_s=scanned.duration_s if readable else None,
        peak=scanned.peak if readable else None,
        embeddings=find_embeddings(embeddings, clips),
    )
    print_audit(found, out)
    answer(as_json, data=summary, audit=found.to_json())
    stop_if_failed(len(summary["failures"]), summary["clips"], allow_failures)


def _print_summary(summary: dict[str, Any]) -> None:
    out.print(
        f"{one_line(summary['name'])}: {summary['clips']} clips"
        + (f" of {summary['recordings']} recordings, " if summary["recordings"] else ", ")
        + f"{len(summary['classes'])} classes, {len(summary['folds'])} folds",
        markup=False,
    )
    if summary["shortest_s"] is not None:
        rates = ", ".join(f"{rate} Hz ({count})" for rate, count in summary["sample_rates_hz"].items())
        channels = ", ".join(f"{count} x {number} ch" for number, count in summary["channels"].items())
        out.print(
            f"lengths {summary['shortest_s']:.2f} to {summary['longest_s']:.2f} s, "
            f"{summary['total_s'] / 60:.1f} min in all; {rates}; {channels}"
        )
    out.print("clips by class and fold:")
    folds = list(summary["folds"])
    while folds:
        shown = len(folds)
        while shown > 1 and not fits(_counts_table(summary, folds[:shown])):
            shown -= 1
        out.print(_counts_table(summary, folds[:shown]))
        folds = folds[shown:]
    _print_problems(summary)


def _counts_table(summary: dict[str, Any], folds: list[int]) -> Table:
    """How many clips of each class some of the folds hold, and all."""
    table = Table(box=None, pad_edge=False)
    table.add_column("class", overflow="fold")
    for heading in (*map(str, folds), "all"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, count in summary["classes"].items():
        cells = [str(summary["folds"][fold]["classes"][name]) for fold in folds]
        table.add_row(Text(one_line(name)), *cells, str(count))
    cells = [str(summary["folds"][fold]["clips"]) for fold in folds]
    table.add_row("all", *cells, str(summary["clips"]), style="bold")
    return table


def _print_problems(summary: dict[str, Any]) -> None:
    from soundprobe.audio.checks import notes

    shared = summary["recordings_across_folds"]
    if summary["recordings"] is None:
        out.print(f"Whether a recording sits in two folds is not known ({UNKNOWN_RECORDINGS}).")
    elif shared:
        clips = sum(item["clips"] for item in shared)
        out.print(
            f"{len(shared)} recordings ({clips} clips) sit in more than one fold, so their test clips are not clean:"
        )
        for item in shared[:ROWS_SHOWN]:
            folds = ", ".join(map(str, item["folds"]))
            out.print(f"  {one_line(item['group'])}: folds {folds}, {item['clips']} clips", markup=False)
    else:
        out.print("No recording sits in more than one fold.")
    failures = summary["failures"]
    if summary["missing"] == summary["clips"]:
        out.print("No clip's audio is there: only folds and recordings were checked.")
    elif failures:
        out.print(f"{len(failures)} clips can't be used ({summary['missing']} of them are missing):")
        for clip, reason in list(failures.items())[:ROWS_SHOWN]:
            out.print("  " + one_line(f"{clip}: {reason}"), markup=False)
        if len(failures) > ROWS_SHOWN:
            out.print(f"  ... and {len(failures) - ROWS_SHOWN} more")
    else:
        out.print("Every clip can be read.")
    for note in notes(summary["findings"], leave_out=("silent",)):  # the audit lists silent clips
        out.print(one_line(note), markup=False)


@app.command(epilog=examples("soundprobe data synth --to synth/"))
def synth(
    to: Annotated[Path | None, option("FOLDER", "Where. Default: the cache.")] = None,
    recordings: Annotated[int, option("N", "Recordings for each class and fold.", min=1)] = 2,
    clips: Annotated[int, option("N", "Clips cut from each recording.", min=1)] = 2,
    seed: Annotated[int, option("N", "Another seed, other sounds.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Generate `synth`: 10 classes, 10 folds."""
    from soundprobe.base.progress import progress_bar
    from soundprobe.data.synth.generate import clip_count, ensure_synth, write_synth

    sizes = {"recordings_per_class_and_fold": recordings, "clips_per_recording": clips, "seed": seed}
    with progress_bar("synth", clip_count(recordings, clips), "clips", shown=not quiet) as bar:
        folder = (
            ensure_synth(**sizes, on_progress=bar.advance)
            if to is None
            else write_synth(to, **sizes, on_progress=bar.advance)
        )
    out.print(f"synth -> {folder}", markup=False)
    answer(as_json, folder=folder)


@app.command(epilog=examples("soundprobe data fetch urbansound8k"))
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which: urbansound8k.")] = "urbansound8k",
    as_json: Json = False,
    quiet: Quiet = False,  # by its callback: the bars are the Hub's
) -> None:
    """Download a data set ahead of time (7.0 GB).

    A stopped download goes on.
    """
    from soundprobe.base.errors import ConfigError, unknown
    from soundprobe.data.readers.hub import read_hub

    if name != "urbansound8k":
        raise ConfigError(unknown("data set on the Hub", name, ["urbansound8k"]))
    clips = read_hub()
    out.print(f"{name}: {len(clips)} clips are ready. Use them with --data {name}.", markup=False)
    answer(as_json, dataset=name, clips=len(clips))
