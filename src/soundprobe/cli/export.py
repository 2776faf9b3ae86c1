"""`soundprobe export`: a run as files that work elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from soundprobe.cli.options import Allow, Dataset, HeadsFolder, Quiet, examples, option
from soundprobe.cli.output import Json, answer, out
from soundprobe.cli.predict import Weights
from soundprobe.reporting.wording import one_line

EXAMPLES = examples(
    "soundprobe export best --to siren-model/",
    "soundprobe export mn04-linear --to siren-model/ --format bundle",
    "soundprobe predict recording.wav --run siren-model/",
)

Licence = Annotated[str | None, option("TEXT", "Of the clips, for the card, such as 'CC BY 4.0'.")]


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="best, a name or key of `runs list`, or a folder.")],
    to: Annotated[Path, option("FOLDER", "New, empty, or an earlier export's.")],
    format_: Annotated[str, option("NAME", "onnx, torch, or bundle for predict --run.", "--format")] = "onnx",
    dataset: Dataset = None,
    weights: Weights = None,
    data_licence: Licence = None,
    allow: Allow = None,
    heads: HeadsFolder = Path("heads"),
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a run, waveform to probabilities, as a model.

    A card and the names of the classes stand beside the model.
    """
    from soundprobe.verbs.export import export as write

    done = write(
        run,
        to=to,
        format=format_,
        heads=heads,
        dataset=dataset,
        weights=weights,
        data_licence=data_licence,
        progress=not quiet,
    )
    told = done.record.checked
    if told is not None:
        out.print(
            f"{told.runtime}: {told.milliseconds:g} ms for a clip of {told.clip_seconds:g} s, "
            f"{told.here_milliseconds:g} ms here; probabilities differ by {told.proba_differs:.0e} at most",
            markup=False,
        )
    out.print(f"{one_line(done.record.name)} ({done.record.kind}) -> {one_line(done.folder)}", markup=False)
    answer(as_json, folder=done.folder, **done.record.content)
