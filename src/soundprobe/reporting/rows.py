"""Runs that are equal but for their seed -> one `Row` of the tables.

Letters: S seeds, F folds, C classes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from soundprobe.metrics import MeanStd, mean_std
from soundprobe.reporting.run import Run
from soundprobe.reporting.wording import one_line

CONTROL = "random weights: control"
PART_CONTROL = "random weights in part: control"
SCRATCH = "random start: trained from scratch"
OWN_FILE = "weights from a file"


@dataclass(frozen=True, eq=False)
class Row:
    """S runs of the same backbone, head, settings and folds, which differ in their seed only.

    Attributes:
        runs: S runs, in the order of their seeds.
        detail: the settings that tell this row from others of the same names, such as "clip_seconds 4.0"; may be empty.
    """

    runs: tuple[Run, ...]
    detail: str = ""

    @property
    def first(self) -> Run:
        return self.runs[0]

    @property
    def name(self) -> str:
        """Backbone and head as a user types them, with `detail`: "mn04 · linear"."""
        parts = [self.first.backbone["name"], self.first.head["name"], self.detail]
        return " · ".join(one_line(part) for part in parts if part)

    @property
    def title(self) -> str:
        """Backbone and head in words: "EfficientAT mn04, logistic regression"."""
        how = "frozen"
        if self.first.info["kind"] == "finetune":
            how = "trained from scratch" if "random" in self._weights else "fine-tuned"
        return one_line(f"{self.first.backbone['title']}, {how}; {self.first.head['title']}")

    @property
    def is_control(self) -> bool:
        """Whether a backbone with random weights, even one of several, was probed: the yardstick of pretraining."""
        return self.first.info["kind"] == "probe" and "random" in self._weights

    @property
    def tag(self) -> str:
        """What must be said of the weights wherever the row is shown; empty for pretrained ones."""
        if self.is_control:
            return CONTROL if set(self._weights) == {"random"} else PART_CONTROL
        if "random" in self._weights:
            return SCRATCH
        return OWN_FILE if "file" in self._weights else ""

    @property
    def _weights(self) -> list[str]:
        return str(self.first.backbone["weights"]).split("+")

    @property
    def complete(self) -> bool:
        """Whether every fold of the data set was tested."""
        return bool(self.first.info["complete"])

    @property
    def folds(self) -> tuple[int, ...]:
        """F tested folds."""
        return tuple(scores.fold for scores in self.first.folds)

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.head["seed"] for run in self.runs)

    @cached_property
    def fold_accuracy(self) -> np.ndarray:
        """(F,) accuracy of each fold, averaged over seeds."""
        return np.mean([[scores.accuracy for scores in run.folds] for run in self.runs], axis=0)

    @cached_property
    def fold_macro_f1(self) -> np.ndarray:
        """(F,) macro-F1 of each fold, averaged over seeds."""
        return np.mean([[scores.macro_f1 for scores in run.folds] for run in self.runs], axis=0)

    @cached_property
    def accuracy(self) -> MeanStd:
        """Mean and spreads over folds of `fold_accuracy`."""
        return mean_std(self.fold_accuracy)

    @cached_property
    def macro_f1(self) -> MeanStd:
        """Mean and spreads over folds of `fold_macro_f1`."""
        return mean_std(self.fold_macro_f1)

    @cached_property
    def accuracy_over_seeds(self) -> MeanStd:
        """Mean and spreads over seeds of each seed's mean accuracy."""
        return mean_std([float(np.mean([scores.accuracy for scores in run.folds])) for run in self.runs])

    @cached_property
    def macro_f1_over_seeds(self) -> MeanStd:
        """Mean and spreads over seeds of each seed's mean macro-F1."""
        return mean_std([float(np.mean([scores.macro_f1 for scores in run.folds])) for run in self.runs])

    @cached_property
    def per_class_f1(self) -> np.ndarray:
        """(C,) F1 of each class over the tested folds pooled, averaged over seeds; NaN where a class has no clip."""
        return np.mean([run.per_class_f1 for run in self.runs], axis=0)

    @cached_property
    def confusion(self) -> np.ndarray:
        """(C, C) counts over tested folds and seeds pooled: rows are true classes, columns predicted ones."""
        return np.sum([run.confusion for run in self.runs], axis=0)

    @property
    def seconds(self) -> float:
        """Time to choose and train the heads of the tested folds, averaged over seeds."""
        return float(np.mean([sum(scores.seconds for scores in run.folds) for run in self.runs]))

    @property
    def seconds_per_clip(self) -> float | None:
        """Time to embed one clip, where the run says it."""
        seconds = self.first.backbone.get("seconds_per_clip")
        return float(seconds) if isinstance(seconds, int | float) else None

    def accuracy_on(self, fold: int) -> float | None:
        """Accuracy on `fold`, or None where it was not tested."""
        return float(self.fold_accuracy[self.folds.index(fold)]) if fold in self.folds else None

    def macro_f1_on(self, fold: int) -> float | None:
        """Macro-F1 on `fold`, or None where it was not tested."""
        return float(self.fold_macro_f1[self.folds.index(fold)]) if fold in self.folds else None

    @cached_property
    def chosen(self) -> Mapping[str, Mapping[str, int]]:
        """For each setting that was chosen inside the training folds: how many folds, of all seeds, chose each."""
        counts: dict[str, Counter[str]] = {}
        for run in self.runs:
            for scores in run.folds:
                for name, value in scores.chosen.items():
                    counts.setdefault(one_line(name), Counter())[setting_text(value)] += 1
        return {name: dict(counts[name].most_common()) for name in counts}

    @property
    def chosen_briefly(self) -> Mapping[str, Mapping[str, int]]:
        """`chosen` for tables: of a setting with more than five values the four most frequent, and "others"."""
        return {
            name: values
            if len(values) <= 5
            else {**dict(list(values.items())[:4]), "others": sum(list(values.values())[4:])}
            for name, values in self.chosen.items()
        }


def rows_of(runs: Iterable[Run]) -> list[Row]:
    """The rows of `runs`, best mean accuracy first; rows that did not test every fold come last.

    Two runs of the same seed are never put together: they were made from something that differs.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        identity, copy = _identity(run), 0
        while any(run.head["seed"] == other.head["seed"] for other in groups.get(f"{identity}#{copy}", ())):
            copy += 1
        groups.setdefault(f"{identity}#{copy}", []).append(run)
    rows = [Row(tuple(sorted(group, key=lambda run: run.head["seed"]))) for group in groups.values()]
    rows.sort(key=lambda row: (not row.complete, -row.accuracy.mean, row.name, row.first.path))
    return _told_apart(rows)


def _identity(run: Run) -> str:
    """What runs must share to stand in one row: everything but the seed and what follows from it."""
    head = run.head
    settings = {name: value for name, value in head["settings"].items() if name != "seed"}
    shared = [run.info["kind"], run.backbone["name"], run.backbone["key"], run.backbone["weights"]]
    return json.dumps(
        [*shared, head["name"], settings, [scores.fold for scores in run.folds]], sort_keys=True, default=str
    )


def _told_apart(rows: list[Row]) -> list[Row]:
    """The rows, those that share name, weights and kind told apart by what differs between them."""
    alike: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        alike.setdefault((row.name, row.tag, row.first.info["kind"]), []).append(row)
    details: dict[int, str] = {}
    for group in alike.values():
        found = [_difference(row, group) for row in group]
        for row, detail in zip(group, found, strict=True):
            # Equal settings but another key: weights or data differ, which only the keys can say.
            keys = f"key {row.first.backbone['key']}/{row.first.head['key']}" if found.count(detail) > 1 else ""
            details[id(row)] = ", ".join(filter(None, [detail, keys]))
    return [replace(row, detail=details[id(row)]) for row in rows]


def _difference(row: Row, group: list[Row]) -> str:
    """The settings and the folds of `row` in which the rows of `group`, of which it is one, differ."""
    settings = [_settings(other.first) for other in group]
    mine = _settings(row.first)
    shown = [
        f"{name} {setting_text(value)}"
        for name, value in sorted(mine.items())
        if len({setting_text(other.get(name)) for other in settings}) > 1
    ]
    if len({other.folds for other in group}) > 1 and not row.complete:
        shown.append(f"folds {setting_text(row.folds)}")
    return ", ".join(shown)


def _settings(run: Run) -> dict[str, Any]:
    """Settings of backbone and head, and the weights; where both use a name, the head's is "head.<name>"."""
    backbone = dict(run.backbone["settings"])
    head = {
        (f"head.{name}" if name in backbone else name): value
        for name, value in run.head["settings"].items()
        if name != "seed"
    }
    label = {"weights": run.backbone["weights_label"]} if run.backbone.get("weights_label") else {}
    return {**backbone, **head, **label}


def setting_text(value: Any) -> str:
    """A setting's value, short: numbers to 4 digits, lists with commas, text as it is."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(setting_text(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{one_line(name)} {setting_text(item)}" for name, item in value.items())
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return one_line(value)
