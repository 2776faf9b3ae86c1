"""Heads trained on another device than the CPU: everything is where it has to be, and comes to the same."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from other_device import DEVICE, Generator, OtherDevice

from soundprobe.errors import ConfigError
from soundprobe.heads.catalog import make_head
from soundprobe.heads.head import Head
from soundprobe.heads.linear import LinearHead
from soundprobe.heads.mlp import MLPHead


def clips(n: int = 240, dimension: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, labels of 4 classes that overlap, and recordings of 2 clips each."""
    rng = np.random.default_rng(0)
    recording = np.arange(n) // 2
    features = rng.normal(size=(4, dimension))[recording % 4] + 2 * rng.normal(size=(n // 2, dimension))[recording]
    return features.astype(np.float32), recording % 4, recording


def fitted(head: Head, device: str, monkeypatch: pytest.MonkeyPatch) -> Head:
    with monkeypatch.context() as patch:
        if device != "cpu":
            patch.setattr(type(head), "check_settings", lambda self: None)  # users get no such device
            patch.setattr(torch.optim, "AdamW", partial(_adamw, torch.optim.AdamW))
            patch.setattr(torch, "Generator", Generator)
            # Tensors of Python classes cannot be viewed in inference mode.
            patch.setattr(torch, "inference_mode", lambda mode=True: torch.no_grad() if mode else nullcontext())
        return head.set_params(device=device).fit(*clips())


def _adamw(adamw: Any, parameters: Any, fused: bool, **settings: Any) -> torch.optim.Optimizer:
    return adamw(parameters, **settings)  # torch has no fused one for `DEVICE`


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


@every_head
def test_head_trained_on_another_device_is_the_one_trained_here(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    here = fitted(head, "cpu", monkeypatch)
    expected, chosen = here.state_dict(), here.chosen_
    with OtherDevice() as device:
        there = fitted(head, DEVICE, monkeypatch)
    assert device.operations > 100
    assert_same(there, expected, chosen)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
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


def test_dropout_on_another_device_draws_numbers_there(monkeypatch: pytest.MonkeyPatch) -> None:
    head = MLPHead(widths=(16,), learning_rates=(1e-3,), max_epochs=3, batch_size=32, dropout=0.5)
    with OtherDevice():
        dropped = fitted(head, DEVICE, monkeypatch).state_dict()["weights_0"]
        kept = fitted(head.set_params(dropout=0.0), DEVICE, monkeypatch).state_dict()["weights_0"]
    assert np.isfinite(dropped).all()
    assert np.abs(dropped - kept).max() > 1e-4


def test_other_device_refuses_what_a_gpu_would() -> None:
    with OtherDevice(), pytest.raises(RuntimeError, match="tensors on two devices"):
        torch.ones(2, 3, device=DEVICE) @ torch.ones(3, 2)
    with OtherDevice(), pytest.raises(RuntimeError, match="not supported for tensor subclasses"):
        torch.ones(2, 3, device=DEVICE).numpy()


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_head_on_a_device_that_is_not_there_says_so(name: str) -> None:
    with pytest.raises(ConfigError, match="device of a head"):
        make_head(name, device="mps")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="--device cuda: PyTorch finds no such device"):
            make_head(name, device="cuda")
