"""One report of backbones of every kind on the same clips: `make families DATA=UrbanSound8K/ MN04=mn04.pt`.

mn04 with its published weights and with random ones, statistics of a spectrogram, a tiny model of each family of
transformers, a module of HEAR's API and an encoder of MTEB's protocol. The tiny models, the module and the encoder are
the tests' own, of random weights: their scores say that the way through soundprobe holds, and nothing of the families.

Prints the families with the largest difference of an embedding in the set from what transformers' own model gives for
the clip by itself, relative to the embedding's largest number, and with the linear head's accuracy: a table of
docs/backbones.md. Letters: N clips, D the embedding's dimension.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

import numpy as np
import torch

from machine_note import describe
from soundprobe.audio.decode import decode
from soundprobe.audio.encoded import read_bytes
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.base.records import Clips, Embeddings
from soundprobe.data.catalog import open_data
from soundprobe.embeddings.store import open_set, read_embeddings
from soundprobe.reporting.write import write_report
from soundprobe.verbs.extract import extract
from soundprobe.verbs.probe import probe

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "backbones")]
COMPARED = 16
"""Clips, evenly spread, that transformers' own model hears, too."""


def difference(family: str, model: Path, embeddings: Embeddings, clips: Clips) -> float:
    """The largest of any number of the clips' embeddings (N, D), relative to the largest number of them."""
    from test_transformers_audio import pooled_reference

    rate_hz = BACKBONES[f"hf:./{model}"].sample_rate_hz
    source = dict(zip(clips.ids, clips.sources, strict=True))
    rows = np.linspace(0, len(embeddings) - 1, COMPARED).astype(int)
    ids = [embeddings.ids[row] for row in rows]
    waves = [decode(read_bytes(source[one]), sample_rate_hz=rate_hz, name=one) for one in ids]
    own = torch.stack([pooled_reference(family, model, wave) for wave in waves])
    kept = torch.from_numpy(embeddings.features[rows])
    return float((kept - own).abs().max() / kept.abs().max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="urbansound8k")
    parser.add_argument("--weights", help="mn04's file, where it isn't in the cache")
    parser.add_argument("--to", default="families", help="the folder of models, embeddings, heads and report")
    parser.add_argument("--limit", type=int, help="a trial on so many clips")
    arguments = parser.parse_args()
    from transformers.utils.logging import disable_progress_bar

    from tiny_transformers import FAMILIES, save_tiny

    disable_progress_bar()

    weights = arguments.weights and Path(arguments.weights).resolve()
    data = str(Path(arguments.data).resolve()) if Path(arguments.data).exists() else arguments.data
    clips = open_data(data, limit=arguments.limit)
    folder = Path(arguments.to)
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)  # so that models are named on the page without the way to them
    tiny = {family: Path(re.sub(r"\W+", "-", family).strip("-").lower()) for family in FAMILIES}
    for family, model in tiny.items():
        save_tiny(family, model)
    others = "logmel-stats", "hear:hear_bands", "mteb:mteb_bands:BandsEncoder"
    asked = {"mn04": [weights, "random"], **{name: [None] for name in others}}
    asked |= {f"hf:./{model}": ["random"] for model in tiny.values()}
    made = extract(clips, weights=asked, device="cpu")
    accuracy = {run.result["backbone"]["name"]: run.result["summary"]["accuracy"] for run in probe(head="linear")}
    page = write_report(Path("heads"), Path("report"), title="Backbones of every kind", data=data)

    print(describe())
    print(f"{len(clips)} clips; {page.html.resolve()}\n\n| family | D | difference | accuracy |\n|---|---|---|---|")
    sets = {one.backbone: one for one in made}
    for family, model in tiny.items():
        embeddings = read_embeddings(open_set(sets[f"hf:./{model}"].folder))
        apart = difference(family, model, embeddings, clips)
        score = accuracy[f"hf:./{model}"]["mean"]
        print(f"| {family} | {embeddings.features.shape[1]} | {apart:.1e} | {score:.3f} |", flush=True)


if __name__ == "__main__":
    main()
