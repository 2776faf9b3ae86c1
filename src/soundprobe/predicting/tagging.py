"""A backbone's own classifier as a predictor: AudioSet's tags of any recording, with no training and no run."""

from __future__ import annotations

from pathlib import Path

from soundprobe.audio.decode import check_channels
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.spec import PRETRAINED
from soundprobe.base.machine import check_device_name, choose_device
from soundprobe.embeddings.needed import check_may_fetch
from soundprobe.predicting.predictor import Member, Predictor

TAGGING = "mn04"
"""The backbone that tags where none is named: as good as CNN14, at an 80th of its size."""


def check_tagger(backbone: str, weights: str | Path | None) -> None:
    """Whether there are such tags, and weights for them, as far as can be told without torch.

    Raises:
        ConfigError, WeightsError: see `Backbones.tagging`; or the published weights may not be fetched.
    """
    spec = BACKBONES.tagging(backbone, weights)
    if spec.weights is not None and weights in (None, PRETRAINED):
        check_may_fetch(backbone, spec.weights, instead="")


def load_tagger(
    backbone: str = TAGGING,
    *,
    weights: str | Path | None = None,
    channels: str | None = None,
    device: str = "auto",
    progress: bool = True,
) -> Predictor:
    """The tags that a backbone was trained on, to be asked as a run's heads are.

    Args:
        backbone: "mn04", "panns", "ast", or another that has tags.
        weights: "pretrained" (the default) or the published file's path.
        channels: what becomes of a clip's: "mean" (the default), "first" or "loudest".

    Raises:
        ConfigError: the backbone has no tags. WeightsError: the weights can't be had, or have no classifier.
    """
    check_device_name(device)
    if channels is not None:
        check_channels(channels)
    check_tagger(backbone, weights)
    from soundprobe.backbones.load import load_backbone
    from soundprobe.backbones.tags import load_tag_head

    head = load_tag_head(backbone, weights, progress=progress)
    network = load_backbone(backbone, weights=weights, shortcuts=False, progress=progress)
    return Predictor(
        Path(backbone), head.names, (Member((network,), (head,)),), choose_device(device), channels, multilabel=True
    )
