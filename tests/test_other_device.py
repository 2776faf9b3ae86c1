"""On another device than the CPU everything is where it has to be and comes to the same."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from narrow_cnn14 import narrow
from other_device import DEVICE, OtherDevice, other_device
from soundprobe.augment.compose import build_augmentations
from soundprobe.augment.noise_bank import NoiseBank
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.load import LoadedBackbone, load_backbone
from soundprobe.base.errors import ConfigError, SoundprobeWarning
from soundprobe.base.machine import exactly
from soundprobe.embeddings.forward import embed_waves
from soundprobe.heads.catalog import make_head
from soundprobe.heads.head import Head
from soundprobe.heads.linear import LinearHead
from soundprobe.heads.mlp import MLPHead
from soundprobe.training import fold_training
from soundprobe.training.feeding import seeded
from soundprobe.training.inputs import ClipsTable, Inputs
from soundprobe.training.loop import train_step
from soundprobe.training.networks import FinetunedNetwork
from soundprobe.training.recipes import finetune_recipe
from soundprobe.training.state import Setting, TrainingState

SETTINGS: dict[str, Any] = {"ast": {"clip_seconds": 1.0}}
with_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device, and none where CI runs; others here take one that pretends"
)
NETWORKS = sorted(name for name, spec in BACKBONES.items() if spec.trainable)


def backbone(name: str) -> tuple[LoadedBackbone, torch.Tensor, torch.Tensor]:
    """It, waves (4, T) and lengths (4,)."""
    model = load_backbone(name, weights="random", **SETTINGS.get(name, {}))
    if name == "ast":
        model.network.ast.layers = model.network.ast.layers[:2]  # of twelve alike
    if name == "panns":
        narrow(model.network)
    samples = model.spec.input_samples(1.0, model.settings.get("clip_seconds"))
    wave = torch.rand(4, samples, generator=torch.Generator().manual_seed(0)) - 0.5
    return model, wave, torch.tensor([samples, samples // 2, samples, samples])


@pytest.mark.parametrize("name", NETWORKS)
def test_embeddings_of_another_device_are_those_of_the_cpu(name: str) -> None:
    model, wave, lengths = backbone(name)
    module = model.network.eval()
    with torch.no_grad():
        here = module(wave, lengths)
    with other_device() as device, torch.no_grad():
        there = module.to(DEVICE)(wave.to(DEVICE), lengths.to(DEVICE)).cpu()
    assert device.operations > 20
    torch.testing.assert_close(there, here, rtol=0, atol=1e-4 * float(here.square().mean().sqrt()))


@with_cuda
@pytest.mark.parametrize("name", NETWORKS)
def test_embeddings_with_cuda_are_those_of_the_cpu_and_the_same_bits_twice(name: str) -> None:
    model, wave, lengths = backbone(name)
    given = model.network.eval(), wave.numpy(), lengths.numpy()
    here = embed_waves(*given, torch.device("cpu"))
    cuda = torch.device("cuda")
    model.network.to(cuda)
    there = embed_waves(*given, cuda)
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-4 * np.sqrt((here**2).mean()))
    np.testing.assert_array_equal(embed_waves(*given, cuda), there)
    assert torch.backends.cudnn.allow_tf32  # as it was


@with_cuda
@pytest.mark.parametrize("name", NETWORKS)
def test_training_with_cuda_gives_the_same_bits_twice(name: str) -> None:
    def trained() -> list[float]:
        with exactly(torch.device("cuda"), deterministic=True), seeded(0, 1, 1, torch.device("cuda")):
            return losses(name, "cuda", steps=4)

    assert trained() == trained()


@with_cuda
def test_operation_without_a_fixed_order_of_sums_is_trained_all_the_same_and_said(monkeypatch: Any) -> None:
    def fold(_: Any) -> str:
        pictures = torch.rand(1, 1, 7, 7, device="cuda", requires_grad=True)
        torch.nn.functional.adaptive_avg_pool2d(pictures, 3).sum().backward()
        return "trained"

    monkeypatch.setattr(fold_training, "_run_fold", fold)
    task: Any = SimpleNamespace(device="cuda", fold=1)
    with pytest.warns(SoundprobeWarning, match=r"Fold 1 is trained without a fixed order of sums.*adaptive_avg_pool2d"):
        assert fold_training.run_fold(task) == "trained"  # type: ignore[comparison-overlap]


def test_fold_that_is_tried_again_without_a_fixed_order_of_sums_holds_nothing_of_the_first_try(
    monkeypatch: Any,
) -> None:
    networks: list[weakref.ref[torch.nn.Module]] = []

    def fold(_: Any) -> str:
        network = torch.nn.Linear(1, 1)
        networks.append(weakref.ref(network))
        if len(networks) == 1:
            raise RuntimeError("some_backward_cuda does not have a deterministic implementation, but you set ...")
        return "held" if networks[0]() else "gone"

    monkeypatch.setattr(fold_training, "_run_fold", fold)
    task: Any = SimpleNamespace(device="cpu", fold=1)
    with pytest.warns(SoundprobeWarning, match=r"since PyTorch has none on cpu \(some_backward_cuda does not"):
        assert fold_training.run_fold(task) == "gone"  # type: ignore[comparison-overlap]


def losses(name: str, device: str, steps: int = 2) -> list[float]:
    """Of steps with all that the backbone's own recipe does, but for dropout and half precision."""
    model, wave, lengths = backbone(name)
    with torch.no_grad():
        spectrograms = model.network.eval().spectrogram(wave, lengths).numpy()
    network = FinetunedNetwork(model.network, model.spec.embedding_dim, 3, dropout=0.0, seed=0).to(device)
    ids = np.array([f"c{row}" for row in range(len(wave))])
    table = ClipsTable(
        ids, np.arange(len(wave)) % 3, np.ones(len(wave), dtype=np.int64), ids, np.ones(len(wave), np.float32)
    )
    inputs = Inputs(spectrograms, wave.numpy(), lengths.numpy(), wave.shape[1], {})
    recipe = finetune_recipe(name, None, ["training.mixed_precision=false"])
    setting = Setting(1, 0, torch.device(device), model.spec.sample_rate_hz)
    state = TrainingState(network, table.part(inputs, np.arange(len(wave))), recipe, setting)
    state.freezing.begin_epoch(recipe.training.epochs)
    generator = torch.Generator().manual_seed(0)
    return [train_step(state, np.arange(len(wave)), recipe.training, generator) for _ in range(steps)]


@pytest.mark.parametrize("name", NETWORKS)
def test_training_on_another_device_takes_the_cpus_steps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.functional, "dropout", lambda x, *_, **__: x)  # each device draws its own
    here = losses(name, "cpu")
    with other_device() as device:
        there = losses(name, DEVICE)
    assert device.operations > 100
    assert there[0] == pytest.approx(here[0], rel=1e-4)
    assert there[1] == pytest.approx(here[1], rel=0.02)  # of four clips, on which a step does much
    assert there[1] != there[0]


def test_augmentations_on_another_device_do_what_they_do_on_the_cpu() -> None:
    names = ("time_shift", "gain", "pitch_shift", "background_noise", "spec_augment", "mixup")
    augmentations = build_augmentations([{"name": name} for name in names])
    wave = torch.rand(6, 4000, generator=torch.Generator().manual_seed(0)) - 0.5
    noise = NoiseBank(wave[:3] ** 3, torch.tensor([10, 11, 12]))

    def augmented(device: str) -> list[torch.Tensor]:
        draws = torch.Generator().manual_seed(1)
        lengths = torch.tensor([4000, 2000, 1, 4000, 3000, 4000]).to(device)
        made, lengths = augmentations.wave(
            wave.to(device), lengths, 8000, draws, noise=noise, recordings=torch.arange(6)
        )
        pictures = torch.rand(6, 40, 60, generator=torch.Generator().manual_seed(2)).to(device)
        shown = augmentations.spectrogram(pictures, draws, torch.tensor([60, 30, 1, 60, 45, 60]).to(device))
        mixed, targets = augmentations.mix(shown, torch.eye(6).to(device), draws)
        return [made.cpu(), lengths.cpu(), shown.cpu(), mixed.cpu(), targets.cpu()]

    here = augmented("cpu")
    with other_device() as device:
        there = augmented(DEVICE)
    assert device.operations > 20
    for a, b in zip(there, here, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


def clips(n: int = 240, dimension: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, labels of 4 classes that overlap, and recordings of 2 clips each."""
    rng = np.random.default_rng(0)
    recording = np.arange(n) // 2
    features = rng.normal(size=(4, dimension))[recording % 4] + 2 * rng.normal(size=(n // 2, dimension))[recording]
    return features.astype(np.float32), recording % 4, recording


every_head = pytest.mark.parametrize(
    "head",
    [
        LinearHead(strengths=(1e-3, 1e-2, 1e-1), inner_splits=3),
        LinearHead(strengths=(1e-2,)),
        MLPHead(widths=(8, 16), max_epochs=6, batch_size=32, dropout=0.0),
        MLPHead(widths=(8,), max_epochs=3, hidden_layers=2, dropout=0.0),
    ],
    ids=["linear", "linear-without-selection", "mlp", "mlp-of-two-layers"],
)


@pytest.fixture
def any_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads are trained on what users may not name."""
    for module in ("linear", "mlp"):
        monkeypatch.setattr(f"soundprobe.heads.{module}.head_device", lambda name: name)


@pytest.mark.usefixtures("any_device")
@every_head
def test_head_trained_on_another_device_is_the_one_trained_here(head: Head) -> None:
    here = head.set_params(device="cpu").fit(*clips())
    expected, chosen = here.state_dict(), here.chosen_
    with other_device() as device:
        there = head.set_params(device=DEVICE).fit(*clips())
    assert device.operations > 100
    assert_same(there, expected, chosen)


@pytest.mark.usefixtures("any_device")
@every_head
def test_head_is_trained_in_float32_whatever_was_set_for_its_device(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    @contextmanager
    def noted(device: torch.device) -> Iterator[None]:
        told.append(device.type)
        yield

    for module in ("linear", "mlp"):
        monkeypatch.setattr(f"soundprobe.heads.{module}.exactly", noted)
    with other_device():
        head.set_params(device=DEVICE).fit(*clips())
    assert told == [DEVICE]


@with_cuda
@every_head
def test_head_trained_with_cuda_is_the_one_trained_here(head: Head) -> None:
    here = head.set_params(device="cpu").fit(*clips())
    expected, chosen = here.state_dict(), here.chosen_
    assert_same(head.set_params(device="cuda").fit(*clips()), expected, chosen)


def assert_same(there: Head, expected: dict[str, np.ndarray], chosen: dict[str, Any]) -> None:
    assert there.chosen_ == chosen
    for name, array in there.state_dict().items():
        np.testing.assert_allclose(array, expected[name], atol=2e-3 * np.abs(expected[name]).max(), err_msg=name)
    assert "device" not in there.state_params()["settings"]  # it predicts where there is no such device


@pytest.mark.usefixtures("any_device")
def test_dropout_on_another_device_drops() -> None:
    head = MLPHead(widths=(16,), learning_rates=(1e-3,), max_epochs=3, batch_size=32, dropout=0.5, device=DEVICE)
    with other_device():
        dropped = head.fit(*clips()).state_dict()["weights_0"]
        kept = head.set_params(dropout=0.0).fit(*clips()).state_dict()["weights_0"]
    assert np.isfinite(dropped).all()
    assert np.abs(dropped - kept).max() > 1e-4


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_head_on_a_device_that_is_not_there_says_so(name: str) -> None:
    with pytest.raises(ConfigError, match="Unknown device of a head 'mps'. Available: auto, cpu, cuda"):
        make_head(name, device="mps")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="--device cuda: PyTorch finds no such device"):
            make_head(name, device="cuda")


def test_other_device_refuses_what_a_gpu_would() -> None:
    with OtherDevice(), pytest.raises(RuntimeError, match="tensors on two devices"):
        torch.ones(2, 3, device=DEVICE) @ torch.ones(3, 2)
    with OtherDevice(), pytest.raises(RuntimeError, match="not supported for tensor subclasses"):
        torch.ones(2, 3, device=DEVICE).numpy()
