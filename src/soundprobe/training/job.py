"""One fine-tuning run: what its folds share, its key, and how `result.json` describes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from soundprobe.audio.decode import DECODE_VERSION
from soundprobe.augment.catalog import AUGMENTATIONS
from soundprobe.augment.compose import Augmentations
from soundprobe.backbones.load import LoadedBackbone
from soundprobe.base.files import digest_key, path_name
from soundprobe.base.machine import device_in_key, half_type, made_by, of_all_folds
from soundprobe.base.records import Clips
from soundprobe.base.registry import code_of
from soundprobe.data.scan import Scan
from soundprobe.scoring.folds import PROTOCOL_VERSION
from soundprobe.training.fold_training import NetworkPlan
from soundprobe.training.recipes import FinetuneRecipe, flattened


@dataclass(frozen=True, eq=False)
class FinetuneJob:
    """One run: everything that its folds share. `backbone_key` is that of the backbone's frozen embeddings.

    `recipe_name` is what the recipe is called, without folder and ending; nothing is computed from it.
    """

    recipe: FinetuneRecipe
    recipe_name: str
    augmentations: Augmentations
    clips: Clips
    scanned: Scan
    data_digest: str
    model: LoadedBackbone
    backbone_key: str
    plan: NetworkPlan
    initial_sha256: str
    opened_as: dict[str, Any] | None
    carry_over: bool
    device: str
    command: str

    @property
    def key(self) -> str:
        """Of everything that the results depend on and the backbone's own key doesn't cover."""
        return digest_key(
            {
                "settings": flattened(self.recipe),
                "augment": self.augmentations.tables(),
                **self._code_of_augmentations(),
                "seed": self.plan.seed,
                "initial_sha256": self.initial_sha256,
                "carry_over": self.carry_over,
                "mixed_precision": self._mixed_precision(),  # the recipe's wish is met on some machines only
                **device_in_key(torch.device(self.device).type),
                "protocol": PROTOCOL_VERSION,
                "decode_version": DECODE_VERSION,
            }
        )

    def _code_of_augmentations(self) -> dict[str, Any]:
        """Of other packages' augmentations only, so that keys from before there were any stay."""
        code = {name: code_of(AUGMENTATIONS[name].target) for name in self.recipe.augment}
        return {"augment_code": code} if any(code.values()) else {}

    def folder(self, root: Path) -> Path:
        backbone = f"{path_name(self.model.spec.name)}-{self.backbone_key}"
        return root / path_name(self.clips.name) / backbone / f"finetune-{self.key}"

    def describe_dataset(self) -> dict[str, Any]:
        return self.clips.describe(self.data_digest, self.opened_as)

    def describe_backbone(self) -> dict[str, Any]:
        """The `backbone` field of result.json, as a feature set writes it."""
        return {
            **self.model.describe(),
            "key": self.backbone_key,
            "seconds_per_clip": None,
            "device": self.device,
            "commands": [of_all_folds(self.command)],
        }

    def _mixed_precision(self) -> str | None:
        """The 16-bit type that was trained with, or None."""
        half = half_type(torch.device(self.device)) if self.recipe.training.mixed_precision else None
        return None if half is None else str(half).removeprefix("torch.")

    def describe_run(
        self, failures: list[str], sound_notes: list[str], threads: list[int], seconds: float
    ) -> dict[str, Any]:
        recipe = self.recipe
        start = "linear head from the probe" if recipe.head.init == "probe" else "linear head"
        carried = ", CARRIED OVER from fold to fold: contaminated" if self.carry_over else ""
        return {
            "kind": "finetune",
            "dataset": {
                **self.describe_dataset(),
                "failed": len(failures),
                "left_out": failures,
                **({"sound_notes": sound_notes} if sound_notes else {}),
            },
            "backbone": self.describe_backbone(),
            "head": {
                "name": "finetune-carry-over" if self.carry_over else "finetune",
                "title": start + carried,
                "settings": {
                    "recipe": self.recipe_name,
                    **flattened(recipe),
                    **({"carry_over": True} if self.carry_over else {}),
                },
                "seed": self.plan.seed,
                "key": self.key,
            },
            "device": self.device,
            "mixed_precision": self._mixed_precision(),
            "threads": threads,
            **made_by(self.command),
            "seconds": round(seconds, 3),
        }
