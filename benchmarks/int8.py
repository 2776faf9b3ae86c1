"""CNN14 and AST in int8 against this package's float32 and against the loops that their users run, file to embedding.

    python benchmarks/int8.py --data UrbanSound8K/                              CNN14 and AST
    python benchmarks/int8.py panns --data UrbanSound8K/ --clips 8 --rounds 2   a quick try
    python benchmarks/int8.py ast --data UrbanSound8K/ --clips 2

The loops take one clip at a time: `librosa.load` at 32 kHz and panns_inference's Cnn14 with its own front end;
`librosa.load` at 16 kHz, transformers' ASTFeatureExtractor and its model (sdpa) at 1,024 frames. A round runs
each way once over the same clips; ratios are of one round. Random weights by default: the cost is the same, but the
cosines are those of random weights. They are over other clips than calibration's, near-silent ones among them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from machine_note import describe, spread
from soundprobe.audio.decode import decode, fit_length
from soundprobe.audio.encoded import read_bytes
from soundprobe.backbones.load import LoadedBackbone, load_backbone
from soundprobe.data.catalog import open_data
from soundprobe.data.scan import scan
from soundprobe.embeddings import quantising
from soundprobe.embeddings.embed import EmbeddingJob

Embed = Callable[[list[str]], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=["panns", "ast", "mn04"])
    parser.add_argument("--data", required=True, help="a data set of clips of at most 4 s")
    parser.add_argument("--clips", type=int, default=16, help="timed in each round")
    parser.add_argument("--limit", type=int, default=100, help="clips of the data that are used at all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weights", default="random")
    options = parser.parse_args()
    print(f"{describe()}; {options.clips} clips a round, {options.rounds} rounds, weights {options.weights}")
    for name in options.names:
        compare(name, options)


def compare(name: str, options: argparse.Namespace) -> None:
    model = load_backbone(name, weights=options.weights)
    clips = open_data(options.data, limit=options.limit)
    job = EmbeddingJob(model, clips, scan(clips), torch.device("cpu"), 8, None)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        in_int8, check = quantising.quantised(job, Path(folder), progress=False)
        took_s = time.perf_counter() - began
        ways: dict[str, Embed] = {
            "int8": lambda files: embed(in_int8.model, files),
            "float32": lambda files: embed(model, files),
        }
        if name in LOOPS:
            ways["peer's loop"] = LOOPS[name](model)
        files = [str(source) for source in clips.sources[: options.clips]]
        milliseconds = time_ways(ways, files, options.rounds)
    print(f"\n{name}: quantised and checked in {took_s:.0f} s")
    for way, values in milliseconds.items():
        ratios = [theirs / ours for theirs, ours in zip(values, milliseconds["int8"], strict=True)]
        print(f"  {way:<12}{spread(values):>28} ms a clip   {spread(ratios):>20} times int8's")
    for kind in ("cosine", "centred"):
        least, mean = check[f"{kind}_min"], check[f"{kind}_mean"]
        print(f"  {kind} to float32 over {check['clips']} clips: least {least}, mean {mean}")


def time_ways(ways: dict[str, Embed], files: list[str], rounds: int) -> dict[str, list[float]]:
    milliseconds: dict[str, list[float]] = {way: [] for way in ways}
    for round_ in range(rounds + 1):
        for way, run in ways.items():
            began = time.perf_counter()
            run(files if round_ else files[:2])
            if round_:  # the first round warms up
                milliseconds[way].append((time.perf_counter() - began) * 1e3 / len(files))
    return milliseconds


def embed(model: LoadedBackbone, files: list[str], batch_size: int = 8) -> np.ndarray:
    """As `extract` does it, without its decoding ahead on threads of their own."""
    rate_hz, found = model.spec.sample_rate_hz, []
    for start in range(0, len(files), batch_size):
        waves = [decode(read_bytes(f), sample_rate_hz=rate_hz, name=f) for f in files[start : start + batch_size]]
        samples = model.spec.input_samples(4.0)
        lengths = torch.tensor([min(len(wave), samples) for wave in waves])
        with torch.inference_mode():
            batch = torch.from_numpy(np.stack([fit_length(wave, samples) for wave in waves]))
            found.append(model.network(batch, lengths).numpy())
    return np.concatenate(found)


def panns_loop(model: LoadedBackbone) -> Embed:
    """`panns_inference`: librosa.load, and its network with its own front end, one clip at a time."""
    import librosa

    from original_cnn14 import original_cnn14

    network = original_cnn14()

    def run(files: list[str]) -> np.ndarray:
        found = []
        for file in files:
            wave, _ = librosa.load(file, sr=32_000, mono=True)
            with torch.no_grad():
                found.append(network(torch.from_numpy(wave)[None], None)["embedding"][0].numpy())
        return np.stack(found)

    return run


def ast_loop(model: LoadedBackbone) -> Embed:
    """transformers: its feature extractor and its model, one clip at a time."""
    import librosa
    from transformers import ASTFeatureExtractor

    module: Any = model.network
    extractor: Any = ASTFeatureExtractor()

    def run(files: list[str]) -> np.ndarray:
        found = []
        for file in files:
            wave, _ = librosa.load(file, sr=16_000, mono=True)
            inputs = extractor(wave, sampling_rate=16_000, return_tensors="pt")
            with torch.no_grad():
                found.append(module.ast(**inputs).pooler_output[0].numpy())
        return np.stack(found)

    return run


LOOPS: dict[str, Callable[[LoadedBackbone], Embed]] = {"ast": ast_loop, "panns": panns_loop}

if __name__ == "__main__":
    main()
