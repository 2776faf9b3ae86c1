"""Several batches in the network at once, each on a thread of its own, in their order.

What a network makes of one batch then stays near one core, and no core waits for the others within a layer
(benchmarks/streams.py shows what that gains). A batch has one thread on any machine, because several would add up some
layers' sums in another order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

from soundprobe.backbones.protocol import Backbone

MOST_STREAMS = 16
"""Batches in the network at once: each needs memory of its own, AST most: 0.6 GB."""
CUDA_STREAMS = 2
"""While the GPU computes one batch, the other is stacked and copied."""

Item = TypeVar("Item")
Made = TypeVar("Made")


def streams_of(network: Backbone, device: torch.device) -> int:
    """How many batches go through `network` at once: on a CPU one for each of PyTorch's threads."""
    if network.fills_cores or device.type not in ("cpu", "cuda"):
        return 1
    return CUDA_STREAMS if device.type == "cuda" else min(MOST_STREAMS, torch.get_num_threads())


def in_streams(work: Callable[[Item], Made], items: Iterator[Item], streams: int) -> Generator[tuple[Item, Made]]:
    """Yields each item with what `work` makes of it, in their order; `streams` of them are worked on at once."""
    if streams == 1:
        for item in items:
            yield item, work(item)
        return
    threads = torch.get_num_threads()

    def take_one() -> None:
        torch.get_num_threads()  # a thread takes PyTorch's usual number when it first asks, whatever was set before
        torch.set_num_threads(1)
        if torch.cuda.is_initialized():  # copies run beside the other batch's kernels only in a stream of their own
            torch.cuda.set_stream(torch.cuda.Stream())

    waiting: deque[tuple[Item, Future[Made]]] = deque()
    try:
        with ThreadPoolExecutor(streams, thread_name_prefix="network", initializer=take_one) as pool:
            try:
                for item in items:
                    waiting.append((item, pool.submit(work, item)))
                    if len(waiting) > streams:  # one more than run, so that none waits for its next
                        ready, future = waiting.popleft()
                        yield ready, future.result()
                while waiting:
                    ready, future = waiting.popleft()
                    yield ready, future.result()
            finally:
                for _, future in waiting:  # where the run is broken off, only what has begun is waited for
                    future.cancel()
    finally:
        torch.set_num_threads(threads)  # threads that begin later would else take the streams' number
