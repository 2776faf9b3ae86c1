"""The augmentations by name. Imports no torch; an augmentation's module is imported when one is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from soundprobe.augment.settings import typed_settings
from soundprobe.base.registry import Registry, resolve

Stage = Literal["wave", "spectrogram", "batch"]


@dataclass(frozen=True)
class AugmentationSpec:
    """What an augmentation is, apart from its code.

    Attributes:
        name: the key in the catalogue and in recipes.
        title: how tables name it.
        stage: what it acts on: each clip's "wave", each clip's "spectrogram", or a "batch" of clips and their targets.
        target: "module:Class", imported on use: a frozen dataclass whose fields, all with defaults, are the settings.
        description: one line for lists.
    """

    name: str
    title: str
    stage: Stage
    target: str
    description: str

    def load(self) -> Any:
        """The augmentation's class."""
        return resolve(self.target, f"augmentation {self.name!r}")


AUGMENTATIONS = Registry(
    "augmentation",
    "soundprobe.augmentations",
    (
        AugmentationSpec(
            name="time_shift",
            title="Time shift",
            stage="wave",
            target="soundprobe.augment.time_shift:TimeShift",
            description="the clip starts earlier or later; what leaves it comes back at the other end, or is lost",
        ),
        AugmentationSpec(
            name="gain",
            title="Gain",
            stage="wave",
            target="soundprobe.augment.gain:Gain",
            description="louder or quieter by some dB",
        ),
        AugmentationSpec(
            name="pitch_shift",
            title="Pitch shift",
            stage="wave",
            target="soundprobe.augment.pitch_shift:PitchShift",
            description="higher or lower by some semitones, at the same speed",
        ),
        AugmentationSpec(
            name="background_noise",
            title="Background noise",
            stage="wave",
            target="soundprobe.augment.background_noise:BackgroundNoise",
            description="another training recording, or one of a folder, heard beside it at a drawn SNR",
        ),
        AugmentationSpec(
            name="spec_augment",
            title="SpecAugment",
            stage="spectrogram",
            target="soundprobe.augment.spec_augment:SpecAugment",
            description="masks some mel bands and some frames",
        ),
        AugmentationSpec(
            name="mixup",
            title="Mixup",
            stage="batch",
            target="soundprobe.augment.mixup:Mixup",
            description="weighted means of two clips and of their targets",
        ),
    ),
)


def make_augmentation(name: str, **settings: Any) -> Any:
    """An augmentation of the catalogue.

    Args:
        name: a key of `AUGMENTATIONS`.
        settings: its fields, as they come from TOML; what is left out keeps its default.

    Raises:
        ConfigError: the name or a setting is unknown, or a value is of the wrong type or out of range.
    """
    kind = AUGMENTATIONS[name].load()
    return kind(**typed_settings(name, kind, settings))
