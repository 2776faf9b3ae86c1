"""mn04's real weights on real clips, in float32 and in another precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from soundprobe.scoring.results import FinishedRun
from soundprobe.verbs.extract import Extraction, extract
from soundprobe.verbs.probe import probe

WEIGHTS = "mn04_as_mAP_432.pt"


def probed_sets(precision: str, shared: Path, root: Path) -> tuple[dict[str, Extraction], dict[str, FinishedRun]]:
    """The sets of 397 clips in "fp32" and in `precision` below root/embeddings, and the linear probe on each."""
    options: dict[str, Any] = {"backbone": "mn04", "weights": shared / "weights" / WEIGHTS, "device": "cpu"}
    data, embeddings = shared / "data" / "UrbanSound8K", root / "embeddings"
    found = {
        name: extract(data, precision=name, embeddings=embeddings, progress=False, **options)[0]
        for name in ("fp32", precision)
    }
    done = probe(head=["linear"], embeddings=embeddings, heads=root / "heads", progress=False)
    return found, {run.result["backbone"]["settings"].get("precision", "fp32"): run for run in done}
