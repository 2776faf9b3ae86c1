from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch

from soundprobe.backbones.protocol import Backbone
from soundprobe.embeddings.streams import CUDA_STREAMS, MOST_STREAMS, in_streams, streams_of


class Own(Backbone):
    def __init__(self, fills_cores: bool) -> None:
        self.fills_cores = fills_cores

    def embed(self, waves: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return waves


@pytest.mark.parametrize(("torch_threads", "streams"), [(1, 1), (2, 2), (3, 3), (MOST_STREAMS + 5, MOST_STREAMS)])
def test_streams_work_at_once_on_a_thread_each_and_keep_the_order(
    threads: Callable[[int], None], torch_threads: int, streams: int
) -> None:
    threads(torch_threads)
    assert streams_of(Own(fills_cores=False), torch.device("cpu")) == streams
    barrier, seen = threading.Barrier(streams), []

    def meet(item: int) -> int:
        barrier.wait(60)
        seen.append(torch.get_num_threads())
        return 10 * item

    assert list(in_streams(meet, iter(range(2 * streams)), streams)) == [(n, 10 * n) for n in range(2 * streams)]
    assert len(seen) == 2 * streams
    assert set(seen) == {1}
    assert torch.get_num_threads() == torch_threads


def test_streams_when_one_fails_raise_and_start_no_further_ones(threads: Callable[[int], None]) -> None:
    threads(2)
    asked = []

    def fail(item: int) -> None:
        asked.append(item)
        raise MemoryError("no room for this batch")

    with pytest.raises(MemoryError, match="no room"):
        list(in_streams(fail, iter(range(20)), 2))
    assert len(asked) <= 3
    assert torch.get_num_threads() == 2


def test_streams_hang_on_the_device_and_on_a_network_with_threads_of_its_own(threads: Callable[[int], None]) -> None:
    threads(2)
    assert streams_of(Own(fills_cores=True), torch.device("cpu")) == 1
    assert streams_of(Own(fills_cores=False), torch.device("cuda")) == CUDA_STREAMS
    assert streams_of(Own(fills_cores=False), torch.device("mps")) == 1
    assert streams_of(Own(fills_cores=False), torch.device("cpu")) == 2
