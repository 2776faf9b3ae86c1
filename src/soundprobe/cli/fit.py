"""`soundprobe fit`: a scored run's head once more, on all clips, to be used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from soundprobe.base.errors import one_line
from soundprobe.cli.options import (
    Allow,
    Dataset,
    EmbeddingsFolder,
    Force,
    HeadsFolder,
    Memory,
    Quiet,
    examples,
    given_command,
    option,
)
from soundprobe.cli.output import Json, answer, out
from soundprobe.heads.catalog import HEADS
from soundprobe.reporting.wording import plural, setting_text

if TYPE_CHECKING:
    from soundprobe.scoring.fits import FitRecord

EXAMPLES = examples(
    "soundprobe fit --run best",
    "soundprobe fit --head linear --backbone mn04",
    "soundprobe fit --run mn04-linear --precision 0.9",
    "soundprobe predict recording.wav --run mn04-linear-fit",
)


def fit(
    run: Annotated[str | None, option("RUN", "Whose recipe. Default: the best that fits the rest.", "--run")] = None,
    head: Annotated[str | None, option("NAME", f"{', '.join(HEADS.own)}.")] = None,
    backbone: Annotated[
        str | None, option("NAME", "mn04, or several side by side: mn04+ast.", "--backbone", "-b")
    ] = None,
    dataset: Dataset = None,
    precision: Annotated[float | None, option("P", "Tell a class only where that share of it is right: 0.9.")] = None,
    passing: Annotated[float, option("P", "The share of your own clips not to be called none of these.")] = 0.95,
    embeddings: EmbeddingsFolder = Path("embeddings"),
    heads: HeadsFolder = Path("heads"),
    device: Annotated[str, option("NAME", "Of the head: cpu, cuda or auto.")] = "cpu",
    memory: Memory = None,
    allow: Allow = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train one head on all clips, for predict.

    By the recipe of a run that `probe` has scored.
    """
    from soundprobe.verbs.fit import fit as run_fit

    done = run_fit(
        run=run,
        head=head,
        backbone=backbone,
        dataset=dataset,
        precision=precision,
        passing=passing,
        embeddings=embeddings,
        heads=heads,
        device=device,
        memory_gb=memory,
        force=force,
        progress=not quiet,
        command=given_command(),
    )
    before = " (there before)" if done.reused else ""
    out.print(one_line(f"{done.name}{before} -> {done.folder}"), markup=False)
    for line in lines_of_fit(done.record):
        out.print(one_line(line), markup=False)
    answer(as_json, name=done.name, folder=done.folder, reused=done.reused, **fit_facts(done.record))


def lines_of_fit(record: FitRecord) -> list[str]:
    """What a fit is and isn't, a line each."""
    chosen = setting_text(record.chosen)
    lines = [f"one head on all {plural(record.train_clips, 'clip')}{f' ({chosen})' if chosen else ''}"]
    lines.append(record.has_no_score)
    if told := record.thresholds:
        never = [name for name, one in told.classes.items() if one.threshold is None]
        reached = "none is told" if told.reached is None else f"{100 * told.reached:.1f} % of what is told is right"
        lines.append(
            f"For {100 * told.precision:g} % precision: {reached}, and {100 * told.recall:.1f} % of all clips are told "
            "rightly, by thresholds that were chosen on the other folds."
            + (f" Never told: {', '.join(never)}." if never else "")
        )
    if known := record.novelty:
        lines.append(
            f"None of these: {100 * known.passed:.1f} % of the data's own clips pass, judged by the other folds "
            f"({100 * known.passing:g} % asked for)."
        )
    return lines


def fit_facts(record: FitRecord) -> dict[str, Any]:
    """What an answer says of a fit; its own accuracy is unknown, and that of its recipe stands under its name."""
    score, told, known = record.run.summary.accuracy, record.thresholds, record.novelty
    return {
        "key": record.key,
        "chosen": record.chosen,
        "train_clips": record.train_clips,
        "accuracy": None,
        "recipe": {
            "name": record.recipe_name,
            "accuracy": {**score.model_dump(), "low": record.accuracy.low, "high": record.accuracy.high},
            "folds": record.run.tested,
        },
        "thresholds": None if told is None else told.model_dump(),
        "novelty": None if known is None else known.model_dump(),
    }
