"""What must be said of a run wherever it is shown: random weights, int8, shuffled labels, carried-over networks, ...

All of it is read from result.json; what a run is never follows from its score.
"""

from __future__ import annotations

from soundprobe.reporting.runs.run import Run
from soundprobe.reporting.wording import plural
from soundprobe.scoring.protocol_controls import RESHUFFLED_FOLDS, SHUFFLED_LABELS, could_fail
from soundprobe.scoring.published import Published


def weights_of(run: Run) -> list[str]:
    """The kind of weights of each backbone that stands side by side: "pretrained", "random", "file" or "none"."""
    return run.record.backbone.weights.split("+")


def networks_of(run: Run) -> list[str]:
    """The names of the backbones, of those side by side, that have weights."""
    names = run.record.backbone.name.split("+")
    return [name for name, weights in zip(names, weights_of(run), strict=False) if weights != "none"]


def is_protocol_control(run: Run) -> bool:
    """Whether its labels or its folds are not the data set's."""
    return has_shuffled_labels(run) or has_reshuffled_folds(run)


def has_shuffled_labels(run: Run) -> bool:
    """Whether the labels were shuffled, so that nothing could be learnt."""
    return run.record.head.settings.get("control") == SHUFFLED_LABELS


def could_not_fail(run: Run) -> bool:
    """Whether it was trained on shuffled labels but, by an older version, judged by the true ones."""
    return has_shuffled_labels(run) and not could_fail(run.record.head.settings)


def has_reshuffled_folds(run: Run) -> bool:
    """Whether its folds are not the data set's, but drawn clip by clip without regard to recordings."""
    return run.record.head.settings.get("control") == RESHUFFLED_FOLDS


def has_random_weights(run: Run) -> bool:
    """Whether a backbone with random weights, even one of several, was probed: the yardstick of pretraining."""
    return run.record.kind == "probe" and "random" in weights_of(run)


def has_no_weights(run: Run) -> bool:
    """Whether nothing was learnt before the head, as in statistics of a spectrogram: neither pretrained nor random."""
    return set(weights_of(run)) == {"none"}


def is_untrained(run: Run) -> bool:
    """Whether every network of a probed run has random weights, so that its head alone has learnt."""
    return has_random_weights(run) and set(weights_of(run)) <= {"random", "none"}


def is_trained_from_scratch(run: Run) -> bool:
    """Whether the network was trained whole, in each fold, from random weights."""
    return run.record.kind == "finetune" and "random" in weights_of(run)


def is_trained_as(run: Run, published: Published) -> bool:
    """Whether it is a published model, trained again by its recipe unchanged."""
    settings = run.record.head.settings
    named = bool(published.recipe) and settings.get("recipe") == published.recipe
    named = named and run.record.backbone.name == published.backbone
    added = any(name.startswith(("augment.", "choose.")) for name in settings)
    same = not added and all(settings.get(name, value) == value for name, value in published.training.items())
    return is_trained_from_scratch(run) and named and same


def is_imported(run: Run) -> bool:
    """Whether its predictions were made elsewhere, by a model of which nothing more is known."""
    return run.record.kind == "import"


def has_other_folds(run: Run) -> bool:
    """Whether it was imported with folds that aren't the data's, or with none: its model may know the clips."""
    return run.record.imported is not None and run.record.imported.folds != "same"


def lacks_clips(run: Run) -> bool:
    """Whether it was imported without predictions of clips that can be read."""
    return run.record.imported is not None and run.record.imported.missing > 0


def is_finetuned_in_folds(run: Run) -> bool:
    """Whether a head was probed on networks that were fine-tuned in each fold: neither frozen nor one."""
    return run.record.kind == "probe" and run.record.backbone.finetuned is not None


def is_carried_over(run: Run) -> bool:
    """Whether the network went on from fold to fold, as in the notes: trained on clips that it was then tested on."""
    return run.record.head.settings.get("carry_over") is True


def leaves_leaks_out(run: Run) -> bool:
    """Whether training clips were left out whose recording is also tested: where there are none, it is a run as any."""
    asked = run.record.head.settings.get("exclude_leaks") is True
    return asked and any(scores.chosen.get("excluded_clips", 1) for scores in run.folds)


def tag_of(run: Run) -> str:
    """What must be said of a run, in a few words; empty for an honest run on pretrained weights."""
    weights = set(weights_of(run)) - {"none"}
    found = []
    if imported := run.record.imported:
        found.append("imported")
        if imported.folds != "same":
            found.append("its folds are not the data's" if imported.folds == "other" else "its folds are not known")
        if imported.missing:
            found.append(f"without {plural(imported.missing, 'clip')}")
    if is_carried_over(run):
        found.append("carried over from fold to fold: contaminated")
    if has_shuffled_labels(run):
        found.append(f"shuffled labels: control{' that could not fail' * could_not_fail(run)}")
    if has_reshuffled_folds(run):
        found.append("reshuffled folds: control")
    if has_random_weights(run):
        found.append("random weights: control" if weights == {"random"} else "random weights in part: control")
    elif (networks := run.record.backbone.finetuned) is not None and is_finetuned_in_folds(run):
        how = "trained from scratch" if networks.start.startswith("random") else "fine-tuned"
        found.append(f"{how} in each fold")
    elif "random" in weights:
        found.append("random start: trained from scratch")
    elif "file" in weights:
        found.append("weights from a file")
    elif not weights and not is_protocol_control(run):
        found.append("baseline: nothing learnt")
    backbone = run.record.backbone
    several = "+" in backbone.name
    each = [backbone.settings.get(name) if several else backbone.settings for name in networks_of(run)]
    precisions = sorted({str(one.get("precision", "fp32")) if isinstance(one, dict) else "fp32" for one in each})
    part = " in part" if len(precisions) > 1 else ""
    found += [f"network in {precision}{part}" for precision in precisions if precision != "fp32"]
    settings = run.record.backbone.settings
    found += [f"{name}: {settings[name]}" for name in ("layers", "pool") if settings.get(name)]
    if leaves_leaks_out(run):
        found.append("leaking training clips left out")
    return "; ".join(found)
