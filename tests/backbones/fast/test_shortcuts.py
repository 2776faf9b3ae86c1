"""The shortcuts of inference on a CPU: the plain network's numbers, and never where a gradient or a hook needs it."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from itertools import chain

import pytest
import torch
from backbone_inputs import sounds
from torch import nn

from narrow_cnn14 import narrow
from soundprobe.backbones.fast.shortcuts import Prepared, _sampled, may_shortcut
from soundprobe.backbones.load import LoadedBackbone, load_backbone

SHORTCUT = ("panns", "mn04", "ast")
TOLERANCE = 1e-4  # of the root mean square of a clip's embedding
CLIP_SECONDS = {"ast": 0.35}
KINDS = ("silent", "near-silent", "one click", "loud", "short", "odd length")


@pytest.fixture(scope="module")
def lived_in() -> dict[str, LoadedBackbone]:
    """The backbones with random weights, CNN14 narrow, but with BatchNorm statistics as after training."""
    made = {}
    for name in SHORTCUT:
        made[name] = load_backbone(name, weights="random", clip_seconds=CLIP_SECONDS.get(name))
        if name == "panns":
            narrow(made[name].network)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(13)
            for layer in made[name].network.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.running_mean.normal_(std=0.1)
                    layer.running_var.uniform_(0.5, 2.0)
                    layer.weight.uniform_(0.8, 1.2)
                    layer.bias.normal_(std=0.1)
    return made


@pytest.fixture
def backbone(request: pytest.FixtureRequest, lived_in: dict[str, LoadedBackbone]) -> Iterator[LoadedBackbone]:
    found = lived_in[request.param]
    yield found
    assert found.network.shortcuts
    assert not found.network.training


every_shortcut = pytest.mark.parametrize("backbone", SHORTCUT, indirect=True)
convolutional = pytest.mark.parametrize("backbone", ["panns", "mn04"], indirect=True)


def plain(module: nn.Module, wave: torch.Tensor) -> torch.Tensor:
    """The embeddings (B, D) without shortcuts."""
    module.shortcuts = False
    try:
        with torch.inference_mode():
            return module(wave)
    finally:
        module.shortcuts = True


def quick(module: nn.Module, wave: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return module(wave)


def assert_parity(ours: torch.Tensor, expected: torch.Tensor) -> None:
    """Clip by clip: a loud clip's scale must not hide a quiet one's error."""
    assert ours.shape == expected.shape
    assert ours.dtype == expected.dtype == torch.float32
    for clip, (row, true) in enumerate(zip(ours, expected, strict=True)):
        scale = true.square().mean().sqrt()
        assert scale > 0
        assert ((row - true).abs().max() / scale).item() < TOLERANCE, clip


def clip_of(kind: str, rate_hz: int, longest_s: float) -> torch.Tensor:
    """(1, T) float32"""
    usual = round(min(1.0, longest_s) * rate_hz)
    samples = {"short": round(0.33 * rate_hz), "odd length": usual - 137}.get(kind, usual)
    chirp = sounds(samples, rate_hz)[:1]
    if kind == "silent":
        return torch.zeros_like(chirp)
    if kind == "near-silent":  # the last bit of 16, now and then
        return (chirp.abs() > 0.7) / 32768.0
    if kind == "one click":
        click = torch.zeros_like(chirp)
        click[0, samples // 3] = 1.0
        return click
    return sounds(samples, rate_hz)[2:] if kind == "loud" else chirp


@every_shortcut
@pytest.mark.parametrize("kind", KINDS)
def test_shortcut_of_any_clip_equals_the_plain_network(backbone: LoadedBackbone, kind: str) -> None:
    wave = clip_of(kind, backbone.spec.sample_rate_hz, CLIP_SECONDS.get(backbone.spec.name, 9.0))
    assert_parity(quick(backbone.network, wave), plain(backbone.network, wave))


@every_shortcut
def test_shortcut_of_any_batch_size_equals_each_clip_alone_in_the_plain_network(backbone: LoadedBackbone) -> None:
    rate_hz = backbone.spec.sample_rate_hz
    kinds = [clip_of(kind, rate_hz, 0.35) for kind in KINDS if kind not in ("short", "odd length")]
    samples = round(0.33 * rate_hz)
    pool = torch.cat([*(wave[:, :samples] for wave in kinds), *sounds(13 * samples, rate_hz)[1].view(1, 13, samples)])
    expected = torch.cat([plain(backbone.network, wave[None]) for wave in pool])
    assert len(pool) == 17
    for size in (1, 2, 5, 17) if backbone.spec.name == "ast" else range(1, 18):  # for the tests' own speed
        assert_parity(quick(backbone.network, pool[-size:]), expected[-size:])


@convolutional
def test_shortcut_of_a_batch_that_takes_several_passes_equals_the_plain_network(
    backbone: LoadedBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soundprobe.backbones.fast.winograd.WORKSPACE_BYTES", 1)  # a clip a pass
    monkeypatch.setattr("soundprobe.backbones.fast.cnn14.PASS_BYTES", 1)
    wave = sounds(20_000, 32_000)
    assert_parity(quick(backbone.network, wave), plain(backbone.network, wave))


@convolutional
def test_shortcut_after_new_weights_uses_them(backbone: LoadedBackbone) -> None:
    module = copy.deepcopy(backbone.network)
    wave = sounds(11_000, 32_000)
    before = quick(module, wave)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        other = {name: tensor * (0.5 + torch.rand(1)).to(tensor.dtype) for name, tensor in module.state_dict().items()}
    module.load_state_dict(other)
    after = quick(module, wave)
    assert not torch.allclose(before, after)
    assert_parity(after, plain(module, wave))
    first = next(layer for layer in module.modules() if isinstance(layer, nn.Conv2d))
    with torch.no_grad():
        first.weight.mul_(1.5)
    assert_parity(quick(module, wave), plain(module, wave))
    first.weight.data = first.weight.data * 1.5  # other memory under the same parameter
    assert_parity(quick(module, wave), plain(module, wave))
    first.weight.data.mul_(1.5)  # a write that PyTorch doesn't count
    assert_parity(quick(module, wave), plain(module, wave))


@convolutional
def test_shortcut_after_training_uses_the_trained_weights_and_statistics(backbone: LoadedBackbone) -> None:
    module = copy.deepcopy(backbone.network)
    wave = sounds(11_000, 32_000)
    before = quick(module, wave)
    module.train()
    with torch.no_grad():
        module(wave)  # writes BatchNorm's statistics and nothing else
    module.eval()
    statistics_only = quick(module, wave)
    assert not torch.allclose(before, statistics_only)
    assert_parity(statistics_only, plain(module, wave))
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-3, fused=True)
    module(wave).square().mean().backward()
    optimiser.step()
    trained = quick(module, wave)
    assert not torch.allclose(statistics_only, trained)
    assert_parity(trained, plain(module, wave))


@every_shortcut
def test_shortcut_is_not_taken_under_autograd(backbone: LoadedBackbone) -> None:
    module = backbone.network
    wave = sounds(round(0.35 * backbone.spec.sample_rate_hz), backbone.spec.sample_rate_hz)[:2]
    quick(module, wave)
    module(wave).square().sum().backward()
    ours = {name: parameter.grad for name, parameter in module.named_parameters()}
    module.zero_grad()
    module.shortcuts = False
    module(wave).square().sum().backward()
    module.shortcuts = True
    for name, parameter in module.named_parameters():
        mine = ours[name]
        assert (mine is None) == (parameter.grad is None), name
        if mine is not None:
            assert torch.equal(mine, parameter.grad), name
    module.zero_grad()


@every_shortcut
def test_shortcut_is_not_taken_where_a_hook_in_training_or_half_precision_needs_the_plain_layers(
    backbone: LoadedBackbone,
) -> None:
    module = backbone.network
    spectrogram = torch.zeros(1, 8, 8)
    layer = list(module.modules())[-1]
    assert not may_shortcut(module, spectrogram)  # gradients are on
    with torch.no_grad():
        assert may_shortcut(module, spectrogram)
        assert not may_shortcut(module, spectrogram.double())
        assert not may_shortcut(module, spectrogram.to("meta"))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert not may_shortcut(module, spectrogram)
        handle = layer.register_forward_hook(lambda *_: None)
        assert not may_shortcut(module, spectrogram)
        handle.remove()
        layer.train()
        assert not may_shortcut(module, spectrogram)
        layer.eval()
        assert may_shortcut(module, spectrogram)


def test_shortcut_of_ast_after_new_weights_uses_them(lived_in: dict[str, LoadedBackbone]) -> None:
    module = copy.deepcopy(lived_in["ast"].network)
    wave = sounds(5_000, 16_000)
    before = quick(module, wave)
    with torch.no_grad():
        module.ast.layers[3].mlp.fc1.weight.mul_(1.5)
    after = quick(module, wave)
    assert not torch.allclose(before, after)
    assert_parity(after, plain(module, wave))


@convolutional
def test_shortcut_copies_and_state_dicts_hold_nothing_prepared(backbone: LoadedBackbone) -> None:
    quick(backbone.network, sounds(12_000, 32_000)[:1])
    assert set(backbone.network.state_dict()) == {
        name for name, _ in chain(backbone.network.named_parameters(), backbone.network.named_buffers())
    } - {"power.window", "mel_basis" if backbone.spec.name == "mn04" else ""}
    for other in (copy.deepcopy(backbone.network.prepared), _through_a_file(backbone.network.prepared)):
        assert other._kept is None
        assert other.prepare is backbone.network.prepared.prepare


def _through_a_file(prepared: Prepared) -> Prepared:
    file = io.BytesIO()
    torch.save(prepared, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def test_panns_training_gives_prepared_memory_back(lived_in: dict[str, LoadedBackbone]) -> None:
    module = lived_in["panns"].network
    quick(module, sounds(12_000, 32_000)[:1])
    assert module.prepared._kept is not None
    module.train()
    assert module.prepared._kept is None
    module.eval()


def test_prepared_is_made_once_for_the_same_weights() -> None:
    made = []
    layer = nn.Linear(2, 2)
    prepared: Prepared[int] = Prepared(lambda module: made.append(module) or len(made))
    assert [prepared.of(layer), prepared.of(layer)] == [1, 1]
    assert prepared.of(nn.Linear(2, 2)) == 2
    with torch.inference_mode():
        uncounted = nn.Linear(2, 2)
    assert [prepared.of(uncounted), prepared.of(uncounted)] == [3, 4]  # nobody counts the writes into these


@every_shortcut
def test_weights_of_any_layout_are_known_again_without_a_copy_of_them(backbone: LoadedBackbone) -> None:
    module = copy.deepcopy(backbone.network).to(memory_format=torch.channels_last)
    if backbone.spec.name == "panns":  # the others' kernels lie in both layouts at once
        assert sum(not tensor.is_contiguous() for tensor in module.parameters()) > 5
    for tensor in module.parameters():
        sample = _sampled(tensor.detach())
        assert 0 < len(sample) <= 65
        assert sample.data_ptr() == tensor.data_ptr()


def test_sampled_tensor_with_gaps_or_repeats_stays_inside_of_it() -> None:
    rows = torch.arange(3000.0).view(30, 100)
    for tensor in (rows[:, ::2], rows[:1].expand(500, 100), rows.T, torch.zeros(()), rows[:3]):
        sample = _sampled(tensor)
        assert 0 < len(sample) <= 65
        assert set(sample.tolist()) <= set(tensor.reshape(-1).tolist())
