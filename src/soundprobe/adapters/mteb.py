"""A backbone as an encoder of MTEB (2.22 or newer), for its audio tasks.

    import mteb
    from soundprobe.adapters.mteb import BackboneEncoder

    results = mteb.evaluate(BackboneEncoder("mn04"), mteb.get_tasks(tasks=["ESC50"]))

Sounds are decoded and resampled as by `extract`, so MTEB needs neither torchcodec nor FFmpeg here.

Letters: N clips, D the embedding's dimension.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.audio.from_python import sources_of
from soundprobe.backbones.load import load_backbone
from soundprobe.base.errors import ConfigError
from soundprobe.base.files import path_name
from soundprobe.base.machine import choose_device
from soundprobe.embeddings.sounds import embed_sounds

try:
    from mteb.models import ModelMeta
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ScoringFunction
except ImportError:
    raise ConfigError("The adapter to MTEB needs mteb 2.22 or newer: pip install 'soundprobe[mteb]'.") from None


class BackboneEncoder(AbsEncoder):
    """MTEB's `EncoderProtocol`, audio only; similarity is the cosine.

    MTEB files results under the name and revision of `mteb_model_meta`: the backbone, and its weights' digest.

    Args:
        model_name: as `--backbone`; revision: MTEB's, not used, since weights are pinned by digest.
        device: "cpu", "cuda", "mps", or None for the best that there is.
        weights: as `--weights`.

    Raises:
        SoundprobeError: the backbone or its weights can't be had.
    """

    def __init__(
        self,
        model_name: str,
        revision: str | None = None,
        *,
        device: str | None = None,
        weights: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        self.device = choose_device(device or "auto")
        self.model = load_backbone(model_name, weights=weights)
        self.model.network.to(self.device)
        spec, info = self.model.spec, self.model.weights
        self.mteb_model_meta = ModelMeta.create_empty(
            {
                "name": f"soundprobe/{path_name(spec.name)}",
                "revision": info.sha256,
                "n_parameters": spec.parameters,
                "embed_dim": spec.embedding_dim,
                "framework": ["PyTorch"],
                "similarity_fn_name": ScoringFunction.COSINE,
                "modalities": ["audio"],
            }
        )

    def encode(self, inputs: Any, **kwargs: Any) -> np.ndarray:
        """(N, D) float32 of the clips of MTEB's DataLoader, by its batches.

        Raises:
            SoundprobeError: its data set has no column "audio", or a clip can't be decoded.
        """
        from datasets import Audio

        clips = inputs.dataset
        if "audio" not in clips.features:
            found = ", ".join(clips.features)
            raise ConfigError(f"{self.model.spec.name} hears only: it needs a column 'audio', and there are {found}.")
        if isinstance(clips.features["audio"], Audio):
            clips = clips.cast_column("audio", Audio(decode=False))  # bytes, which we decode
        sounds = clips["audio"]
        parts = [
            embed_sounds(self.model, sources_of(sounds[at : at + inputs.batch_size]), self.device)
            for at in range(0, len(sounds), inputs.batch_size)
        ]
        return np.concatenate(parts)
