"""One head on one feature set with one seed: what `probe` scores in folds and `fit` trains on all clips."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.base.errors import ConfigError
from soundprobe.base.files import digest_key
from soundprobe.base.machine import device_in_key
from soundprobe.base.records import Embeddings
from soundprobe.base.registry import code_of, own_code
from soundprobe.embeddings.sets import FeatureSet, read_features
from soundprobe.heads.catalog import HEADS, make_head
from soundprobe.scoring.folds import PROTOCOL_VERSION
from soundprobe.scoring.protocol_controls import settings_of


@dataclass(frozen=True)
class Plan:
    """One head on one feature set with one seed.

    Attributes:
        settings: of the head, as the user gave them; exclude_leaks, control: see `soundprobe.verbs.probe.probe`.
        device: on which it is trained, where it can be.
    """

    features: FeatureSet
    head: str
    seed: int
    settings: Mapping[str, Any]
    exclude_leaks: bool
    control: str | None = None
    device: str = "cpu"

    def check(self) -> None:
        """Raises ConfigError where a setting is wrong, before anything is read."""
        if HEADS[self.head].takes_frames and not self.features.frame_columns:
            raise ConfigError(
                f"Head {self.head} pools frames, and {self.features.name}'s embeddings have none. Make some: "
                f"soundprobe extract --frames --backbone {self.features.sets[0].backbone}"
            )
        make_head(self.head, seed=0, **self.head_settings)

    def read(self, into: Path | None = None) -> tuple[Embeddings, list[str]]:
        """What the head takes of the clips, and the ids that are left out; see `read_features`."""
        return read_features(self.features, HEADS[self.head].takes_frames, into=into)

    @property
    def head_settings(self) -> dict[str, Any]:
        """What the head is made with, besides name and seed."""
        return {
            **self.settings,
            **({"columns": self.features.layers} if self.features.layers else {}),
            **({"frame_columns": self.features.frame_columns} if HEADS[self.head].takes_frames else {}),
        }

    @property
    def on_device(self) -> dict[str, Any]:
        """What a head that is to be trained is made with, besides."""
        return {"device": self.device} if HEADS[self.head].has_device else {}

    @property
    def trained_on(self) -> str:
        """The device's type: of heads that know the CPU only "cpu", whatever was asked for."""
        return self.device if HEADS[self.head].has_device else "cpu"

    @property
    def head_key(self) -> str:
        """A digest of everything that a run depends on besides its embeddings' key."""
        head = make_head(self.head, seed=self.seed, **self.head_settings)
        added = getattr(getattr(head, "head", head), "added", {})
        params = {
            name: value
            for name, value in head.get_params(deep=False).items()
            if name != "device" and not (name in added and value == added[name])
        }
        return digest_key({"params": params, **self._besides_params})

    @property
    def asked(self) -> str | None:
        """A digest of all that `head_key` hangs on which needs no import of the head, nor of scikit-learn: equal ones
        have equal keys. None of settings that JSON can't hold.
        """
        given = {"settings": self.head_settings, "seed": self.seed, "heads_sha256": own_code("heads")}
        try:
            return digest_key({**given, **self._besides_params})
        except (TypeError, ValueError):
            return None

    @property
    def _besides_params(self) -> dict[str, Any]:
        return {
            "head": self.head,
            **code_of(HEADS[self.head].target),
            "protocol": PROTOCOL_VERSION,
            "exclude_leaks": self.exclude_leaks,
            **settings_of(self.control),
            **device_in_key(self.trained_on),
            # A set's key names the clips that were asked for; these are the ones that it lacks.
            **({"failed": self.features.failed} if self.features.failed else {}),
        }

    def about(self, clips: Embeddings) -> dict[str, Any]:
        """What a trained head belongs to: the content of a `scoring.run_records.HeadOriginRecord`."""
        return {
            "backbone": self.features.describe(),
            "class_names": list(clips.class_names),
            "head": self.head,
            "dataset": self.features.dataset,
            "clip_s": round(float(np.median(clips.columns["duration_s"])), 2),
            **code_of(HEADS[self.head].target),
        }


def with_copies_joined(embeddings: Embeddings) -> Embeddings:
    """`embeddings` with recordings that hold clips of the same bytes under one name, where digests are known."""
    digests = embeddings.columns.get("audio_sha256")
    if digests is None:
        return embeddings
    from soundprobe.scoring.copies import join_copies

    return dataclasses.replace(embeddings, groups=join_copies(embeddings.groups, digests))
