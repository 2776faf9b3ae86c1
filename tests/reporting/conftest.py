"""Fixtures for the report's tests: a folder of runs as users have it, and its report."""

from __future__ import annotations

from pathlib import Path

import pytest

from result_folders import SAMPLE, write_run
from soundprobe.reporting.write import ReportPaths, write_report


@pytest.fixture(scope="session")
def urban_heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs on the 10 official folds: pretrained and control, three seeds, one with 3 of 10 folds, one damaged."""
    heads = tmp_path_factory.mktemp("urban") / "heads"
    write_run(heads, backbone="mn04", head="linear", accuracy=0.83)
    for seed in (0, 1, 2):
        write_run(heads, backbone="mn04", head="mlp", accuracy=0.86, seed=seed)
    write_run(heads, backbone="mn04", head="mlp", accuracy=0.44, weights="random")
    write_run(heads, backbone="mn04+simplecnn", head="linear", accuracy=0.7, weights="pretrained+random")
    write_run(heads, backbone="simplecnn", head="finetune", accuracy=0.69, weights="random", kind="finetune")
    write_run(heads, backbone="panns", head="finetune", accuracy=0.9, kind="finetune", folds=[1, 2, 3])
    damaged = write_run(heads, backbone="ast", head="linear", accuracy=0.85)
    (damaged / "predictions.parquet").unlink()
    return heads


@pytest.fixture(scope="session")
def urban_report(urban_heads: Path, tmp_path_factory: pytest.TempPathFactory) -> ReportPaths:
    return write_report(urban_heads, tmp_path_factory.mktemp("urban-reports"))


@pytest.fixture(scope="session")
def sample_report(tmp_path_factory: pytest.TempPathFactory) -> ReportPaths:
    """One pretrained run and its control on 397 clips of four folds."""
    heads = tmp_path_factory.mktemp("sample") / "heads"
    write_run(heads, SAMPLE, accuracy=0.83)
    write_run(heads, SAMPLE, accuracy=0.43, weights="random")
    return write_report(heads, heads.parent / "reports")
