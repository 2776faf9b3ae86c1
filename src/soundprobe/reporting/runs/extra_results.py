"""What was measured beside a run, `learning-curve.json` and `peeking.json`, read and checked for what a report needs.

A file that can't be used is no reason to lose the run: the measurement counts as not made, and the file is listed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from soundprobe.base.errors import StoreError
from soundprobe.reporting.runs.run_files import NUMBER
from soundprobe.scoring import measured

POINT = ("share", "recordings", "clips", "accuracy", "macro_f1")
PEEKED = ("honest", "peeked_by_fold", "peeked_overall")


class Extras(NamedTuple):
    """Both measurements, None where there is none, and why a file that is there can't be used, by its name."""

    learning_curve: Mapping[str, Any] | None
    peeking: Mapping[str, Any] | None
    unreadable: Mapping[str, str]


def read_extras(folder: Path) -> Extras:
    """What was measured beside the run in `folder`; never raises for what the files hold."""
    unreadable: dict[str, str] = {}

    def read(
        name: str, reader: Callable[[Path], dict[str, Any] | None], fits: Callable[[Mapping[str, Any]], bool]
    ) -> Mapping[str, Any] | None:
        try:
            content = reader(folder)
        except StoreError:
            unreadable[name] = "not a whole JSON object, so what it measured is left out; the run itself is not"
            return None
        if content is None or fits(content):
            return content
        unreadable[name] = "lacks a figure, so what it measured is left out; the run itself is not"
        return None

    curve = read(measured.LEARNING_CURVE_FILE, measured.read_learning_curve, _is_curve)
    peeked = read(measured.PEEKING_FILE, measured.read_peeking, _is_peeking)
    return Extras(curve, peeked, unreadable)


def _is_curve(content: Mapping[str, Any]) -> bool:
    shares, folds = content.get("shares"), content.get("folds")
    return (
        isinstance(shares, list)
        and isinstance(folds, list)
        and all(isinstance(share, NUMBER) for share in shares)
        and all(_has_list(fold, "points") and all(_has(point, POINT) for point in fold["points"]) for fold in folds)
    )


def _is_peeking(content: Mapping[str, Any]) -> bool:
    folds = content.get("folds")
    return (
        _has(content, PEEKED)
        and isinstance(folds, list)
        and bool(folds)
        and all(_has_list(fold, "candidates") for fold in folds)
    )


def _has(content: object, names: tuple[str, ...]) -> bool:
    """Whether `content` holds a number by each of `names`."""
    return isinstance(content, Mapping) and all(isinstance(content.get(name), NUMBER) for name in names)


def _has_list(content: object, name: str) -> bool:
    return isinstance(content, Mapping) and isinstance(content.get(name), list)
