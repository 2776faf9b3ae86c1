"""An encoder of MTEB's protocol, as somebody writes one: loudness and brightness of clips at 8 kHz."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from huggingface_hub import hf_hub_download
from mteb.models import ModelMeta
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.modality_collators import AudioCollator
from torch import nn


class BandsEncoder(AbsEncoder):
    def __init__(self, model_name: str, revision: str | None = None, *, device: str = "cpu", **kwargs: Any) -> None:
        self.device, self.sampling_rate = device, 8000
        self.network = nn.Linear(16, 12)

    def encode(self, inputs: Any, **kwargs: Any) -> np.ndarray:
        assert "audio" in inputs.dataset.features
        inputs.collate_fn = AudioCollator(target_sampling_rate=self.sampling_rate)
        rows = []
        for batch in inputs:
            for one in batch["audio"]:
                power = np.abs(np.fft.rfft(one["array"]))[: 16 * (len(one["array"]) // 32)].reshape(16, -1).mean(axis=1)
                rows.append(self.network(torch.from_numpy(np.log(power + 1e-6)).float()).detach().numpy())
        return np.stack(rows)


def fetched(model_name: str, revision: str | None = None, **kwargs: Any) -> Any:
    return hf_hub_download(model_name, "model.safetensors")


META = ModelMeta.create_empty({"name": "mteb/baseline-bands", "loader": BandsEncoder, "modalities": ["audio"]})
TEXT = META.model_copy(update={"modalities": ["text"]})
REMOTE = META.model_copy(update={"loader_kwargs": {"trust_remote_code": True}})
FETCHED = META.model_copy(update={"loader": fetched})
