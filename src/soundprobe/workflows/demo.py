"""A comparison on generated sounds: what `soundprobe demo` runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from soundprobe.base.config import ComparisonRecipe, read_recipe
from soundprobe.base.progress import progress_bar
from soundprobe.data.synth.generate import clip_count, ensure_synth
from soundprobe.workflows.compare import Compared, compare

FOLDER = "soundprobe-demo"


def demo(
    to: str | Path = "soundprobe-demo",
    *,
    recipe: str = "demo",
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> Compared:
    """Compares as the recipe says, below the folder `to`.

    Args:
        to: its data, embeddings, heads and report; recipe: a TOML file, `configs/demo.toml` by default.
        progress: show bars; say: called with each line that is told on the way.

    Raises:
        SoundprobeError: see `compare`.
    """
    root, plan = Path(to), read_recipe(recipe, ComparisonRecipe)
    if plan.data == "synth":
        with progress_bar("generate synth", clip_count(), "clips", shown=progress) as bar:
            ensure_synth(on_progress=bar.advance)
    return compare(
        plan.data,
        backbone=plan.backbone,
        head=plan.head,
        seed=plan.seeds,
        embeddings=root / "embeddings",
        heads=root / "heads",
        reports=root / "reports",
        progress=progress,
        command="soundprobe demo",
        say=say,
    )
