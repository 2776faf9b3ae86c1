from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from soundprobe.base.machine import device_in_key, exactly, made_by

CUDA = torch.device("cuda")  # what is set for it can be set and read where there is none


def test_command_of_a_record_makes_all_folds_whichever_were_asked_for_first() -> None:
    told = "soundprobe finetune --only-fold 1 --data 'a b/' --only-fold=2 -q"
    assert made_by(told)["command"] == "soundprobe finetune --data 'a b/' -q"


def test_keys_from_before_other_devices_were_known_are_those_of_the_cpu() -> None:
    assert device_in_key("cpu") == {}
    assert device_in_key("cuda") != device_in_key("mps")


def test_products_of_matrices_on_cuda_are_exact_whatever_was_set_and_that_is_set_again():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with exactly(CUDA):
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.skipif(
    not hasattr(torch.backends.cuda.matmul, "fp32_precision"),
    reason="PyTorch has it since 2.9, as CI has; make lowest has 2.6",
)
def test_products_of_matrices_are_exact_where_the_newer_setting_says_otherwise():
    matmul: Any = torch.backends.cuda.matmul
    before, matmul.fp32_precision = matmul.fp32_precision, "tf32"
    try:
        with exactly(CUDA):
            assert matmul.fp32_precision == "ieee"
        assert matmul.fp32_precision == "tf32"
    finally:
        matmul.fp32_precision = before


def test_thread_that_waited_for_another_on_cuda_leaves_what_was_set_before_both():
    """The other thread asks while the first has set that sums have one order."""
    entered = threading.Event()

    def other() -> None:
        entered.wait()
        with exactly(CUDA, deterministic=True):
            pass

    thread = threading.Thread(target=other)
    thread.start()
    with exactly(CUDA, deterministic=True):
        assert torch.are_deterministic_algorithms_enabled()
        entered.set()
        thread.join(0.2)
    thread.join()
    assert not torch.are_deterministic_algorithms_enabled()
