"""Training: SimpleCNN against a plain loop over stored log-mels, and what a training step costs with each backbone.

    python benchmarks/training.py                                        SimpleCNN against the plain loop
    python benchmarks/training.py --data UrbanSound8K --epochs 25        on clips of your own
    python benchmarks/training.py --steps mn04 panns ast                 steps of fine-tuning, float32 and mixed

The plain loop is what the notes' recipe reads like in PyTorch's tutorials: TensorDataset, DataLoader, the notes' layers
in the default memory layout, Adam, float32, a validation pass after each epoch. soundprobe's side does more: it also
measures the training loss again after each epoch. Rounds are interleaved; each draws its own seed, for all sides the
same.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (torch's own abbreviation)
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from machine_note import describe, spread
from soundprobe.backbones.load import load_backbone
from soundprobe.base.machine import half_type
from soundprobe.base.progress import progress_bar
from soundprobe.data.catalog import open_data
from soundprobe.data.scan import scan
from soundprobe.training.inputs import ClipsPart, ClipsTable, Inputs, open_inputs, prepare_inputs
from soundprobe.training.loop import train, train_step
from soundprobe.training.networks import FinetunedNetwork
from soundprobe.training.recipes import FinetuneRecipe, finetune_recipe
from soundprobe.training.state import Setting, TrainingState
from soundprobe.verbs.bench import gemm_peak_gflops

CPU = torch.device("cpu")


def parts_of(data: str, limit: int, folder: Path) -> tuple[ClipsPart, ClipsPart, int]:
    """Training and validation clips with their log-mels, and the number of classes: the last fold validates."""
    clips = open_data(data, limit=limit)
    scanned = scan(clips)
    model = load_backbone("simplecnn", weights="random")
    with progress_bar("decode", len(clips), "clips", shown=False) as bar:
        prepare_inputs(folder, clips, scanned, model, CPU, keep_waves=False, bar=bar)
    table = ClipsTable(clips.ids, clips.labels, clips.folds, clips.groups, np.ones(len(clips), dtype=np.float32))
    last = clips.folds == clips.folds.max()
    inputs = open_inputs(folder)
    return table.part(inputs, np.flatnonzero(~last)), table.part(inputs, np.flatnonzero(last)), len(clips.class_names)


def ours(training: ClipsPart, validation: ClipsPart, recipe: FinetuneRecipe, classes: int, seed: int) -> float:
    """Trains with soundprobe's loop. Returns the validation accuracy after the last epoch."""
    model = load_backbone("simplecnn", weights="random", seed=seed)
    network = FinetunedNetwork(model.network, model.spec.embedding_dim, classes, dropout=recipe.head.dropout, seed=seed)
    setting = Setting(fold=1, seed=seed, device=CPU, sample_rate_hz=model.spec.sample_rate_hz)
    history = train(network, training, validation, recipe, setting).history
    return float(history[-1]["validation_accuracy"])


def plain(training: ClipsPart, validation: ClipsPart, recipe: FinetuneRecipe, classes: int, seed: int) -> float:
    """Trains with the plain loop. Returns the validation accuracy after the last epoch."""
    backbone = load_backbone("simplecnn", weights="random", seed=seed).network
    torch.manual_seed(seed)
    network = nn.Sequential(PlainEmbedding(backbone), nn.Dropout(recipe.head.dropout), nn.Linear(128, classes))
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.training.lr)
    loaders = {
        part: DataLoader(
            TensorDataset(part.spectrograms(np.arange(len(part))), torch.from_numpy(part.labels)),
            batch_size=recipe.training.batch_size,
            shuffle=part is training,
        )
        for part in (training, validation)
    }
    accuracy = 0.0
    for _ in range(recipe.training.epochs):
        network.train()
        for inputs, labels in loaders[training]:
            optimiser.zero_grad()
            loss = F.cross_entropy(network(inputs), labels)
            loss.backward()
            optimiser.step()
        network.eval()
        with torch.no_grad():
            right = sum(int((network(inputs).argmax(1) == labels).sum()) for inputs, labels in loaders[validation])
        accuracy = right / len(validation)
    return accuracy


class PlainEmbedding(nn.Module):
    """The notes' layers as they wrote them: convolution, ReLU, pooling, three times, then a linear layer."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([backbone.get_submodule(f"conv{number}") for number in (1, 2, 3)])
        self.fc1 = backbone.get_submodule("fc1")

    def forward(self, spectrogram: Tensor) -> Tensor:
        x = spectrogram.unsqueeze(1)
        for convolution in self.convolutions:
            x = F.max_pool2d(F.relu(convolution(x)), 2)
        return F.relu(self.fc1(x.flatten(1)))


def compare_loops(options: argparse.Namespace) -> None:
    sides: dict[str, tuple[Callable[..., float], bool]] = {
        "plain loop, float32": (plain, False),
        "soundprobe, float32": (ours, False),
        "soundprobe, mixed": (ours, True),
    }
    if half_type(CPU) is None:
        del sides["soundprobe, mixed"]
    common = ["validation.kind='next-fold'", f"training.epochs={options.epochs}"]
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    accuracy: dict[str, list[float]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as folder:
        training, validation, classes = parts_of(options.data, options.limit, Path(folder) / "inputs")
        for seed in range(options.rounds):
            for name, (side, mixed) in sides.items():
                given = [*common, f"training.mixed_precision={str(mixed).lower()}"]
                recipe = finetune_recipe(None, "notes-simplecnn", given)
                began = time.perf_counter()
                accuracy[name].append(100 * side(training, validation, recipe, classes, seed))
                seconds[name].append(time.perf_counter() - began)
    print(f"SimpleCNN, {len(training)} clips train, {len(validation)} validate, {options.epochs} epochs")
    print(f"{'':<22}{'seconds':>24}{'times as fast':>24}{'last accuracy, %':>26}")
    first = seconds["plain loop, float32"]
    for name in sides:
        ratios = [one / other for one, other in zip(first, seconds[name], strict=True)]
        print(f"{name:<22}{spread(seconds[name]):>24}{ratio_spread(ratios):>24}{spread(accuracy[name]):>26}")


def ratio_spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def random_part(
    model_name: str, clips: int, seconds: float = 4.0, clip_seconds: float | None = None
) -> tuple[ClipsPart, nn.Module, float, int]:
    """Noise as clips of `seconds`, the backbone, its GFLOP a clip, and its embedding's width."""
    model = load_backbone(model_name, weights="random", clip_seconds=clip_seconds)
    samples = model.input_samples(seconds)
    waves = torch.rand(clips, samples, generator=torch.Generator().manual_seed(0)) - 0.5
    with torch.inference_mode():
        spectrograms = model.network.spectrogram(waves).numpy()  # type: ignore[operator]
    labels = np.arange(clips) % 10
    ids = np.array([f"c{row}" for row in range(clips)])
    table = ClipsTable(ids, labels, np.ones(clips, dtype=np.int64), ids, np.ones(clips, dtype=np.float32))
    part = table.part(Inputs(spectrograms, None, np.full(clips, samples), samples, {}), np.arange(clips))
    return part, model.network, 2 * model.spec.gmacs, model.spec.embedding_dim


def step_of(
    part: ClipsPart, module: nn.Module, width: int, recipe: FinetuneRecipe, device: torch.device
) -> Callable[[], None]:
    network = FinetunedNetwork(module, width, 10, dropout=0.0, seed=0)
    setting = Setting(fold=1, seed=0, device=device, sample_rate_hz=32_000)
    state = TrainingState(network, part, recipe, setting)
    state.freezing.begin_epoch(1)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        train_step(state, np.arange(len(part)), recipe.training, generator)  # its loss.item() waits for a GPU

    return step


def measure_steps(options: argparse.Namespace) -> None:
    device = torch.device(options.device)
    modes = {"float32": "false", **({"mixed": "true"} if half_type(device) else {})}
    peak = gemm_peak_gflops(device)
    print(
        f"A training step: forward, backward, optimiser; batches of {options.batch_size}; float32 GEMM peak {peak:.0f}"
    )
    print(f"{'backbone':<12}{'':<10}{'clips a second':>26}{'GFLOP/s':>10}{'of peak':>9}")
    for name in options.steps:
        part, module, gflop, width = random_part(name, options.batch_size)
        steps = {}
        for mode, mixed in modes.items():
            given = [f"training.mixed_precision={mixed}", "augment={}", "training.accumulate=1"]
            recipe = whole_network(finetune_recipe(name, None, given), options.batch_size)
            steps[mode] = step_of(part, module, width, recipe, device)
        rates: dict[str, list[float]] = {mode: [] for mode in modes}
        for round_ in range(options.rounds + 1):
            for mode, step in steps.items():
                began = time.perf_counter()
                step()
                if round_:  # the first round warms up
                    rates[mode].append(options.batch_size / (time.perf_counter() - began))
        for mode, values in rates.items():
            done = 3 * gflop * statistics.median(values)  # backward costs twice forward
            print(f"{name:<12}{mode:<10}{spread(values):>26}{done:>10.0f}{done / peak:>9.0%}")


def whole_network(recipe: FinetuneRecipe, batch_size: int) -> FinetuneRecipe:
    """The recipe without head-only epochs, so that every step trains the whole network."""
    training = recipe.training.model_copy(update={"head_epochs": 0, "batch_size": batch_size})
    return recipe.model_copy(update={"training": training})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="synth")
    parser.add_argument("--limit", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", nargs="*", help="measure training steps of these backbones instead")
    parser.add_argument("--batch-size", type=int, default=16, help="of --steps")
    parser.add_argument("--device", default="cpu", help="of --steps")
    options = parser.parse_args()
    print(describe())
    if options.steps is None:
        compare_loops(options)
    else:
        measure_steps(options)


if __name__ == "__main__":
    main()
