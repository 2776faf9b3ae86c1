"""The backbones that a trained head's file names, each checked to give the very embeddings that it was trained on."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from soundprobe.backbones.catalog import get_spec
from soundprobe.backbones.half import HALF_TYPES
from soundprobe.backbones.load import Backbone, load_backbone
from soundprobe.errors import ConfigError
from soundprobe.finetuned import load_network, open_run
from soundprobe.precisions import PRECISIONS, declared, in_half

SEED = re.compile(r"random \(seed (\d+)\)")


def networks_of(
    about: dict[str, Any], folder: Path, weights: str | Path | None, folds: Sequence[int]
) -> Iterator[Backbone]:
    """The fine-tuned network of each of `folds`, on which its head was trained."""
    told = about["finetuned"]
    place = Path(told["path"] if weights is None else weights)
    if not place.exists():
        raise ConfigError(
            f"The heads in {folder} belong to networks that were fine-tuned in {place}, and nothing is there. Give the "
            "run's folder with --weights FOLDER."
        )
    run = open_run(place)
    for fold in folds:
        if run.networks.get(fold) != told["networks"][str(fold)]:
            raise ConfigError(
                f"The network of fold {fold} in {place} is not the one that the heads in {folder} were trained on. "
                "Extract with --finetuned and probe again, or give the right run with --weights FOLDER."
            )
        yield load_network(run, fold, about["settings"]["clip_seconds"])


def backbones_of(about: dict[str, Any], folder: Path, weights: str | Path | None, progress: bool) -> Iterable[Backbone]:
    """The backbones that a head's metadata name, each checked to give the very embeddings that it was trained on."""
    fields = ("name", "weights", "weights_label", "weights_sha256")
    columns = [str(about[field]).split("+") for field in fields]
    names = columns[0]
    for name, kind, label, sha256 in itertools.zip_longest(*columns, fillvalue=""):
        settings = about["settings"] if len(names) == 1 else about["settings"].get(name)
        if settings is None:
            raise ConfigError(f"The heads in {folder} don't say the settings of {name}. Probe again.")
        yield _backbone(name, kind, label, sha256, settings, folder, weights, progress)


def _backbone(
    name: str,
    kind: str,
    label: str,
    sha256: str,
    settings: dict[str, Any],
    folder: Path,
    weights: str | Path | None,
    progress: bool,
) -> Backbone:
    precision = settings.get("precision", "fp32")
    if precision == "int8":
        raise ConfigError(
            f"The heads in {folder} were trained on {name} in int8, which predict can't run. "
            "Extract without --precision int8 and probe again."
        )
    if precision not in PRECISIONS:
        raise ConfigError(
            f"The heads in {folder} were trained on {name} in {precision!r}, and this version knows only "
            f"{', '.join(PRECISIONS)}. Extract and probe again."
        )
    seed = SEED.fullmatch(label)
    if kind == "file" and weights is None:
        raise ConfigError(f"The heads in {folder} were trained on {name} with {label}: give it with --weights FILE.")
    asked: str | Path = weights if kind == "file" and weights is not None else kind
    clip_seconds = settings.get("clip_seconds")
    if clip_seconds == get_spec(name).clip_seconds:
        clip_seconds = None
    backbone = load_backbone(
        name, weights=asked, clip_seconds=clip_seconds, seed=int(seed[1]) if seed else 0, progress=progress
    )
    backbone = declared(backbone, precision)
    if backbone.weights.sha256 != sha256:
        raise ConfigError(
            f"The heads in {folder} belong to {name} with weights {sha256[:12]}..., but those here are "
            f"{backbone.weights.sha256[:12]}.... Give the right ones with --weights, or extract and probe again."
        )
    mine = json.loads(json.dumps(backbone.settings))
    if mine != settings:
        differing = sorted(key for key in {*mine, *settings} if mine.get(key) != settings.get(key))
        raise ConfigError(
            f"The heads in {folder} belong to {name} with another {', '.join(differing)} than this version has. "
            "Extract and probe again."
        )
    # On any device, also where 16 bits are no faster: a head belongs to the numbers that it was trained on.
    return in_half(backbone) if precision in HALF_TYPES else backbone
