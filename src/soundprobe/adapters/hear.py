"""A backbone as a module of HEAR 2021's API, for hear-eval-kit and what else takes one.

    python -m heareval.embeddings.runner soundprobe.adapters.hear --model-options '{"backbone": "panns"}'

Where a tool only takes a module's name, three lines of one's own name the backbone:

    from functools import partial
    from soundprobe.adapters.hear import get_scene_embeddings, get_timestamp_embeddings, load_model
    load_model = partial(load_model, backbone="panns")

The API is described at hearbenchmark.com/hear-api.html. Letters: n sounds, T samples, M timestamps, D dimensions.
"""

from __future__ import annotations

import soxr
import torch
from torch import Tensor
from torch.nn.functional import pad

from soundprobe.adapters.embedder import Embedder

RATES_HZ = (16_000, 22_050, 32_000, 44_100, 48_000)
"""What a model may ask for."""
HOP_S, WINDOW_S = 0.05, 1.0
"""Of a backbone without frames: how often it is asked, as HEAR advises, and what it then hears, in one-second steps."""
WINDOWS_AT_ONCE = 64


class HearModel(Embedder):
    """What `load_model` gives.

    Attributes:
        sample_rate: in Hz, of the audio that it wants: the backbone's own, or where HEAR doesn't have that, 48 kHz.
        scene_embedding_size, timestamp_embedding_size: D of the two kinds.
    """

    def __init__(self, backbone: str, weights: str | None) -> None:
        super().__init__(backbone, weights)
        own_hz, frames = self.spec.sample_rate_hz, self.spec.frames
        self.sample_rate = own_hz if own_hz in RATES_HZ else 48_000
        self.scene_embedding_size = self.spec.embedding_dim
        self.timestamp_embedding_size = frames.columns if frames else self.spec.embedding_dim

    def at_own_rate(self, audio: Tensor) -> Tensor:
        """(n, T) at `sample_rate` to (n, T) at the backbone's rate, as `extract` resamples."""
        if self.sample_rate == self.spec.sample_rate_hz:
            return audio
        waves = audio.float().cpu().numpy().T
        return torch.from_numpy(soxr.resample(waves, self.sample_rate, self.spec.sample_rate_hz).T).to(audio.device)


def load_model(model_file_path: str = "", backbone: str = "mn04") -> HearModel:
    """A backbone with its pretrained weights, or those of a file.

    Args:
        model_file_path: as `--weights`; "" takes the published ones.
        backbone: as `--backbone`.

    Raises:
        SoundprobeError: either can't be had.
    """
    return HearModel(backbone, model_file_path or None)


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """(n, T) in [-1, 1] at `model.sample_rate` to (n, D) float32; sounds longer than the backbone takes are cut."""
    return model.embed(model.at_own_rate(audio))


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """(n, T) in [-1, 1] at `model.sample_rate` to (n, M, D) float32 and the centres in ms, (n, M).

    Those are the backbone's frames, or where it has none what it makes of a second of audio, every 50 ms.
    """
    waves = model.at_own_rate(audio)
    spec, samples = model.spec, waves.shape[1]
    if spec.frames is not None:
        embedded, times_s = model.embed_frames(waves), spec.frame_times_s(samples)
    else:
        hop, window = round(HOP_S * spec.sample_rate_hz), round(WINDOW_S * spec.sample_rate_hz)
        windows = pad(waves, (window // 2, window)).unfold(1, window, hop)[:, : samples // hop + 1]  # (n, M, window)
        parts = [model.embed(some) for some in windows.flatten(0, 1).split(WINDOWS_AT_ONCE)]
        embedded = torch.cat(parts).unflatten(0, windows.shape[:2])
        times_s = [number * hop / spec.sample_rate_hz for number in range(windows.shape[1])]
    return embedded, 1000 * torch.tensor(times_s, device=audio.device).expand(len(audio), -1)
