"""The scripts below benchmarks/ at least start: what they import is there. What they measure is no test's business."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py") if "argparse" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_benchmark_script_explains_itself_and_is_listed(script):
    done = subprocess.run([sys.executable, FOLDER / script, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout
    assert f"`{script}`" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_scale_of_few_generated_clips_writes_and_reads_every_part():
    command = [sys.executable, FOLDER / "scale.py", "--clips", "800", "--dim", "8", "--classes", "4", "--probe"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "800 clips in 4 parts" in done.stdout
    assert "features 0 MB" in done.stdout
    assert "accuracy" in done.stdout.splitlines()[-1]
