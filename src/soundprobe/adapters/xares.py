"""A backbone as an encoder of X-ARES.

Its runner takes a file in which one name ends with "Encoder", and files results under that class's name:

    from soundprobe.adapters import xares

    class PannsEncoder(xares.BackboneEncoder):
        backbone = "panns"

Letters: B clips, T samples, M frames, D their dimension.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from torch import Tensor

from soundprobe.adapters.embedder import Embedder


class BackboneEncoder(Embedder):
    """(B, T) in [-1, 1] at `sampling_rate` to (B, M, D) float32: the backbone's frames, or else one embedding a clip.

    Attributes:
        backbone: as `--backbone`; weights: as `--weights`.
        sampling_rate: in Hz; output_dim: D; hop_size_in_ms: from frame to frame, or without frames the longest clip.
    """

    backbone: ClassVar[str] = "mn04"
    weights: ClassVar[str | Path | None] = None

    def __init__(self) -> None:
        super().__init__(self.backbone, self.weights)
        frames = self.spec.frames
        self.sampling_rate = self.spec.sample_rate_hz
        self.output_dim = frames.columns if frames else self.spec.embedding_dim
        self.hop_size_in_ms = 1000 * (frames.hop if frames else self.longest) / self.sampling_rate

    def forward(self, audio: Tensor) -> Tensor:
        """As the class has it."""
        return self.embed_frames(audio) if self.spec.frames else self.embed(audio).unsqueeze(1)
