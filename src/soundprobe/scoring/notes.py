"""The notes' CNN: its published figures, and why only its first fold is a test result.

The figures are those that the notes print after 10 epochs on each of UrbanSound8K's 10 official folds. What follows
from them (means, spreads, the evidence of carry-over) is computed here and never stored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from soundprobe.scoring.published import Published, PublishedFold

TITLE = "SimpleCNN of the notes"
RECIPE = "notes-simplecnn"
"""The recipe that trains it as the notes did, but fresh in each fold."""
TRAINING: Mapping[str, object] = {
    "data.clip_seconds": None,
    "data.salience": "all",
    "data.salience_weight": 1.0,
    "validation.kind": "none",
    "head.init": "random",
    "head.dropout": 0.3,
    "training.batch_size": 32,
    "training.epochs": 10,
    "training.optimiser": "adam",
    "training.lr": 1e-3,
    "training.backbone_lr": 1.0,
    "training.layer_decay": 1.0,
    "training.betas": [0.9, 0.999],
    "training.weight_decay": 0.0,
    "training.warmup_epochs": 0.0,
    "training.schedule": "constant",
    "training.label_smoothing": 0.0,
    "training.clip_norm": 0.0,
    "training.ema": 0.0,
    "training.interpolate": 1.0,
    "training.mixed_precision": False,
    "training.freeze": "none",
    "training.head_epochs": 0,
}
"""What the recipe says of all that changes how the network is trained, as a run records it."""
DATASET = "urbansound8k"
DATASET_CLIPS = 8732
PARAMETERS = 1_400_970
CLEAN_FOLD = 1
"""The only fold that was tested with a network that had not been trained on it."""

CHANCE_LOSS = math.log(10)
"""Cross-entropy, in nats, of a network that gives each of ten classes the same probability."""

NETWORK = (
    "log-mel spectrogram of 4 s at 22,050 Hz, 64 bands, hop 512: (1, 64, 173)",
    "three 3x3 convolutions with 16, 32 and 64 channels, each with ReLU and 2x2 max-pooling",
    "64 x 8 x 21 = 10,752 features",
    "dropout 0.3, then fully connected layers to 128 and to 10 classes",
)


@dataclass(frozen=True)
class NotesFold(PublishedFold):
    """Losses are the mean training cross-entropy, in nats, of the first and the last epoch."""

    macro_f1: float
    first_loss: float
    last_loss: float


FOLDS = (
    NotesFold(1, 0.7056, 0.7313, 1.4876, 0.1598),
    NotesFold(2, 0.8446, 0.8565, 0.2619, 0.1111),
    NotesFold(3, 0.9600, 0.9617, 0.1259, 0.0581),
    NotesFold(4, 0.9667, 0.9659, 0.0856, 0.0766),
    NotesFold(5, 0.9776, 0.9780, 0.0937, 0.0761),
    NotesFold(6, 0.9830, 0.9847, 0.0969, 0.0473),
    NotesFold(7, 0.9523, 0.9538, 0.0686, 0.0961),
    NotesFold(8, 0.9839, 0.9850, 0.0793, 0.0586),
    NotesFold(9, 0.9853, 0.9871, 0.0506, 0.0264),
    NotesFold(10, 0.9952, 0.9959, 0.0683, 0.0523),
)

FOLD_CLIPS = (873, 888, 925, 990, 936, 823, 838, 806, 816, 837)
"""Clips of UrbanSound8K's official folds 1 to 10."""


@dataclass(frozen=True)
class Handover:
    """What the losses say of how one fold began.

    Attributes:
        fold: the fold that began.
        ended_at: the loss at which the fold before ended.
        began_at: this fold's first-epoch loss.
        fresh: the first-epoch loss of a network that is known to be fresh.
    """

    fold: int
    ended_at: float
    began_at: float
    fresh: float

    @property
    def carried_over(self) -> bool:
        """Whether the fold began nearer to where the one before ended than to where a fresh network begins."""
        return abs(self.began_at - self.ended_at) < abs(self.began_at - self.fresh)


def shown(value: float, digits: int = 4) -> str:
    """A figure as the notes print it: 0.9354 -> ".9354"."""
    return f"{value:.{digits}f}".removeprefix("0")


def handovers(first_losses: Sequence[float], last_losses: Sequence[float]) -> tuple[Handover, ...]:
    """How folds 2, 3, ... began, from the first- and last-epoch losses of all folds in the order of training.

    The first fold's first epoch is the yardstick of a fresh network: nothing was trained before it.
    """
    fresh = first_losses[0]
    return tuple(
        Handover(fold, ended, began, fresh)
        for fold, (ended, began) in enumerate(zip(last_losses[:-1], first_losses[1:], strict=True), start=2)
    )


def evidence() -> tuple[Handover, ...]:
    """The nine handovers of the notes' own training."""
    return handovers([fold.first_loss for fold in FOLDS], [fold.last_loss for fold in FOLDS])


def clean() -> NotesFold:
    """The one published fold that is a test result."""
    return next(fold for fold in FOLDS if fold.fold == CLEAN_FOLD)


def _explain() -> str:
    first, second = FOLDS[0], FOLDS[1]
    mean = sum(fold.accuracy for fold in FOLDS) / len(FOLDS)
    return (
        f"The network was created once, before the loop over the folds, and was not created anew in each fold. "
        f"A fresh network begins at a loss of about {first.first_loss:.2f}, as fold 1 did (guessing among ten classes "
        f"would give ln 10 = {CHANCE_LOSS:.2f}). Fold 2 began at {shown(second.first_loss, 2)}, close to the "
        f"{shown(first.last_loss, 2)} at which fold 1 had ended, and so it went on to fold 10. While fold 1 was "
        f"the test fold, folds 2 to 10 were the training set: from fold 2 on, every test clip had already been "
        f"trained on. Their mean accuracy of {shown(mean)} is therefore contaminated: it measures how "
        f"well the network remembers clips, not how well it recognises new ones. Fold 1 is the only test result: "
        f"accuracy {shown(first.accuracy)}, macro-F1 {shown(first.macro_f1)}. The cure is to create the "
        f"network and its optimiser inside the loop."
    )


CONTAMINATION = _explain()
"""Why the published mean is not a test result, in words."""

CONTAMINATION_BRIEF = (
    "contaminated: from fold 2 on, the network had already been trained on the clips that it was tested on, so only "
    "fold 1 counts"
)
"""The same as half a sentence, for places with no room for more."""

PUBLISHED = Published(
    name="the notes' CNN",
    title=TITLE,
    folds=FOLDS,
    clips=dict(zip((fold.fold for fold in FOLDS), FOLD_CLIPS, strict=True)),
    tests=(CLEAN_FOLD,),
    contamination=CONTAMINATION_BRIEF,
    backbone="simplecnn",
    recipe=RECIPE,
    training=TRAINING,
)
"""The notes' CNN as one of the models whose folds were published. Its mean is contaminated."""
