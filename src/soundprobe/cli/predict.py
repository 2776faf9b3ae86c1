"""`soundprobe predict`: what a trained head says of audio files and streams."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from soundprobe.base.errors import HARMFUL_IN_LINES, AudioError, ConfigError, one_line
from soundprobe.base.files import check_room, printable, remove_leftovers_of, write_text
from soundprobe.base.parallel import NETWORK_ENGINES, check_engine
from soundprobe.base.remote import placed
from soundprobe.cli.options import (
    Address,
    Allow,
    Dataset,
    Device,
    HeadsFolder,
    NetworkEngine,
    Quiet,
    examples,
    flag,
    option,
)
from soundprobe.cli.output import AllowFailures, Json, answer, err, out, print_table, stop_if_failed
from soundprobe.reporting.wording import plural

if TYPE_CHECKING:
    from soundprobe.audio.live import Raw
    from soundprobe.predicting.predictor import Listening, Predictor

UNSEEN = re.compile(rf"(?!\t){HARMFUL_IN_LINES.pattern}")
"""What a terminal is not sent; tabs part the cells of some formats."""
EXAMPLES = examples(
    "soundprobe predict clip.wav --run best",
    "soundprobe predict recordings/ --run mn04-linear --dataset esc-50 --json",
    "soundprobe predict dawn.flac --run best --format audacity --to dawn.txt --threshold 0.6",
    "soundprobe predict recordings/ --run best --format raven --to labels/",
    "soundprobe predict s3://bucket/recordings --run best --heads s3://bucket/heads",
    "soundprobe predict clip.wav --tags",
    "soundprobe predict - --run best --raw s16le --rate 48000 --follow",
)
SHOWN_CLASSES, SHOWN_TAGS = 3, 6
LEAST_TAG = 0.05
SHOWN_SEGMENTS = 40
NAMES_SHOWN = 5
TABLE = "table"

Run = Annotated[
    str | None, option("RUN", "best, a name of `runs list`, a folder, URL or hf:OWNER/NAME.", "--run", "--head")
]
Weights = Annotated[str | None, option("FILE", "The backbone's, where they are yours or were moved.")]
Channels = Annotated[str | None, option("HOW", "mean, first or loudest. Default: as in training.")]


def predict(
    clips: Annotated[
        list[Path],
        typer.Argument(
            metavar="CLIP", parser=placed, help="Audio files, folders or URLs of them, or - for standard input."
        ),
    ],
    run: Run = None,
    tags: Annotated[bool, flag("AudioSet's tags instead, by a pretrained network: no run.", "--tags")] = False,
    backbone: Annotated[str | None, option("NAME", "Whose tags. Default: mn04.", "--backbone", "-b")] = None,
    dataset: Dataset = None,
    weights: Weights = None,
    channels: Channels = None,
    window: Annotated[float | None, option("S", "Heard at once. Default: as the heads were trained.")] = None,
    hop: Annotated[float | None, option("S", "From window to window. Default: half a window.")] = None,
    threshold: Annotated[float | None, option("P", "Segments have at least this probability.")] = None,
    min_duration: Annotated[float, option("S", "Shorter segments are left out.")] = 0.0,
    form: Annotated[str | None, option("NAME", "table, csv, jsonl, audacity or raven.", "--format")] = None,
    to: Annotated[Path | None, option("PATH", "A file for all, or a folder: a file a recording.")] = None,
    raw: Annotated[str | None, option("TYPE", "Of -: samples alone, f32le, s16le or s32le.")] = None,
    rate: Annotated[int | None, option("HZ", "Of --raw.")] = None,
    channels_in: Annotated[int, option("N", "Of --raw.")] = 1,
    follow: Annotated[bool, flag("Of -: a line for each window, as it comes.", "--follow")] = False,
    unknown: Annotated[bool, flag("Whether a fit may say: none of these.", "--unknown/--no-unknown")] = True,
    heads: HeadsFolder = Path("heads"),
    device: Device = "auto",
    jobs: Annotated[int, option("N", "Recordings decoded ahead of the network.", min=1)] = 2,
    engine: NetworkEngine = "threads",
    address: Address = None,
    allow: Allow = None,
    allow_failures: AllowFailures = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what is heard in recordings of any length.

    By the heads of all folds, or a fit's one; or with --tags.
    """
    from soundprobe.data.listing import audio_files, listed
    from soundprobe.predicting.label_formats import FACTS, prediction_facts
    from soundprobe.predicting.labelling import LabelFolder, Recording, asked_key
    from soundprobe.predicting.loading import load_predictor
    from soundprobe.predicting.predictor import Listening
    from soundprobe.predicting.tagging import load_tagger
    from soundprobe.verbs.predict import STDIN, STDIN_NAME, check_tags, find_folder, heard

    how = Listening(window, hop, threshold, min_duration)
    clips = [listed(place) for place in clips]
    source = _raw(clips, raw, rate, channels_in, follow)
    check_engine(engine, address, NETWORK_ENGINES)
    if engine != "threads" and STDIN in map(str, clips):
        raise ConfigError(f"Standard input is heard in this process alone, not with --engine {engine}. Leave one out.")
    form = _form(form, to, as_json=as_json, follow=follow)
    if to is not None:
        check_room(to.parent, 0)
        remove_leftovers_of([to])
    options: dict[str, Any] = {"weights": weights, "channels": channels, "device": device, "progress": not quiet}
    asked: dict[str, Any] = {"listening": [window, hop, threshold, min_duration], "channels": channels, "format": form}
    if tags:
        folder = Path(check_tags(clips, run, backbone, weights))
        asked["tags"] = [str(folder), weights, os.stat(weights).st_mtime_ns if weights else None]
    elif backbone is not None:
        raise ConfigError(f"--backbone {backbone} is of --tags; a run has its own. Leave it out, or add --tags.")
    else:
        folder = find_folder(clips, heads, run, dataset, weights)
        asked["unknown"] = unknown

    def load() -> Predictor:
        loaded = load_tagger(str(folder), **options) if tags else load_predictor(folder, **options)
        return loaded if unknown else loaded.without_unknown()

    if follow:
        _follow(load(), source, how, form)
        return
    recordings: list[Recording] = []
    for place in clips:
        if str(place) == STDIN:
            recordings.append(Recording(place, Path(STDIN_NAME)))
            continue
        recordings += [
            Recording.at(path, path.relative_to(place) if path != place else Path(path.name))
            for path in audio_files(place)
        ]
    writer = _writer(form, len(recordings), to)
    labels, answers = None, {}
    if to is not None and _is_folder(to):
        labels = LabelFolder(to, recordings, asked_key(folder, asked), writer.ending)
        # A line of another version, or changed by hand, may lack something: that recording is heard again.
        answers = {path: told for path, told in labels.finished(recordings).items() if told.keys() >= FACTS}
        if answers:
            err.print(f"{len(answers)} of {len(recordings)} were done before and are passed over.")
    left = [recording for recording in recordings if recording.path not in answers]
    failures: list[AudioError] = []
    text = ""
    if left:
        predictor = load()
        writer.highest_hz = predictor.highest_hz
        where: dict[str, Any] = {"jobs": jobs, "engine": engine, "address": address}
        with heard(predictor, left, how, source, progress=not quiet, **where) as outcomes:
            for recording, done in zip(left, outcomes, strict=True):
                if isinstance(done, AudioError):
                    failures.append(done)
                    continue
                answers[recording.path] = prediction_facts(done)
                if labels is not None:
                    labels.write(recording, writer.head() + writer.rows(done), answers[recording.path])
                elif to is not None:
                    text += writer.rows(done)
                elif form != TABLE:
                    _write((writer.head() if len(answers) == 1 else "") + writer.rows(done))
    if not answers:
        if len(failures) > 1 and len({failure.reason for failure in failures}) == 1:  # such as a disk that went away
            raise AudioError(f"all {len(failures)} recordings, such as {failures[0].name}", failures[0].reason)
        for failure in failures[:-1]:
            err.print(one_line(failure), markup=False)
        raise failures[-1]
    if to is not None and labels is None:
        write_text(to, printable(writer.head() + text))
    told = [answers[recording.path] for recording in recordings if recording.path in answers]
    if form == TABLE or to is not None:
        _print_table(told, with_segments=form == TABLE, of_tags=tags)
    _tell(told, failures, to)
    answer(as_json, clips=told, failures={failure.name: failure.reason for failure in failures})
    stop_if_failed(len(failures), len(recordings), allow_failures)


def _raw(clips: Sequence[Path], raw: str | None, rate: int | None, channels_in: int, follow: bool) -> Raw | None:
    """How the samples of standard input are written; None where it has encoded audio.

    Raises:
        ConfigError: the options of a stream don't go together.
    """
    from soundprobe.audio.live import Raw
    from soundprobe.verbs.predict import STDIN

    is_stdin = [str(place) == STDIN for place in clips]
    if sum(is_stdin) > 1:
        raise ConfigError("Standard input can be read once: give - once.")
    if follow and not all(is_stdin):
        raise ConfigError("--follow listens to standard input alone: give - and no other clip.")
    if raw is None and (rate is not None or channels_in != 1):
        raise ConfigError("--rate and --channels-in are of samples without a header: give --raw f32le or s16le, too.")
    if raw is None:
        return None
    if not any(is_stdin):
        raise ConfigError("--raw is of standard input: give - as the clip.")
    if rate is None:
        raise ConfigError("Samples alone don't say their rate: give --rate, such as --rate 48000.")
    return Raw(raw, rate, channels_in)


def _form(form: str | None, to: Path | None, *, as_json: bool, follow: bool) -> str:
    """The format, by what `--to` is called where none is named.

    Raises:
        ConfigError: it is unknown, or doesn't go together with the other options.
    """
    from soundprobe.predicting.label_formats import FORMATS, check_format, format_of

    if form not in (None, TABLE):
        check_format(str(form))
    if to is not None and form == TABLE:
        raise ConfigError(f"--format table is for the eye: with --to give {', '.join(FORMATS)}.")
    if to is None and as_json and form not in (None, TABLE):
        raise ConfigError(f"--json and --format {form} would both go to standard output. Give --to as well, or one.")
    if follow and (as_json or to is not None or form not in (None, TABLE, "csv", "jsonl")):
        raise ConfigError("--follow writes lines to standard output: give --format jsonl, csv or table alone.")
    if form is not None:
        return form
    return TABLE if to is None else "csv" if _is_folder(to) else format_of(to)


def _is_folder(to: Path) -> bool:
    return to.is_dir() or not to.suffix


def _writer(form: str, recordings: int, to: Path | None) -> Any:
    from soundprobe.predicting.label_formats import FORMATS

    writer = FORMATS["csv" if form == TABLE else form]()
    if recordings > 1 and not writer.holds_several and (to is None or not _is_folder(to)):
        raise ConfigError(f"A file for {form} holds one recording, and {recordings} are given. Give --to FOLDER.")
    return writer


def _write(text: str) -> None:
    """At once, on standard output; names send nothing to a terminal but themselves."""
    text = printable(text)
    sys.stdout.write(UNSEEN.sub(" ", text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def _follow(predictor: Predictor, raw: Raw | None, how: Listening, form: str) -> None:
    """A line for each segment, as it comes."""
    from soundprobe.verbs.predict import followed

    writer = _writer(form, 1, None)
    if form != TABLE:
        _write(writer.head())
    for said in followed(predictor, raw, how):
        (segment,) = said.segments
        times = f"{segment.start_s:>10.3f} {segment.end_s:>10.3f}"
        line = f"{times}  {100 * segment.probability:5.1f} %  {one_line(segment.label)}\n"
        _write(line if form == TABLE else writer.rows(said))


def _print_table(told: Sequence[Mapping[str, Any]], *, with_segments: bool, of_tags: bool) -> None:
    """What is said of each clip as a whole; and the segments of those that were heard in windows."""
    shown_classes, least = (SHOWN_TAGS, LEAST_TAG) if of_tags else (SHOWN_CLASSES, 0.0)
    table = Table(box=None, pad_edge=False)
    for column in ("clip", "class", "probability", "next"):
        table.add_column(column, justify="right" if column == "probability" else "left", overflow="fold")
    for one in told:
        ranked = sorted(one["proba"].items(), key=lambda item: -item[1])[:shown_classes]
        share, others = ("", ranked) if one["unknown"] else (f"{100 * ranked[0][1]:.1f} %", ranked[1:])
        others = [(name, p) for name, p in others if p >= least]
        following = ", ".join(f"{name} {100 * p:.0f} %" for name, p in others)
        shown = [Text(one_line(text)) for text in (one["clip"], one["predicted"])]
        table.add_row(*shown, share, Text(one_line(following)))
    print_table(table, "next")
    rows = [(one["clip"], segment) for one in told if one["windows"] > 1 for segment in one["segments"]]
    if not with_segments or not rows:
        return
    segments = Table(box=None, pad_edge=False)
    for column in ("clip", "start", "end", "class", "probability"):
        segments.add_column(column, justify="left" if column in ("clip", "class") else "right", overflow="fold")
    for clip, segment in rows[:SHOWN_SEGMENTS]:
        times = [f"{segment[end]:.2f}" for end in ("start_s", "end_s")]
        label = Text(one_line(segment["label"]))
        segments.add_row(Text(one_line(clip)), *times, label, f"{100 * segment['probability']:.1f} %")
    out.print()
    print_table(segments)
    if len(rows) > SHOWN_SEGMENTS:
        err.print(f"... and {len(rows) - SHOWN_SEGMENTS} more segments: --format csv shows all.")


def _tell(told: Sequence[Mapping[str, Any]], failures: Sequence[AudioError], to: Path | None) -> None:
    from soundprobe.audio.checks import notes

    if to is not None:
        err.print(one_line(f"labels -> {to}"), markup=False)
    for note in notes({one["clip"]: one["findings"] for one in told}):
        err.print(one_line(note), markup=False)
    if known := [one["clip"] for one in told if one["trained_on"]]:
        named = ", ".join(known[:NAMES_SHOWN]) + (", ..." if len(known) > NAMES_SHOWN else "")
        whom = "it" if len(known) == 1 else "them"
        line = f"{plural(len(known), 'clip')} trained these heads, so what they say of {whom} is no test: {named}"
        err.print(one_line(line), markup=False)
    for failure in failures:
        err.print(one_line(failure), markup=False)
