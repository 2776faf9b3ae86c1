"""The machine that a run runs on: its device, and the versions that a result depends on."""

from __future__ import annotations

import datetime
import os
import platform
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundprobe.base.errors import ConfigError, unknown

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
HEAD_DEVICES = ("auto", "cpu", "cuda")
"""MPS has no float64, in which the losses of the linear head are summed."""
PACKAGES = ("soundprobe", "av", "numpy", "pyarrow", "scikit-learn", "soundfile", "soxr", "torch", "transformers")


def check_device_name(name: str) -> None:
    """Raises ConfigError where `name` is none of `DEVICES`; whether the machine has it, `choose_device` tells."""
    if name not in DEVICES:
        raise ConfigError(unknown("device", name, DEVICES))


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" takes CUDA, then MPS, then the CPU.

    Raises:
        ConfigError: the name is unknown, or this machine has no such device.
    """
    check_device_name(name)
    import torch

    if name == "auto":
        name = next(filter(has_device, ("cuda", "mps", "cpu")))
    if not has_device(name):
        raise ConfigError(f"--device {name}: PyTorch finds no such device on this machine. Use --device cpu or auto.")
    return torch.device(name)


def has_device(name: str) -> bool:
    """Whether PyTorch finds "cpu", "cuda" or "mps" on this machine."""
    import torch

    return name == "cpu" or (torch.cuda if name == "cuda" else torch.backends.mps).is_available()


def device_in_key(device: str) -> dict[str, str]:
    """What a key has of a device, by its type: of the CPU nothing, so that keys from before there were others stay."""
    return {} if device == "cpu" else {"device": device}


def head_device(name: str) -> str:
    """ "cpu" or "cuda": `name`, or for "auto" CUDA where there is one.

    Raises:
        ConfigError: it is none of `HEAD_DEVICES`, or this machine has no such device.
    """
    if name not in HEAD_DEVICES:
        raise ConfigError(unknown("device of a head", name, HEAD_DEVICES))
    return "cuda" if name != "cpu" and choose_device(name).type == "cuda" else "cpu"


_ON_CUDA = threading.RLock()
"""What is set for CUDA holds for all threads."""


@contextmanager
def exactly(device: torch.device, deterministic: bool = False) -> Iterator[None]:
    """Within, CUDA computes float32 in float32, as a CPU does; PyTorch's convolutions there take TF32, of 10 bits, and
    so do its products of matrices where somebody has told it to (NVIDIA's containers do).

    Args:
        deterministic: gradients too are summed in one order; an operation for which PyTorch has none raises its
            RuntimeError.
    """
    import torch

    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without which cuBLAS promises no order
    with _ON_CUDA, torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False), _exact_products():
        # Asked for only now: until here another thread may have set its own.
        strict = torch.are_deterministic_algorithms_enabled()
        warns = torch.is_deterministic_algorithms_warn_only_enabled()
        try:
            if deterministic:
                torch.use_deterministic_algorithms(True)
            yield
        finally:
            if deterministic:
                torch.use_deterministic_algorithms(strict, warn_only=warns)


@contextmanager
def _exact_products() -> Iterator[None]:
    """Within, products of float32 matrices are float32's."""
    import torch

    exact, told = "highest", torch.set_float32_matmul_precision
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:  # it was set by the names that PyTorch has since 2.9, beside which these are refused
        exact, told = "ieee", partial(setattr, torch.backends.cuda.matmul, "fp32_precision")
        before = torch.backends.cuda.matmul.fp32_precision
    if before == exact:
        yield
        return
    told(exact)
    try:
        yield
    finally:
        told(before)


def half_type(device: torch.device) -> torch.dtype | None:
    """The 16-bit type in which `device` multiplies matrices faster than in float32; None where it has none.

    On CPUs only those that have bfloat16 in hardware (AVX512-BF16, AMX) count: elsewhere it is emulated, and slower.
    """
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu":
        able: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of torch can't tell
        return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else None
    return None


def free_bytes() -> int:
    """Memory that programs can have without others losing theirs; no more than a container's limit."""
    import psutil

    free: int = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # "max", or no such container
        free = min(free, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return free


def of_all_folds(command: str) -> str:
    """`command` without --only-fold: it is named where any of a run's folds is lost, or not there yet."""
    return re.sub(r" --only-fold[= ]\d+", "", command)


def made_by(command: str) -> dict[str, Any]:
    """What every result on disk says of its making: the command, the versions, and when it was (ISO 8601, UTC)."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"command": of_all_folds(command), "versions": versions(), "created": now}


def versions() -> dict[str, str]:
    """Python's version and those of the packages that results depend on, without importing them."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
