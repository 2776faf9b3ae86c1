"""A few mutations of everything that is read; `make test-mutations` runs as many as are asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from mutate import FoundError, Target, all_targets, mutate_bytes, mutate_json

from soundprobe.base.errors import StoreError

CASES = 300
"""Of all targets together."""


def test_every_mutation_is_read_or_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    targets = all_targets(tmp_path)
    assert len({target.name for target in targets}) == len(targets) > 15
    read = {target.name: [target.check(7, number) for number in range(-(-CASES // len(targets)))] for target in targets}
    assert any(map(any, read.values()))
    assert not all(map(all, read.values()))


def test_a_sample_that_is_not_mutated_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    for target in all_targets(tmp_path):
        for sample in target.samples:
            target.read(sample)


def several() -> StoreError:
    error = StoreError()
    error.several = (StoreError("one"), StoreError("another"))
    return error


@pytest.mark.parametrize("error", [ValueError("odd"), RecursionError(), several(), StoreError("")])
def test_the_runner_finds_what_is_no_clear_line(error: Exception):
    def read(content: bytes) -> None:
        raise error

    with pytest.raises(FoundError, match=r"--only a-b --seed 3 --first 5: "):
        Target("a-b", [b"content"], read).check(3, 5)


def test_the_runner_finds_a_hang():
    def read(content: bytes) -> None:
        while True:
            pass

    with pytest.raises(FoundError, match="not done after"):
        Target("a-b", [b"content"], read, limit_s=0.05).check(0, 0)


def test_cases_are_the_same_every_time_and_differ():
    sample = json.dumps({"a": [1, {"b": "c" * 50}], "d": None}).encode()
    for mutate in (mutate_bytes, mutate_json):
        target = Target("a-b", [sample], len, mutate)
        cases = [target.case(0, number) for number in range(200)]
        assert cases == [target.case(0, number) for number in range(200)]
        assert len(set(cases)) > 100


def test_the_script_counts_findings_and_says_which():
    script = Path(__file__).with_name("mutate.py")
    told = subprocess.run(
        [sys.executable, script, "40", "--only", "signed"], capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stdout.splitlines()[-1]) == (0, "40 cases in all, seed 0: 0 findings"), told.stderr
