"""What is measured beside a run on request, `learning-curve.json` and `peeking.json`: names and reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from soundprobe.base.files import read_json_of_format

LEARNING_CURVE_FILE = "learning-curve.json"
PEEKING_FILE = "peeking.json"
FORMAT = 1


def read_learning_curve(folder: Path) -> dict[str, Any] | None:
    """What was measured, or None where nothing was, or by another version."""
    return read_json_of_format(folder / LEARNING_CURVE_FILE, FORMAT)


def read_peeking(folder: Path) -> dict[str, Any] | None:
    """What was measured, or None where nothing was, or by another version."""
    return read_json_of_format(folder / PEEKING_FILE, FORMAT)
