"""A head has one thread wherever it is trained, and the numbers of threads are put back, however many are trained."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from soundprobe.heads.catalog import HEADS, make_head
from soundprobe.heads.threads import OnOneThread, one_thread


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with threadpool_limits(3, user_api="blas"):
        yield
    torch.set_num_threads(before)


def counts() -> tuple[int, set[int]]:
    """PyTorch's threads and those of every BLAS."""
    return torch.get_num_threads(), {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_one_thread_is_of_pytorch_and_blas_and_both_are_put_back() -> None:
    with one_thread():
        with one_thread():
            assert counts() == (1, {1})
    assert counts() == (3, {3})


def test_heads_on_two_threads_that_overlap_put_back_what_was_before_the_first() -> None:
    first_inside, second_inside, first_outside = threading.Event(), threading.Event(), threading.Event()

    def first() -> int:
        with one_thread():
            first_inside.set()
            assert second_inside.wait(10)
        first_outside.set()
        return torch.get_num_threads()

    def second() -> int:
        assert first_inside.wait(10)
        with one_thread():  # begins where the first has made 1 the number of new threads
            second_inside.set()
            assert first_outside.wait(10)
            return torch.get_num_threads()

    with ThreadPoolExecutor(2) as pool:
        done, inside = pool.submit(first), pool.submit(second)
        assert (done.result(), inside.result()) == (3, 1)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 3


def test_one_thread_while_another_thread_imports_pytorch_is_of_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as importing:
        importing.setitem(sys.modules, "torch", ModuleType("torch"))
        with one_thread():
            assert counts() == (3, {1})
    assert counts() == (3, {3})


@pytest.mark.parametrize("name", list(HEADS))
def test_head_on_other_numbers_of_threads_learns_and_predicts_the_same_bits(name: str) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(2000) % 4  # so large that every head's last bits differ where nothing holds the threads
    X = (rng.standard_normal((4, 600))[labels] + 4 * rng.standard_normal((2000, 600))).astype(np.float32)
    perceptron = {"widths": [256], "max_epochs": 1}
    quick = {"linear": {"strengths": [0.01]}, "mlp": perceptron, "attention": perceptron}.get(name, {})

    def of_a_fold() -> list[bytes]:
        head = make_head(name, **quick).fit(X, labels, labels // 2 + np.arange(2000) // 8)
        return [array.tobytes() for array in (*head.state_dict().values(), head.predict_proba(X[:100]))]

    def learnt(threads: int) -> list[bytes]:
        torch.set_num_threads(threads)
        with threadpool_limits(threads, user_api="blas"):
            return OnOneThread(of_a_fold)()

    assert learnt(1) == learnt(3)
