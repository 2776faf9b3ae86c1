"""Runs -> rows: those that are equal but for their seed become one, and rows of one name are told apart."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.runs.marks import is_protocol_control, is_trained_from_scratch, is_untrained, leaves_leaks_out
from soundprobe.reporting.runs.run import Run
from soundprobe.reporting.wording import setting_text

RECIPE = "recipe"
EXCLUDE_LEAKS = "exclude_leaks"


def rows_of(runs: Iterable[Run]) -> list[Row]:
    """The rows of `runs`, best mean accuracy first; then those without a rank, those that lack folds last.

    Two runs of the same seed are never put together: they were made from something that differs. But one that was to
    leave leaks out and found none is the run that was to keep them, and does not stand beside it. A control with labels
    or folds of its own has drawn others with each seed, each of which is a row. Of seeds that two devices trained,
    those of each are a row.
    """
    groups: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (_leaves_nothing_out(run), _devices(run))):
        identity, copy = _identity(run), 0
        while any(_drawn(run) == _drawn(other) for other in groups.get(f"{identity}#{copy}", ())):
            copy += 1
        if copy and _leaves_nothing_out(run):
            continue
        groups.setdefault(f"{identity}#{copy}", []).append(run)
    rows = [Row(tuple(sorted(group, key=_drawn))) for group in groups.values()]
    rows.sort(key=_order)
    return _told_apart(rows)


def _order(row: Row) -> tuple[object, ...]:
    first = row.first
    return (not row.complete, not row.is_ranked, -row.accuracy.mean, leaves_leaks_out(first), row.name, first.path)


def _identity(run: Run) -> str:
    """What runs must share to stand in one row: everything but the seed and what follows from it."""
    head, backbone = run.head, run.backbone
    ignored = {"seed", EXCLUDE_LEAKS} if _leaves_nothing_out(run) else {"seed"}
    settings = {name: value for name, value in head["settings"].items() if name not in ignored}
    shared = [run.info["kind"], backbone["name"], backbone["weights"]]
    if is_protocol_control(run):
        shared.append(head["seed"])
    if is_untrained(run) or is_trained_from_scratch(run):
        shared.append(backbone["settings"])  # a seed draws the weights, so the key differs with it
    else:
        shared.append(backbone["key"])
    return json.dumps(
        [*shared, head["name"], settings, [scores.fold for scores in run.folds]], sort_keys=True, default=str
    )


def _leaves_nothing_out(run: Run) -> bool:
    return EXCLUDE_LEAKS in run.head["settings"] and not leaves_leaks_out(run)


def _drawn(run: Run) -> tuple[int, str]:
    """What a run drew: the head's seed, and which random weights."""
    return run.head["seed"], run.backbone["weights_label"] if is_untrained(run) else ""


def _devices(run: Run) -> tuple[str, ...]:
    """On which its clips were embedded and its heads trained, each once."""
    return tuple(dict.fromkeys(filter(None, (run.backbone.get("device"), run.info.get("device")))))


def _told_apart(rows: list[Row]) -> list[Row]:
    """The rows, those that share name, weights and kind told apart by what differs between them."""
    alike: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        alike.setdefault((row.name, row.tag, row.first.info["kind"]), []).append(row)
    details: dict[int, str] = {}
    for group in alike.values():
        found = [_difference(row, group) for row in group]
        if len(set(found)) < len(found):
            devices = ["" if not (told := _devices(row.first)) else f"on {' and '.join(told)}" for row in group]
            if len(set(devices)) > 1:
                found = [", ".join(filter(None, both)) for both in zip(found, devices, strict=True)]
        for row, detail in zip(group, found, strict=True):
            # Equal settings but another key: weights or data differ, which only the keys can say.
            keys = f"key {row.first.backbone['key']}/{row.first.head['key']}" if found.count(detail) > 1 else ""
            details[id(row)] = ", ".join(filter(None, [detail, keys]))
    return [replace(row, detail=details[id(row)]) for row in rows]


def _difference(row: Row, group: list[Row]) -> str:
    """The settings that tell the rows of `group`, of which `row` is one, apart: as few as will do; and its folds."""
    settings = [_settings(other.first) for other in group]
    mine = _settings(row.first)
    shown = [
        setting_text(mine.get(name, "none"))
        if name == RECIPE
        else f"{_short(name, mine)} {setting_text(mine.get(name, 'none'))}"
        for name in _telling(settings)
    ]
    if len({other.folds for other in group}) > 1 and not row.complete:
        shown.append(f"folds {setting_text(row.folds)}")
    return ", ".join(shown)


def _telling(settings: list[dict[str, Any]]) -> list[str]:
    """Names of settings, each of which tells more of the rows apart than those before it.

    Settings that every row knows come first: one that only some know may be new, and then says nothing. Of equals the
    recipe's name is taken, for it says the most.
    """

    def order(name: str) -> tuple[bool, bool, str]:
        return not all(name in one for one in settings), name != RECIPE, name

    names = sorted({name for one in settings for name in one}, key=order)
    chosen: list[str] = []
    while True:
        told = _distinct(chosen, settings)
        best = max(names, key=lambda name: _distinct([*chosen, name], settings), default="")
        if told == len(settings) or not best or _distinct([*chosen, best], settings) == told:
            return sorted(chosen)
        chosen.append(best)


def _distinct(names: list[str], settings: list[dict[str, Any]]) -> int:
    """How many kinds of rows there are as far as `names` go."""
    return len({tuple(setting_text(one.get(name, "none")) for name in names) for one in settings})


def _short(name: str, settings: dict[str, Any]) -> str:
    """The name without its table ("training.epochs": "epochs"), where no other setting is then called the same."""
    last = name.rsplit(".", 1)[-1]
    return last if sum(other.rsplit(".", 1)[-1] == last for other in settings) <= 1 else name


def _settings(run: Run) -> dict[str, Any]:
    """Settings of backbone and head, and the weights; where both use a name, the head's is "head.<name>"."""
    backbone = dict(run.backbone["settings"])
    head = {
        (f"head.{name}" if name in backbone else name): value
        for name, value in run.head["settings"].items()
        if name != "seed"
    }
    label = {"weights": run.backbone["weights_label"]} if run.backbone.get("weights_label") else {}
    seed = {"seed": run.head["seed"]} if is_protocol_control(run) else {}
    return {**backbone, **head, **label, **seed}
