"""The whole main job on generated sounds: what `soundprobe demo` runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from soundprobe.base.config import ComparisonRecipe, ExtractRecipe, read_recipe
from soundprobe.base.errors import WeightsError
from soundprobe.base.progress import progress_bar
from soundprobe.data.catalog import open_data
from soundprobe.data.synth.generate import clip_count, ensure_synth
from soundprobe.reporting.render.terminal import format_summary
from soundprobe.reporting.write import ReportPaths, write_report
from soundprobe.verbs.extract import extract
from soundprobe.verbs.probe import probe


def demo(
    to: str | Path = ".", *, recipe: str = "demo", progress: bool = True, say: Callable[[object], None] = print
) -> ReportPaths:
    """Extracts, probes and reports as the recipe says, below the folder `to`, and says which weights were used.

    Where pretrained weights can't be had, their rows are left out and the random-weights control stands alone,
    labelled as such.

    Raises:
        SoundprobeError: the folder can't be written, or nothing could be extracted.
    """
    root = Path(to)
    plan = read_recipe(recipe, ComparisonRecipe)
    if plan.data == "synth":
        with progress_bar("generate synth", clip_count(), "clips", shown=progress) as bar:
            ensure_synth(on_progress=bar.advance)
    clips = open_data(plan.data)
    say(f"1/3 extract: {len(clips)} clips of {clips.name}, {len(set(clips.folds))} folds")
    for step in plan.extract:
        # By its name rather than the open clips, so that the report can find the sounds again.
        _extract_or_explain(step, plan.data, root, progress, say)
    say("2/3 probe: each fold's head is chosen and trained without its test fold")
    for head in plan.probe:
        probe(
            head=head.head,
            dataset=clips.name,
            seeds=head.seeds,
            settings=head.settings,
            embeddings=root / "embeddings",
            heads=root / "heads",
            progress=progress,
            command="soundprobe demo",
            on_probe=lambda done: say(f"    {done.describe()}"),
        )
    say("3/3 report")
    written = write_report(root / "heads", root / "reports", dataset=clips.name, embeddings=root / "embeddings")
    say(format_summary(written))
    say(f"Open {written.html}")
    return written


def _extract_or_explain(
    step: ExtractRecipe, data: str, root: Path, progress: bool, say: Callable[[object], None]
) -> None:
    try:
        outcomes = extract(
            data,
            backbone=step.backbone,
            weights=step.weights,
            seed=step.seeds,
            clip_seconds=step.clip_seconds,
            embeddings=root / "embeddings",
            progress=progress,
            command="soundprobe demo",
        )
    except WeightsError as error:
        say(f"    {step.backbone}, pretrained: NOT USED, its weights can't be had here. {error}")
        return
    for outcome in outcomes:
        say(f"    {outcome.backbone}, {outcome.weights_label}: {outcome.clips} clips in {outcome.seconds:.1f} s")
