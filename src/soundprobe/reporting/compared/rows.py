"""One row of the tables: a run, or several that are equal but for their seed.

Letters: S seeds, F folds, C classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from soundprobe.reporting.runs import marks
from soundprobe.reporting.runs.run import Run
from soundprobe.reporting.wording import one_line, plural, setting_text
from soundprobe.scoring.bootstrap import Predictions, Scores, resample
from soundprobe.scoring.metrics import MeanStd, mean_std
from soundprobe.scoring.paired_tests import average, on_shared_clips

CHOSEN_ON_KNOWN_CLIPS = (
    "each fold's network had learnt from the other folds before, the clips included on which the head's settings were "
    "chosen, so that choice is too hopeful. The test fold was seen by neither network nor head."
)


@dataclass(frozen=True, eq=False)
class Row:
    """S runs of the same backbone, head, settings and folds, which differ in their seed only.

    The seed is the head's, and of random weights that of their drawing as well.

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
        """Backbone and head as a user types them, with `detail`: "mn04 · linear"; of an import the model alone."""
        head = "" if marks.is_imported(self.first) else self.first.head["name"]
        parts = [self.first.backbone["name"], head, self.detail]
        return " · ".join(one_line(part) for part in parts if part)

    @property
    def full_name(self) -> str:
        """The name, with what must be said of the row in brackets."""
        return f"{self.name} ({self.tag})" if self.tag else self.name

    @property
    def title(self) -> str:
        """Backbone and head in words: "EfficientAT mn04, logistic regression"."""
        if marks.is_imported(self.first):
            return one_line(f"{self.first.backbone['title']}; {self.first.head['title']}")
        how = "" if marks.has_no_weights(self.first) else ", frozen"
        if self.first.info["kind"] == "finetune":
            how = ", trained from scratch" if marks.is_trained_from_scratch(self.first) else ", fine-tuned"
        elif marks.is_finetuned_in_folds(self.first):
            how = ", then frozen"
        return one_line(f"{self.first.backbone['title']}{how}; {self.first.head['title']}")

    @property
    def control(self) -> str:
        """What the row is a control of: "random weights", "shuffled labels", "reshuffled folds", or "" for none."""
        if marks.has_shuffled_labels(self.first):
            return "shuffled labels"
        if self.has_own_folds:
            return "reshuffled folds"
        return "random weights" if marks.has_random_weights(self.first) else ""

    @property
    def has_own_folds(self) -> bool:
        """Whether its folds hold other clips than the data set's folds of the same names."""
        return marks.has_reshuffled_folds(self.first)

    @property
    def is_control(self) -> bool:
        """Whether the row is a yardstick and no contender."""
        return bool(self.control)

    @property
    def is_baseline(self) -> bool:
        """Whether nothing was learnt before the head: ranked as any other, and beyond pretraining's help."""
        return marks.has_no_weights(self.first) and not self.is_control

    @property
    def is_fine_tuned(self) -> bool:
        """Whether its network had learnt from other sounds, and went on with the clips here."""
        own = marks.is_finetuned_in_folds(self.first) or self.first.info["kind"] == "finetune"
        return own and "random" not in marks.weights_of(self.first)

    @property
    def is_frozen_pretrained(self) -> bool:
        """Whether a head was trained on a frozen network that had learnt from other sounds, and from no clip here.

        A fine-tuned network's lead would be the fine-tuning's as well.
        """
        probed = self.first.info["kind"] == "probe" and not marks.is_finetuned_in_folds(self.first)
        return probed and not (self.is_control or self.is_baseline)

    @property
    def role(self) -> Literal["control", "baseline", "run"]:
        """How the row is drawn."""
        return "control" if self.is_control else "baseline" if self.is_baseline else "run"

    @property
    def contaminated(self) -> bool:
        """Whether the network had been trained on clips that it was tested on, which only `--carry-over` does."""
        return marks.is_carried_over(self.first)

    @property
    def no_equal(self) -> str:
        """Why an imported row can't be ranked beside the others, as a sentence; empty for all others."""
        run = self._least_equal
        return f"{self.name} is no equal: {foreign_folds(run)}." if marks.has_other_folds(run) else ""

    @property
    def but(self) -> str:
        """What must be said beside an imported row's score wherever it stands beside others', in a few words."""
        if not self.no_equal:
            return f"but on {plural(len(self.predictions[0]), 'clip')} alone" if self.lacks_clips else ""
        imported = self._least_equal.record.imported
        return "but on other folds" if imported and imported.folds == "other" else "but on unknown folds"

    @property
    def lacks_clips(self) -> bool:
        """Whether it was imported without predictions of clips that can be read."""
        return marks.lacks_clips(self._least_equal)

    @property
    def is_fair(self) -> bool:
        """Whether its scores may be held against others': imported ones may be of other folds, or of chosen clips."""
        return not (self.no_equal or self.lacks_clips)

    @property
    def _least_equal(self) -> Run:
        """The first run with the gravest marks: seeds of an import may have other folds and clips than the first."""
        return max(self.runs, key=lambda run: (marks.has_other_folds(run), marks.lacks_clips(run)))

    @property
    def is_ranked(self) -> bool:
        """Whether the row has a rank: it tested every fold and clip, its labels are true, its tests are tests."""
        return self.complete and self.is_fair and not self.contaminated and self.control in ("", "random weights")

    @property
    def has_probabilities(self) -> bool:
        """Whether it says how sure it is, not a class alone."""
        return all(run.proba is not None for run in self.runs)

    @property
    def tag(self) -> str:
        """What must be said of the row wherever it is shown; empty for an honest run on pretrained weights."""
        return marks.tag_of(self._least_equal)

    @property
    def caution(self) -> str:
        """What a reader of its chosen settings and scores must know, as a sentence; empty for most rows."""
        return CHOSEN_ON_KNOWN_CLIPS if marks.is_finetuned_in_folds(self.first) else ""

    @property
    def tag_kind(self) -> str:
        """How the tag is drawn: "control", "baseline", "notes" (contaminated) or "origin"."""
        return "notes" if self.contaminated or self.no_equal else "origin" if self.role == "run" else self.role

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

    def over_seeds(self, metric: str) -> MeanStd:
        """Mean and spreads over seeds of each seed's mean accuracy or macro-F1."""
        return mean_std([float(np.mean([getattr(scores, metric) for scores in run.folds])) for run in self.runs])

    @cached_property
    def predictions(self) -> tuple[Predictions, ...]:
        """What each seed said of the clips that all seeds tested."""
        return tuple(
            on_shared_clips(
                [
                    Predictions(
                        self.name,
                        ids=run.ids,
                        labels=run.y_true,
                        predicted=run.predicted,
                        folds=run.fold,
                        groups=run.drawn_together,
                        n_classes=len(run.class_names),
                    )
                    for run in self.runs
                ]
            )
        )

    @cached_property
    def scores(self) -> Scores:
        """Fold scores, averaged over seeds, as they are and with other recordings drawn: where intervals come from."""
        return average([resample(one) for one in self.predictions], self.name)

    @cached_property
    def per_class_f1(self) -> np.ndarray:
        """(C,) F1 of each class over the tested folds pooled, averaged over seeds; NaN where a class has no clip."""
        return np.mean([run.per_class_f1 for run in self.runs], axis=0)

    @cached_property
    def confusion(self) -> np.ndarray:
        """(C, C) counts over tested folds and seeds pooled: rows are true classes, columns predicted ones."""
        return np.sum([run.confusion for run in self.runs], axis=0)

    def matches(self, other: Row) -> bool:
        """Whether both have the same settings, whatever their seeds and weights."""
        return _but_seed(self.first) == _but_seed(other.first)

    @property
    def seconds(self) -> float | None:
        """Time to choose and train the heads of the tested folds, averaged over seeds; None of an import."""
        told = [[scores.seconds for scores in run.folds if scores.seconds is not None] for run in self.runs]
        return float(np.mean([sum(seconds) for seconds in told])) if all(told) else None

    @property
    def seconds_per_clip(self) -> float | None:
        """Time to embed one clip, where the run says it."""
        seconds = self.first.backbone.get("seconds_per_clip")
        return float(seconds) if isinstance(seconds, int | float) else None

    def accuracy_on(self, *folds: int) -> float | None:
        """Mean accuracy on the data set's `folds`, or None where one of them was not tested."""
        tested = set(folds) <= set(self.folds) and not self.has_own_folds
        return float(np.mean([self.fold_accuracy[self.folds.index(fold)] for fold in folds])) if tested else None

    @cached_property
    def chosen(self) -> Mapping[str, Mapping[str, int]]:
        """For each setting that was chosen inside the training folds: how many folds, of all seeds, chose each."""
        counts: dict[str, Counter[str]] = {}
        for run in self.runs:
            for scores in run.folds:
                for name, value in scores.chosen.items():
                    if name != "layer_weights":
                        counts.setdefault(one_line(name), Counter())[setting_text(value)] += 1
        return {name: dict(counts[name].most_common()) for name in counts}

    @cached_property
    def layer_weights(self) -> Mapping[str, float]:
        """Of each layer the mean weight over the folds, of all seeds, that learnt weights; empty where none did."""
        found = [
            fold.chosen["layer_weights"] for run in self.runs for fold in run.folds if "layer_weights" in fold.chosen
        ]
        return {one_line(layer): float(np.mean([weights[layer] for weights in found])) for layer in (found or [{}])[0]}

    @property
    def chosen_briefly(self) -> Mapping[str, Mapping[str, int]]:
        """`chosen` for tables: of a setting with more than five values the four most frequent, and "others"."""
        return {
            name: values
            if len(values) <= 5
            else {**dict(list(values.items())[:4]), "others": sum(list(values.values())[4:])}
            for name, values in self.chosen.items()
        }


def foreign_folds(run: Run) -> str:
    """What is wrong with an imported run's folds, and how many clips its model may know."""
    imported = run.record.imported
    assert imported is not None
    if imported.folds == "unknown":
        return (
            "nothing tells in which fold each clip was tested, so its model may have been trained on clips that it is "
            "scored on (a column fold would tell)"
        )
    text = "its folds are not the data's"
    if imported.moved:
        text += f" ({plural(imported.moved, 'clip')} lie elsewhere)"
    if imported.in_training_too:
        text += (
            f"; {plural(imported.in_training_too, 'clip')} were tested by a model that had been trained on another "
            "clip of their recording"
        )
    elif imported.in_training_too == 0:
        text += "; no recording of it lies in two of them"
    return text


def _but_seed(run: Run) -> list[dict[str, object]]:
    return [
        {name: value for name, value in settings.items() if "seed" not in name and name != "weights"}
        for settings in (run.backbone["settings"], run.head["settings"])
    ]
