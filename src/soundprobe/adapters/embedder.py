"""A backbone with its weights as one PyTorch module, as other kits hold a model.

Letters: B clips, T samples, M frames, D the embedding's dimension or the frames' own.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from soundprobe.backbones.load import load_backbone
from soundprobe.base.machine import exactly
from soundprobe.embeddings.forward import embed_waves, stacked


class Embedder(nn.Module):
    """Waves of one length, on any device, to embeddings there: of the clips, or frame by frame.

    Args:
        backbone: as `--backbone`; weights: as `--weights`.

    Raises:
        SoundprobeError: either can't be had.
    """

    def __init__(self, backbone: str, weights: str | Path | None = None) -> None:
        super().__init__()
        self.loaded = load_backbone(backbone, weights=weights)
        self.spec, self.network = self.loaded.spec, self.loaded.network
        self.longest = self.loaded.input_samples(self.spec.max_seconds)

    def embed(self, waves: Tensor) -> Tensor:
        """(B, T) in [-1, 1] at the backbone's rate to (B, D) float32, those of `extract`: longer clips are cut."""
        self.network.to(waves.device)
        batch, lengths = stacked(list(waves.float().cpu().numpy()), self._padded(waves.shape[1]))
        return torch.from_numpy(embed_waves(self.network, batch, lengths, waves.device)).to(waves.device)

    def embed_frames(self, waves: Tensor) -> Tensor:
        """(B, T) to (B, M, D) float32, at `spec.frame_times_s(T)`; of a backbone whose spec has `frames`.

        A clip that is longer than the network takes goes in in pieces, whose frames follow each other as evenly.
        """
        frames = self.spec.frames
        assert frames is not None
        self.network.to(waves.device)
        count, at_once = frames.count(waves.shape[1]), frames.count(self.longest)
        parts = []
        for first in range(0, count, at_once):
            piece = waves[:, first * frames.hop :][:, : self.longest].float()
            lengths = torch.full((len(piece),), piece.shape[1], device=piece.device)
            padding = self._padded(piece.shape[1]) - piece.shape[1]
            with torch.inference_mode(), exactly(waves.device):
                embedded = self.network.embed_frames(nn.functional.pad(piece, (0, padding)), lengths)
            parts.append(embedded[:, : frames.count(piece.shape[1])].float())
        return torch.cat(parts, dim=1)

    def _padded(self, samples: int) -> int:
        return self.loaded.input_samples(samples / self.spec.sample_rate_hz)
