"""`soundprobe push`: a run or a set of embeddings on the Hugging Face Hub."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from soundprobe.cli.export import Licence
from soundprobe.cli.options import Allow, Dataset, HeadsFolder, Quiet, examples, flag, option
from soundprobe.cli.output import Json, answer, out
from soundprobe.cli.predict import Weights
from soundprobe.reporting.wording import one_line

EXAMPLES = examples(
    "soundprobe push best --repo me/siren-model --dry-run",
    "soundprobe push mn04-linear --repo me/siren-model",
    "soundprobe push embeddings/esc10/mn04-3f2a91 --repo me/esc10 --public",
    "soundprobe predict recording.wav --run hf:me/siren-model",
)


def push(
    what: Annotated[str, typer.Argument(metavar="RUN|SET", help="A run as for predict, or a set's folder.")],
    repo: Annotated[str, option("OWNER/NAME", "On the Hub; made where it is not there.")],
    public: Annotated[bool, flag("Let everybody see a new repository.", "--public")] = False,
    dry_run: Annotated[bool, flag("Show what would go, and send nothing.", "--dry-run")] = False,
    dataset: Dataset = None,
    weights: Weights = None,
    data_licence: Licence = None,
    allow: Allow = None,
    heads: HeadsFolder = Path("heads"),
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Put a run or a set on the Hugging Face Hub, with a card.

    New repositories are private.
    """
    from soundprobe.verbs.push import push as send

    done = send(
        what,
        repo=repo,
        private=not public,
        dry_run=dry_run,
        heads=heads,
        dataset=dataset,
        weights=weights,
        data_licence=data_licence,
        progress=not quiet,
    )
    for name, size in done.files.items():
        out.print(f"{name:<20} {size / 1e3:10,.1f} kB", markup=False)
    if dry_run:
        out.print(f"\n{done.card}", markup=False)
        out.print(f"Nothing was sent: this would go to {done.kind} {done.repo}.", markup=False)
    else:
        out.print(f"-> {one_line(done.url)}, commit {one_line(done.commit)}", markup=False)
    answer(as_json, **dataclasses.asdict(done))
