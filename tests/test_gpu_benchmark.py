"""`make gpu` without a GPU: whole on the CPU and on a device that pretends, with sizes that take seconds."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from other_device import DEVICE, other_device
from soundprobe.heads.mlp import MLPHead

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.append(str(FOLDER))
import gpu  # noqa: E402
import gpu_figures  # noqa: E402
from synthetic_embeddings import make_embeddings  # noqa: E402


def test_gpu_benchmark_on_a_cpu_gives_figures_in_every_row(tmp_path: Path) -> None:
    command = [sys.executable, FOLDER / "gpu.py", "--device", "cpu", "--tiny", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["rows"]
    assert [row for row in rows if len(row) == 2 or "left out" in row] == []
    assert {row["section"] for row in rows} == {"GEMM peak", "extraction", "the peers' loops", "probe", "fine-tuning"}
    assert [row["row"] for row in rows if row.get("of the rms", 0) > 0.3] == []
    assert "| panns fp32 eager |" in (tmp_path / "gpu.md").read_text(encoding="utf-8")


def test_gpu_benchmark_on_another_device_fails_in_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_figures, "BACKBONES", ("mn04",))
    monkeypatch.setattr(gpu_figures, "PEERS", {})
    on_cpu = partial(gpu_figures.gemm_peak_gflops, torch.device("cpu"))  # a GPU's product is too large here
    monkeypatch.setattr(gpu_figures, "gemm_peak_gflops", lambda _, *given: on_cpu(*given))
    for module in ("linear", "mlp"):
        monkeypatch.setattr(f"soundprobe.heads.{module}.head_device", lambda name: name)
    with other_device() as device:
        rows = gpu_figures.measure(DEVICE, gpu_figures.TINY, 600)
    assert device.operations > 1000
    assert [row for row in rows if "failed" in row] == []
    assert next(row for row in rows if row["row"] == "mn04 fp32 eager")["of the rms"] < 1e-4


def test_gpu_benchmark_without_time_names_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_figures, "BACKBONES", ())
    monkeypatch.setattr(gpu_figures, "PEERS", {})
    assert {row["left out"] for row in gpu_figures.measure("cpu", gpu_figures.TINY, -1)} == {"no time"}


def test_stacked_folds_predict_about_as_well_as_a_head_for_each() -> None:
    data = make_embeddings(600, 32, 4, 4)
    draw = np.random.default_rng(0)
    of_class, noise = draw.normal(size=(4, 32)), draw.normal(size=(600, 32))
    data = replace(data, features=(of_class[data.labels] + 2 * noise).astype(np.float32))
    head = MLPHead(widths=(16,), learning_rates=(1e-3, 1e-2), max_epochs=20)
    stacked = (gpu_figures.stacked_predictions(data, head, torch.device("cpu")) == data.labels).mean()
    alone = gpu_figures._probe(data, head)["accuracy"]
    assert 0.5 < alone < 1
    assert stacked == pytest.approx(alone, abs=0.05)


def test_gpu_benchmark_names_what_a_machine_lacks() -> None:
    done = subprocess.run([sys.executable, "-S", FOLDER / "gpu.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "missing: torch, transformers" in done.stderr


def test_wheels_are_found_behind_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(gpu.NEEDED, "carried", ("carried_alone", "this test"))
    with zipfile.ZipFile(tmp_path / "carried-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carried_alone.py", "")
        wheel.writestr("numpy/__init__.py", "raise ImportError")
    assert gpu.missing(["carried", "scipy"]) == ["carried"]
    gpu.add_wheels(tmp_path, tmp_path / "unpacked")
    assert gpu.missing(["carried", "scipy"]) == []
    assert np.__file__ != str(tmp_path / "unpacked" / "numpy" / "__init__.py")
