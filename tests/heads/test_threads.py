"""PyTorch's number of threads is what it was, however many stacks are solved at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from soundprobe.heads.threads import threads_for


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("multiplications", "threads"), [(1e6, 1), (1e9, 3)])
def test_small_stacks_get_one_thread_and_the_number_is_put_back(multiplications: float, threads: int) -> None:
    with threads_for(multiplications):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 3


def test_stacks_on_two_threads_that_overlap_put_back_what_was_before_the_first() -> None:
    first_inside, second_inside, first_outside = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with threads_for(1e6):
            first_inside.set()
            assert second_inside.wait(10)
        first_outside.set()

    def second() -> int:
        assert first_inside.wait(10)
        with threads_for(1e6):  # begins where the first has made 1 the number of new threads
            second_inside.set()
            assert first_outside.wait(10)
            return torch.get_num_threads()

    with ThreadPoolExecutor(2) as pool:
        done, number = pool.submit(first), pool.submit(second)
        done.result()
        assert number.result() == 1
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 3


def test_large_stack_beside_a_small_one_gets_all_threads() -> None:
    with threads_for(1e6), ThreadPoolExecutor(1) as pool:

        def large() -> int:
            with threads_for(1e9):
                return torch.get_num_threads()

        assert pool.submit(large).result() == 3
