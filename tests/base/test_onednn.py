"""Products with packed matrices: PyTorch's own numbers, whatever the shapes, and without oneDNN's operators too."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from onednn import HAS_ONEDNN, NO_ONEDNN
from soundprobe.base import onednn as packed
from soundprobe.base.onednn import PackedMatrix, can_pack

SHAPES = [((1, 1), 1), ((3, 5), 7), ((2, 17, 64), 130), ((50, 2048), 301), ((257, 3), 2049)]


@pytest.fixture(params=["packed", "plain"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "plain":
        monkeypatch.setattr(packed, "can_pack", lambda: False)
    elif not HAS_ONEDNN:
        pytest.skip(NO_ONEDNN)
    return request.param


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("shape", "rows"), SHAPES)
@pytest.mark.parametrize("with_bias", [True, False])
def test_product_with_a_packed_matrix_equals_pytorchs(way: str, shape: tuple[int, ...], rows: int, with_bias: bool):
    inputs, matrix = drawn(*shape, seed=1), drawn(rows, shape[-1], seed=2)
    bias = drawn(rows, seed=3) if with_bias else None
    made = PackedMatrix.of(matrix, bias)
    assert made.packed == (way == "packed")
    expected = functional.linear(inputs.double(), matrix.double(), None if bias is None else bias.double())
    erf_error = 1.2e-6  # PyTorch's own GELU is as far from the one in float64
    for found, true, more in (
        (made.multiply(inputs), expected, 0.0),
        (made.multiply_gelu(inputs), functional.gelu(expected), erf_error),
    ):
        assert found.dtype == torch.float32
        assert found.shape == true.shape
        # D roundings of partial sums of about sqrt(D), which add up as a random walk does.
        rounding = torch.finfo(torch.float32).eps * shape[-1]
        torch.testing.assert_close(found.double(), true, rtol=1e-5, atol=2 * rounding + more)


def test_packed_matrix_takes_inputs_that_are_not_contiguous(way: str):
    inputs, matrix = drawn(6, 4, seed=1), drawn(5, 4, seed=2)
    made = PackedMatrix.of(matrix)
    torch.testing.assert_close(made.multiply(inputs[::2]), inputs[::2] @ matrix.T)
    torch.testing.assert_close(made.multiply(inputs[:4].T[:, :4].contiguous().T), inputs[:4] @ matrix.T)


def test_packed_matrix_is_a_copy_and_a_plain_one_is_not(way: str):
    matrix = drawn(5, 4, seed=2)
    made, inputs = PackedMatrix.of(matrix), drawn(3, 4, seed=1)
    before = made.multiply(inputs)
    matrix.zero_()
    assert torch.equal(made.multiply(inputs), before) == (way == "packed")


@pytest.mark.skipif(not HAS_ONEDNN, reason=NO_ONEDNN)
def test_operators_without_a_public_name_are_still_there_in_this_pytorch():
    assert can_pack(), "PyTorch has moved oneDNN's operators: soundprobe/packed.py has to follow, or AST slows down"


@pytest.mark.parametrize("broken", ["missing", "wrong"])
def test_can_pack_is_false_where_the_operators_are_missing_or_wrong(broken: str, monkeypatch: pytest.MonkeyPatch):
    def operator(inputs, packed_, bias, activation):
        if broken == "missing":
            raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_linear_pointwise'")
        return torch.zeros(2, 3, 5)

    monkeypatch.setattr(packed, "_onednn_linear", operator)
    assert not can_pack.__wrapped__()
