"""The recipe of a fine-tuning run: every field with its default, checked strictly. Imports no torch."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.spec import LAST
from soundprobe.base.config import Recipe, mistake, read_recipe
from soundprobe.base.errors import ConfigError


class DataTable(Recipe):
    """Which clips are trained on, and how long they are.

    Attributes:
        clip_seconds: cut or pad every clip to this; None takes the backbone's length, or where it takes any, the data
            set's longest clip, rounded up to the backbone's step.
        salience: which training clips to use: "all", "foreground" (salience 1) or "background" (2).
        salience_weight: of a background clip's loss, next to 1 for a foreground clip.
    """

    clip_seconds: float | None = None
    salience: Literal["all", "foreground", "background"] = "all"
    salience_weight: float = Field(default=1.0, ge=0.0, le=100.0)


class ValidationTable(Recipe):
    """Where early stopping, plateau and the choice of the epoch look. Never the test fold.

    Attributes:
        kind: "next-fold": the training fold that comes next after the test fold, going round, as HEAR does; "share":
            a share of the training clips, grouped by recording; "none": train for all epochs on all training clips.
        share: of the training clips, for kind "share".
        refit: after the epoch was chosen, train anew on all training clips for so many epochs at the same rates.
    """

    kind: Literal["next-fold", "share", "none"] = "next-fold"
    share: float = Field(default=0.15, gt=0.0, le=0.5)
    refit: bool = False


class HeadTable(Recipe):
    """The linear head on the embedding.

    Attributes:
        init: "probe" starts from the linear probe's solution (LP-FT).
        layers: which of the backbone's layers make the embedding, as `extract --layer` has it.
    """

    init: Literal["random", "probe"] = "random"
    layers: str = LAST
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)


class TrainingTable(Recipe):
    """How the network is trained.

    Attributes:
        batch_size: clips of one step of the optimiser; accumulate: in how many passes they go through the network.
        epochs: the most; patience: stop after so many epochs without a better one, 0 for never.
        choose_by: what the epoch is chosen by: the lowest validation loss, or the highest accuracy (ties: the loss).
        lr: of the head; backbone_lr: the backbone's, as a factor of it; layer_decay: factor from each stage of the
            backbone to the one before it, 1 for none.
        betas: of Adam, momentum: of SGD, Nesterov's; weight_decay: of matrices and kernels, not of biases and norms.
        schedule: over all epochs, after `warmup_epochs` of linear rise: "constant"; "cosine" down to `final_lr` times
            the rate; "step": times `step_factor` after every `step_epochs`, from `step_from` on; "plateau": times
            `step_factor` after `plateau_patience` epochs without a lower validation loss.
        freeze: "none", "backbone", or how many of its first stages stay as they are, statistics and dropout included.
        freeze_batchnorm: keep every BatchNorm's statistics and its scale and shift.
        batchnorm_momentum: of the statistics, 0 for the network's own. At mn04's .01 they need some 500 steps, in which
            a network from random weights is no better than chance in eval mode, however well it trains.
        head_epochs: train the head alone for so many epochs before the rest.
        clip_norm: greatest norm of the gradient, 0 for no limit; ema: decay of averaged weights, 0 for none.
        interpolate: how far the tested weights lie on the way from the first to the trained ones (WiSE-FT); 1 for
            the trained ones themselves. The epoch is chosen before.
        mixed_precision: 16-bit types where the device is faster with them (GPUs, CPUs with AVX512-BF16 or AMX); the
            test fold is always judged in float32.
    """

    batch_size: int = Field(default=32, ge=1)
    accumulate: int = Field(default=1, ge=1)
    epochs: int = Field(default=30, ge=1)
    patience: int = Field(default=0, ge=0)
    choose_by: Literal["loss", "accuracy"] = "loss"
    optimiser: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: float = Field(default=1e-3, gt=0.0)
    backbone_lr: float = Field(default=1.0, gt=0.0)
    layer_decay: float = Field(default=1.0, gt=0.0, le=1.0)
    betas: list[float] = Field(default=[0.9, 0.999], min_length=2, max_length=2)
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    weight_decay: float = Field(default=0.0, ge=0.0)
    warmup_epochs: float = Field(default=0.0, ge=0.0)
    schedule: Literal["constant", "cosine", "step", "plateau"] = "cosine"
    final_lr: float = Field(default=0.0, ge=0.0, le=1.0)
    step_from: int = Field(default=0, ge=0)
    step_epochs: int = Field(default=10, ge=1)
    step_factor: float = Field(default=0.5, gt=0.0, lt=1.0)
    plateau_patience: int = Field(default=3, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    clip_norm: float = Field(default=0.0, ge=0.0)
    ema: float = Field(default=0.0, ge=0.0, lt=1.0)
    interpolate: float = Field(default=1.0, ge=0.0, le=1.0)
    mixed_precision: bool = False
    freeze: Any = "none"
    freeze_batchnorm: bool = False
    batchnorm_momentum: float = Field(default=0.0, ge=0.0, le=1.0)
    head_epochs: int = Field(default=0, ge=0)

    @field_validator("freeze")
    @classmethod
    def _freeze_is_known(cls, value: Any) -> Any:
        number = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if not number and value not in ("none", "backbone"):
            raise ValueError("give 'none', 'backbone', or how many of the first stages, 1 or more")
        return value


class ChooseTable(Recipe):
    """What of `training` is chosen in each fold, on inner splits of its training clips by recording.

    Each pair of `lr` and `freeze` is trained on every split: len(lr) * len(freeze) * splits trainings on (splits - 1) /
    splits of the clips, beside the one on all of them with what was chosen. `epochs` and `interpolate` are judged on
    the way and cost none.

    Attributes:
        splits: of `scoring.folds.inner_split`; 0 to choose nothing.
        by: the lowest mean log loss on the splits' validation clips (ties: the accuracy), or the highest mean accuracy
            (ties: the log loss).
        epochs, interpolate, lr, freeze: the candidates for the field of that name; the field itself where there are
            none. After fewer `epochs` than training.epochs the schedule is broken off. `interpolate` 0 is the frozen
            network with the linear probe, which costs no training at all.
    """

    splits: int = Field(default=3, ge=0)
    by: Literal["log-loss", "accuracy"] = "log-loss"
    epochs: list[int] = Field(default=[])
    interpolate: list[float] = Field(default=[])
    lr: list[float] = Field(default=[])
    freeze: list[Any] = Field(default=[])

    @field_validator("splits")
    @classmethod
    def _splits_hold_something_out(cls, value: int) -> int:
        if value == 1:
            raise ValueError("give 2 or more, or 0 to choose nothing")
        return value


class FinetuneRecipe(Recipe):
    """One fine-tuning run. `augment` has a table for each augmentation, see `soundprobe.augment`."""

    backbone: str
    weights: str | None = None
    data: DataTable = DataTable()
    validation: ValidationTable = ValidationTable()
    head: HeadTable = HeadTable()
    training: TrainingTable = TrainingTable()
    choose: ChooseTable | None = None
    augment: dict[str, dict[str, Any]] = Field(default={})


def finetune_recipe(
    backbone: str | None, config: str | None, overrides: Sequence[str] = (), *, epochs_fixed: bool = False
) -> FinetuneRecipe:
    """The recipe called `config`, or the one that comes with `backbone` (configs/finetune-<backbone>.toml).

    Args:
        epochs_fixed: no validation and no choice: all training clips, all epochs.

    Raises:
        ConfigError: neither is given, they name different backbones, or the recipe is not valid.
    """
    given = [] if backbone is None else [f'backbone="{backbone}"']
    fixed = ['validation.kind="none"', "choose.splits=0"] if epochs_fixed else []
    recipe = read_recipe(config or default_config(backbone), FinetuneRecipe, [*given, *overrides, *fixed])
    if recipe.choose is not None and recipe.choose.splits == 0:
        recipe = recipe.model_copy(update={"choose": None})
    _check_together(recipe)
    if recipe.choose is not None:
        _check_choice(recipe, recipe.choose)
    return recipe


def candidate_trainings(recipe: FinetuneRecipe, choose: ChooseTable) -> list[tuple[dict[str, Any], TrainingTable]]:
    """Each pair of candidates that costs a training, by name, and the training table with them.

    Raises:
        ConfigError: a candidate is not valid.
    """
    named = {name: values for name in ("lr", "freeze") if (values := getattr(choose, name))}
    pairs = [dict(zip(named, values, strict=True)) for values in itertools.product(*named.values())]
    return [(pair, training_with(recipe, pair)) for pair in pairs]


def training_with(recipe: FinetuneRecipe, candidate: Mapping[str, Any]) -> TrainingTable:
    """The recipe's training table with a candidate's fields.

    Raises:
        ConfigError: one of them is not valid.
    """
    try:
        return TrainingTable.model_validate({**recipe.training.model_dump(), **candidate})
    except ValidationError as error:
        raise ConfigError(f"choose.{mistake(error)}") from None


def default_config(backbone: str | None) -> str:
    """The recipe that comes with `backbone`.

    Raises:
        ConfigError: there is no backbone either.
    """
    if backbone is None:
        raise ConfigError("Nothing to fine-tune. Name a backbone (--backbone panns) or a recipe (--config).")
    prefix = BACKBONES.prefix_of(backbone)
    return f"finetune-{prefix.name if prefix else backbone}"


def flattened(recipe: FinetuneRecipe) -> dict[str, Any]:
    """ "training.lr" -> 0.001 and so on: the settings as they stand in result.json and as `--set` takes them."""
    flat: dict[str, Any] = {}
    for table, content in recipe.model_dump(exclude={"backbone", "weights", "augment"}).items():
        flat |= {f"{table}.{name}": value for name, value in (content or {}).items()}
    if flat["head.layers"] == LAST:
        del flat["head.layers"]  # settings are a run's key, and older ones had no other layers
    for name, content in recipe.augment.items():
        flat |= {f"augment.{name}.{setting}": value for setting, value in content.items()} or {f"augment.{name}": True}
    return flat


def _check_choice(recipe: FinetuneRecipe, choose: ChooseTable) -> None:
    """What `[choose]` asks for must be valid, and possible with the rest."""
    if not any((choose.epochs, choose.interpolate, choose.lr, choose.freeze)):
        raise ConfigError(
            "choose has nothing to choose from. Give choose.epochs, interpolate, lr or freeze a list, or splits = 0."
        )
    for _, training in candidate_trainings(recipe, choose):
        _check_together(recipe.model_copy(update={"training": training}))
    for name in ("epochs", "interpolate"):
        for value in getattr(choose, name):
            training_with(recipe, {name: value})
    if max(choose.epochs, default=0) > recipe.training.epochs:
        raise ConfigError(
            f"choose.epochs = {choose.epochs} goes beyond training.epochs = {recipe.training.epochs}, which is the "
            "schedule's length. Raise that, or give fewer."
        )
    if choose.epochs and recipe.validation.kind != "none":
        raise ConfigError(
            f"choose.epochs and validation.kind = {recipe.validation.kind!r} would both choose the epoch. "
            'Leave choose.epochs out, or give validation.kind = "none".'
        )
    if choose.interpolate == [0.0]:
        raise ConfigError("choose.interpolate = [0.0] trains nothing. Give more shares, or probe the frozen backbone.")
    if 0.0 in choose.interpolate and recipe.head.init != "probe":
        raise ConfigError(
            f"choose.interpolate = 0 is the frozen network with the linear probe, but head.init = {recipe.head.init!r}."
            ' Leave 0 out, or give head.init = "probe".'
        )


def _check_together(recipe: FinetuneRecipe) -> None:
    """Fields that are each valid, but not together."""
    training, validated = recipe.training, recipe.validation.kind != "none"
    if training.schedule == "plateau" and not validated:
        raise ConfigError(
            "training.schedule = 'plateau' watches the validation loss, and there is no validation. "
            'Give another schedule ("cosine"), or validation.kind = "next-fold".'
        )
    if training.patience and not validated:
        raise ConfigError(
            f"training.patience = {training.patience} stops on the validation loss, and there is no validation. "
            "Set it to 0, or give validation.kind."
        )
    if training.accumulate > training.batch_size:
        raise ConfigError(
            f"training.accumulate = {training.accumulate} passes can't share a batch of {training.batch_size} clips; "
            "give at most training.batch_size."
        )
    if training.head_epochs >= training.epochs and training.freeze != "backbone":
        raise ConfigError(
            f"training.head_epochs = {training.head_epochs} leaves none of {training.epochs} epochs for the backbone. "
            "Give fewer, or training.freeze = 'backbone'."
        )
