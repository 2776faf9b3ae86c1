"""The figures of gpu.py, each row by itself: extraction, the peers' loops, probes and fine-tuning, on one device.

Letters: N clips or rows, T samples, D features, S inner splits.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import update_bn
from torch.utils.flop_counter import FlopCounterMode

from machine_note import describe
from soundprobe.backbones.half import HALF_TYPES, Half
from soundprobe.backbones.load import LoadedBackbone, load_backbone
from soundprobe.backbones.protocol import SpectrogramBackbone
from soundprobe.base.machine import exactly
from soundprobe.base.records import Embeddings
from soundprobe.embeddings.forward import embed_waves
from soundprobe.embeddings.streams import in_streams, streams_of
from soundprobe.heads.linear import LinearHead
from soundprobe.heads.mlp import MLPHead
from soundprobe.heads.mlp_training import Rows, train, validate
from soundprobe.heads.scaling import split_scalers
from soundprobe.scoring.folds import inner_split
from soundprobe.training.recipes import finetune_recipe
from soundprobe.verbs.bench import TYPES, gemm_peak_gflops
from synthetic_embeddings import make_embeddings
from training import random_part, step_of, whole_network

Figures = dict[str, Any]
PRECISIONS = ("fp32", *HALF_TYPES)


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        settings: of backbones, by name; seconds: of a clip; batch: clips; batches: of a timed run.
        rows, dimension, folds: of the probe's features; epochs: of the MLP, so that all ways do the same work.
        compiled: whether torch.compile is tried, which takes half a minute a row.
    """

    settings: tuple[tuple[str, dict[str, float]], ...] = ()
    seconds: float = 4.0
    batch: int = 64
    batches: int = 16
    rounds: int = 5
    rows: int = 8732
    dimension: int = 2048
    folds: int = 10
    epochs: int = 20
    compiled: bool = True


FULL = Sizes()
TINY = Sizes(
    settings=(("ast", {"clip_seconds": 1.0}),),
    seconds=1.0,
    batch=1,
    batches=1,
    rounds=0,
    rows=60,
    dimension=8,
    folds=2,
    epochs=2,
    compiled=False,
)


def measure(device_name: str, sizes: Sizes, seconds: float) -> list[Figures]:
    """A mapping for each row: `section`, `row`, and its figures, or why there are none.

    A row that fails or for which no time is left costs only itself: the card may be lent for minutes.
    """
    device, began = torch.device(device_name), time.perf_counter()
    rows: list[Figures] = []
    for section, name, work in _plan(device, sizes):
        row: Figures = {"section": section, "row": name}
        if time.perf_counter() - began > seconds:
            row["left out"] = "no time"
        else:
            try:
                row |= work()
            except Exception as error:
                row["failed"] = f"{type(error).__name__}: {error}".splitlines()[0]
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def _plan(device: torch.device, sizes: Sizes) -> Iterator[tuple[str, str, Callable[[], Figures]]]:
    """What is measured, in its order: what takes longest comes last."""
    peaks: dict[str, float] = {}
    for precision in PRECISIONS:
        yield "GEMM peak", precision, partial(_peak, peaks, precision, device, sizes.rounds)
    settings = dict(sizes.settings)
    cases = {
        name: Case.of(load_backbone(name, weights="random", **settings.get(name, {})), sizes) for name in BACKBONES
    }

    def extraction(mode: str, ready: Ready) -> Iterator[tuple[str, str, Callable[[], Figures]]]:
        for (name, case), precision in product(cases.items(), PRECISIONS):
            work = partial(_extraction, case, precision, ready, device, sizes, peaks)
            yield "extraction", f"{name} {precision} {mode}", work

    yield from extraction("eager", lambda network, *_: network)
    if device.type == "cuda":
        yield from extraction("CUDA graph", _graphed)
    for name, peer in PEERS.items():
        for at_once in sorted({1, sizes.batch}):
            work = partial(_peer, peer, cases[name], at_once, device, sizes)
            yield "the peers' loops", f"{name} fp32, {at_once} at once", work
    data = make_embeddings(sizes.rows, sizes.dimension, 10, sizes.folds)
    mlp = MLPHead(max_epochs=sizes.epochs, patience=sizes.epochs, device=str(device))
    yield "probe", "linear, fold after fold", partial(_probe, data, LinearHead(device=str(device)))
    yield "probe", "MLP, fold after fold", partial(_probe, data, mlp)
    yield "probe", "MLP, all folds in one stack", partial(_stacked_probe, data, mlp, device)
    for name in BACKBONES:
        yield "fine-tuning", name, partial(_steps, name, settings.get(name, {}), device, sizes)
    if sizes.compiled:
        yield from extraction("torch.compile", _compiled)


def _peak(peaks: dict[str, float], precision: str, device: torch.device, rounds: int) -> Figures:
    peaks[precision] = gemm_peak_gflops(device, rounds + 2, TYPES[precision])
    return {"TFLOP/s": peaks[precision] / 1e3}


@dataclass(frozen=True)
class Case:
    """One backbone, a batch of noise, and what the CPU makes of its first clips in float32, without shortcuts.

    Attributes:
        waves: (B, T) float32; lengths: (B,) int64; expected: (b, D); gflop: operations of a clip in the network, 1e9.
    """

    network: SpectrogramBackbone
    width: int
    waves: np.ndarray
    lengths: np.ndarray
    expected: np.ndarray
    gflop: float

    @staticmethod
    def of(model: LoadedBackbone, sizes: Sizes) -> Case:
        network = model.on_spectrograms()
        network.allow_shortcuts(False)
        samples = model.input_samples(sizes.seconds)
        waves = np.random.default_rng(0).uniform(-0.5, 0.5, (sizes.batch, samples)).astype(np.float32)
        lengths = np.full(sizes.batch, samples)
        update_bn([torch.from_numpy(waves[:8])], network)  # or random weights make numbers below fp16's smallest
        with FlopCounterMode(display=False) as counter:
            expected = embed_waves(network, waves[:2], lengths[:2], torch.device("cpu"))
        return Case(
            network, model.spec.embedding_dim, waves, lengths, expected, counter.get_total_flops() / len(expected) / 1e9
        )


Embed = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Faster:
    """What `extract` asks of a network while it runs, with its `embed` made faster for one shape of batch."""

    fills_cores = True

    def __init__(self, embed: Embed) -> None:
        self.embed = embed


Ready = Callable[[SpectrogramBackbone, torch.Tensor, torch.Tensor], Any]
"""From a network and a batch on its device to what embeds such batches."""


def _compiled(network: SpectrogramBackbone, waves: torch.Tensor, lengths: torch.Tensor) -> Faster:
    return Faster(torch.compile(network.embed, dynamic=False))


def _graphed(network: SpectrogramBackbone, waves: torch.Tensor, lengths: torch.Tensor) -> Faster:
    """One graph of the whole batch, front end included; source: PyTorch's notes on CUDA semantics."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.inference_mode():
        with torch.cuda.stream(beside):
            for _ in range(3):  # plans and workspaces are made before the capture
                network.embed(waves, lengths)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            made = network.embed(waves, lengths)

    def embed(new: torch.Tensor, new_lengths: torch.Tensor) -> torch.Tensor:
        waves.copy_(new)
        lengths.copy_(new_lengths)
        graph.replay()
        return made

    return Faster(embed)


def _extraction(
    case: Case, precision: str, ready: Ready, device: torch.device, sizes: Sizes, peaks: dict[str, float]
) -> Figures:
    """From decoded waves to embeddings in memory, by the calls that `extract` makes."""
    plain = case.network if precision == "fp32" else Half(case.network, precision)
    batch = torch.from_numpy(case.waves).to(device), torch.from_numpy(case.lengths).to(device)
    began = time.perf_counter()
    with exactly(device):
        network = ready(plain.to(device), *batch)
    embedded = embed_waves(network, case.waves, case.lengths, device)
    first = time.perf_counter() - began

    def run() -> None:
        batches = iter([(case.waves, case.lengths)] * sizes.batches)
        for _ in in_streams(lambda given: embed_waves(network, *given, device), batches, streams_of(network, device)):
            pass

    rate = _rate(run, sizes.batch * sizes.batches, sizes.rounds)
    difference = np.abs(embedded[: len(case.expected)] - case.expected).max()
    found = {
        "clips/s": rate,
        "of GEMM peak": rate * case.gflop / peaks[precision],
        "max difference": float(difference),
        "of the rms": float(difference / np.sqrt((case.expected**2).mean())),
        "first batch, s": first,
    }
    case.network.to("cpu")
    return found


def _rate(run: Callable[[], None], count: int, rounds: int) -> float:
    """`count` a second, the median over `rounds`, after one that warms up. `run` ends when the device has."""
    seconds = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return count / statistics.median(seconds[1:] or seconds)


Loop = Callable[[np.ndarray], Any]
"""Embeds waves (n, T), and waits for them."""


def _peer(
    peer: Callable[[torch.device], Loop], case: Case, at_once: int, device: torch.device, sizes: Sizes
) -> Figures:
    loop = peer(device)

    def run() -> None:
        for start in range(0, sizes.batch, at_once):
            loop(case.waves[start : start + at_once])

    with torch.no_grad():
        return {"clips/s": _rate(run, sizes.batch, sizes.rounds)}


def _original_panns(device: torch.device) -> Loop:
    from original_cnn14 import original_cnn14

    network = original_cnn14().to(device)
    return lambda waves: network(torch.from_numpy(waves).to(device))["embedding"].cpu()


def _transformers_ast(device: torch.device) -> Loop:
    from transformers import ASTFeatureExtractor, ASTModel

    from soundprobe.backbones.ast import config

    extractor, network = ASTFeatureExtractor(), ASTModel(config()).eval().to(device)

    def loop(waves: np.ndarray) -> Any:
        inputs = extractor(list(waves), sampling_rate=16_000, return_tensors="pt").to(device)
        return network(**inputs).pooler_output.cpu()

    return loop


BACKBONES = ("panns", "ast", "mn04")
PEERS = {"panns": _original_panns, "ast": _transformers_ast}


def _folds(data: Embeddings) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows of each fold."""
    return [(np.flatnonzero(data.folds != fold), np.flatnonzero(data.folds == fold)) for fold in np.unique(data.folds)]


def _probe(data: Embeddings, head: LinearHead | MLPHead) -> Figures:
    began, right = time.perf_counter(), 0
    for known, asked in _folds(data):
        head.fit(data.features[known], data.labels[known], groups=data.groups[known])
        right += int((head.predict(data.features[asked]) == data.labels[asked]).sum())
    return {"seconds": time.perf_counter() - began, "accuracy": right / len(data)}


def _stacked_probe(data: Embeddings, head: MLPHead, device: torch.device) -> Figures:
    began = time.perf_counter()
    labels = stacked_predictions(data, head, device)
    return {"seconds": time.perf_counter() - began, "accuracy": float((labels == data.labels).mean())}


def stacked_predictions(data: Embeddings, head: MLPHead, device: torch.device) -> np.ndarray:
    """(N,) int64, each row's label as the network says that was trained without its fold.

    As `head` chooses and trains, but the inner splits of all folds are one stack, and so are the folds that choose the
    same width and rate. The order of rows and the first weights are drawn otherwise, so the numbers are others.
    """
    folds = _folds(data)
    inner: list[tuple[np.ndarray, np.ndarray]] = []
    for known, _ in folds:
        splits = inner_split(data.labels[known], data.groups[known], head.inner_splits, head.seed)
        inner += [(known[own], known[val]) for own, val in splits]
    rows = Rows.of(data.features, data.labels, *split_scalers(data.features, inner), str(device))
    fewest = min(len(known) for known, _ in folds)
    best = [(np.inf, (0, 0.0), 0)] * len(folds)
    for pair in product(sorted(head.widths), sorted(head.learning_rates)):
        stack = train(rows, [own for own, _ in inner], head.recipe_for(*pair, fewest))
        for epoch, (members, _) in enumerate(islice(stack, head.max_epochs), 1):
            losses, _ = validate(rows, members, [val for _, val in inner])
            for fold, loss in enumerate(np.reshape(losses, (len(folds), -1)).mean(axis=1)):
                best[fold] = min(best[fold], (float(loss), pair, epoch))
    found = np.empty(len(data), dtype=np.int64)
    for chosen in sorted({pair for _, pair, _ in best}):
        which = [fold for fold, (_, pair, _) in enumerate(best) if pair == chosen]
        of_folds = [folds[fold] for fold in which]
        rows = Rows.of(data.features, data.labels, *split_scalers(data.features, of_folds), str(device))
        stack = train(rows, [known for known, _ in of_folds], head.recipe_for(*chosen, fewest))
        for epoch, (members, _) in enumerate(islice(stack, max(best[fold][2] for fold in which)), 1):
            for member, fold in enumerate(which):
                if best[fold][2] == epoch:
                    asked = folds[fold][1]
                    x = rows.features[torch.from_numpy(asked).to(device)]
                    with torch.no_grad():
                        logits = members.logits(
                            ((x - rows.means[member]) / rows.scales[member]).expand(len(which), -1, -1)
                        )
                    found[asked] = logits[member].argmax(dim=1).cpu().numpy()
    return found


def _steps(name: str, settings: dict[str, float], device: torch.device, sizes: Sizes) -> Figures:
    part, module, _, width = random_part(name, sizes.batch, sizes.seconds, **settings)
    found = {}
    for mode, mixed in (("fp32", "false"), ("mixed", "true")):
        given = [f"training.mixed_precision={mixed}", "augment={}", "training.accumulate=1"]
        recipe = whole_network(finetune_recipe(name, None, given), sizes.batch)
        with exactly(device, deterministic=True):
            found[f"{mode}, steps/s"] = _rate(step_of(part, module, width, recipe, device), 1, sizes.rounds)
    return {**found, "clips a step": sizes.batch}


def write(rows: list[Figures], device_name: str, folder: Path) -> None:
    """gpu.json and gpu.md, a table for each section, in `folder`."""
    card = f"; {torch.cuda.get_device_name()}" if device_name == "cuda" else ""
    head = f"{describe()}; on {device_name}{card}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gpu.json").write_text(json.dumps({"machine": head, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    lines = [head]
    for section in dict.fromkeys(row["section"] for row in rows):
        of_section = [{key: row[key] for key in row if key != "section"} for row in rows if row["section"] == section]
        columns = list(dict.fromkeys(key for row in of_section for key in row))
        lines += ["", f"### {section}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        lines += [f"| {' | '.join(_shown(row.get(column, '')) for column in columns)} |" for row in of_section]
    (folder / "gpu.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return str(value).replace("|", "/")
