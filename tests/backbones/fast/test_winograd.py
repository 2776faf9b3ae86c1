"""Winograd's convolution against PyTorch's in float64."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from torch.nn.functional import avg_pool2d, conv2d

from soundprobe.backbones.fast.winograd import FOUR, PAIR, Filter1d, convolve, prepare_winograd


@pytest.mark.parametrize(("filter1d", "zeros"), [(FOUR, 0), (PAIR, 1)])
def test_filter1d_in_exact_numbers_is_a_correlation(filter1d: Filter1d, zeros: int) -> None:
    numbers = torch.arange(1.0, filter1d.inputs + 1, dtype=torch.float64)
    kernel = torch.tensor([2.0, -3.0, 5.0], dtype=torch.float64)
    ours = filter1d.back @ ((filter1d.kernel_to @ kernel) * (filter1d.input_to @ numbers))
    padded = torch.nn.functional.pad(numbers, (zeros, zeros))
    torch.testing.assert_close(ours, padded.unfold(0, 3, 1) @ kernel, rtol=0, atol=1e-12)


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("height", [2, 3, 4, 5, 12, 13])
@pytest.mark.parametrize("columns", [2, 3, 4, 5, 8])
def test_convolve_any_shape_equals_float64(height: int, columns: int, pooled: bool) -> None:
    generator = torch.Generator().manual_seed(height * columns)
    maps = torch.randn(3, 7, height, columns, generator=generator, dtype=torch.float64)
    weight = torch.randn(5, 7, 3, 3, generator=generator, dtype=torch.float64)
    bias = torch.randn(5, generator=generator, dtype=torch.float64)
    expected = conv2d(maps, weight, bias, padding=1).relu()
    expected = avg_pool2d(expected, 2) if pooled else expected
    conv = prepare_winograd(weight, bias, columns=columns, pooled=pooled)
    ours = convolve(conv, maps.permute(0, 2, 3, 1).float().contiguous()).permute(0, 3, 1, 2)
    torch.testing.assert_close(ours.double(), expected, rtol=0, atol=1e-4)


def test_convolve_of_no_clips_gives_none() -> None:
    conv = prepare_winograd(torch.ones(5, 7, 3, 3).double(), torch.ones(5).double(), columns=4, pooled=True)
    assert convolve(conv, torch.zeros(0, 8, 4, 7)).shape == (0, 4, 2, 5)


@pytest.mark.parametrize("passes_of", [1, 2, 100])
def test_convolve_in_passes_gives_the_same(passes_of: int, monkeypatch: pytest.MonkeyPatch) -> None:
    conv = prepare_winograd(torch.randn(5, 7, 3, 3).double(), torch.randn(5).double(), columns=6, pooled=False)
    maps = torch.randn(5, 9, 6, 7)
    expected = convolve(conv, maps)
    monkeypatch.setattr("soundprobe.backbones.fast.winograd.WORKSPACE_BYTES", passes_of * 4 * 3 * 2 * 36 * 7)
    # Within rounding and not equal: on some processors the size of a product chooses its kernel.
    torch.testing.assert_close(convolve(conv, maps), expected, rtol=0, atol=1e-4)


def test_convolve_on_two_threads_at_once_and_in_any_mode_gives_the_same() -> None:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(6, 8, 3, 3, generator=generator, dtype=torch.float64)
    conv = prepare_winograd(weight, torch.zeros(6, dtype=torch.float64), columns=8, pooled=False)
    given = [torch.randn(2, 40, 8, 8, generator=generator) for _ in range(8)]
    with torch.inference_mode():  # buffers begin in one mode
        alone = [convolve(conv, maps).clone() for maps in given]
    with torch.no_grad():  # and are written to in another
        assert torch.equal(convolve(conv, given[0]), alone[0])
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(partial(convolve, conv), given * 4))
    assert all(torch.equal(ours, true) for ours, true in zip(together, alone * 4, strict=True))
