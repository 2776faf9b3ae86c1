"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dask_cluster import DaskCluster
from object_store import ObjectStore
from optional import needed

# Before PyTorch and numpy come: workers share the cores, and a thread that spins while it waits takes another's time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
LONGEST = (
    "test_real_audio",
    "test_docs",
    "test_gpu_benchmark",
    "test_quantising",
    "test_estimators",
    "test_figures",
    "test_faults",
    "test_precision",
    "test_finetune",
    "test_other_device",
    "test_softmax_stack",
    "test_choosing",
)
"""Files of half a minute, to begin with: else one of them comes last, and a worker has nothing to do meanwhile."""

PROJECT = Path(__file__).resolve().parent.parent
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in the background of a shell; commands would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real audio and weights beside the project, or `$SOUNDPROBE_SHARED`; skips where it is missing."""
    folder = Path(os.environ.get("SOUNDPROBE_SHARED", PROJECT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"real audio and weights not found at {folder} (set SOUNDPROBE_SHARED to their folder)")
    return folder


@pytest.fixture(scope="session")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A cluster of two workers, each a process of its own."""
    with DaskCluster(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """An S3 with a bucket of that name, which s3fs finds."""
    needed("s3fs")
    with ObjectStore() as store, pytest.MonkeyPatch.context() as patch:
        for name, value in store.environ.items():
            patch.setenv(name, value)
        yield store


@pytest.fixture(autouse=True)
def _no_user_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own weight cache, and none waits for a hub."""
    monkeypatch.setenv("SOUNDPROBE_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in LONGEST)
