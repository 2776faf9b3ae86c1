"""Audio Spectrogram Transformer (Gong et al. 2021, arXiv 2104.01778) as fine-tuned on AudioSet, without its classifier.

Layers from transformers; the front end is our own, batched, and equals transformers' ASTFeatureExtractor (tested).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchaudio.compliance.kaldi import get_mel_banks
from transformers import ASTConfig, ASTModel

from soundprobe.backbones.fast.ast_layers import TOKENS, prepare_ast, through_layers
from soundprobe.backbones.fast.shortcuts import may_shortcut
from soundprobe.backbones.melspectrogram import FramePower, full_precision
from soundprobe.backbones.protocol import SpectrogramBackbone, tensors_of

SAMPLE_RATE_HZ = 16_000
FRAME = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
N_FFT = 512
MEL_BANDS = 128
MEAN, STD = -4.2677393, 4.5689974  # of AudioSet's filter bank, from the model's preprocessor_config.json
PREEMPHASIS = 0.97
FULL_SECONDS = 10.24
PATCH, STRIDE = 16, 10  # frames or mel bands
FULL_FRAMES = 1024
CLASSES = 527

RENAMED = (
    (r"^audio_spectrogram_transformer\.", ""),
    (r"^encoder\.layer\.", "layers."),
    (r"\.attention\.attention\.query\.", ".attention.q_proj."),
    (r"\.attention\.attention\.key\.", ".attention.k_proj."),
    (r"\.attention\.attention\.value\.", ".attention.v_proj."),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
)
"""The published file has the names of transformers 4; these turn them into those of transformers 5."""


def config() -> ASTConfig:
    """The pinned model's shape, in full, so that nothing is asked of the Hub and no default can change it."""
    return ASTConfig(
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        hidden_act="gelu",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.02,
        layer_norm_eps=1e-12,
        patch_size=PATCH,
        qkv_bias=True,
        frequency_stride=STRIDE,
        time_stride=STRIDE,
        max_length=FULL_FRAMES,
        num_mel_bins=MEL_BANDS,
        attn_implementation="sdpa",
    )


class KaldiPower(FramePower):
    """Wave (B, T) to power (B, M, 257) of frames without their mean, with pre-emphasis, under a Hann window."""

    window: Tensor

    def __init__(self) -> None:
        super().__init__(width=FRAME, hop=HOP)
        self.register_buffer("window", torch.hann_window(FRAME, periodic=False), persistent=False)

    def spectrum(self, frames: Tensor) -> Tensor:
        frames = frames - frames.mean(dim=-1, keepdim=True)
        before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        return torch.fft.rfft((frames - PREEMPHASIS * before) * self.window, n=N_FFT)

    def forward(self, wave: Tensor) -> Tensor:
        if self.kernel is not None:
            return self.convolved(wave).transpose(1, 2)
        return self.spectrum(wave.unfold(1, FRAME, HOP)).abs().square()


class Ast(SpectrogramBackbone):
    """AST's embedding: the mean of the [CLS] and distillation tokens after the last LayerNorm.

    Letters: B clips, T samples, F = 128 mel bands, M frames, P patches, D = 768.

    A clip shorter than `clip_seconds` is padded as the authors do: not with silence but with zeros in the filter bank
    before it is normalised. What is audio and what is padding is told by `lengths`, or by a wave that ends early.

    With `clip_seconds` below 10.24 the transformer sees fewer patches, and the position embeddings are cut along time
    to the middle columns of the learnt 12 x 101 grid: columns 50 - t // 2 to 50 - t // 2 + t for t columns, as in the
    authors' code (src/models/ast_models.py of YuanGongND/ast). The weights are the same ones for every length.

    Random weights are those of transformers, but with tokens and positions from a normal distribution of std 0.02,
    as in the authors' code, instead of zeros: with zeros the network could not tell time from frequency.

    Inference on a CPU computes the last layer for the two tokens only, with weights laid out for oneDNN.
    `allow_shortcuts(False)` keeps it from that.

    Args:
        clip_seconds: the length of the input in seconds, 0.16 to 10.24; None means 10.24.
    """

    mel_basis: Tensor
    kept_positions: Tensor

    def __init__(self, *, clip_seconds: float | None = None) -> None:
        super().__init__(prepare_ast)
        seconds = FULL_SECONDS if clip_seconds is None else clip_seconds
        self.samples = round(seconds * SAMPLE_RATE_HZ)
        self.frames = round(seconds * SAMPLE_RATE_HZ / HOP)  # 1,024 for 10.24 s, though only 1,022 have audio
        self.ast = ASTModel(config())
        for name in ("cls_token", "distillation_token", "position_embeddings"):
            nn.init.normal_(getattr(self.ast.embeddings, name), std=0.02)
        banks, _ = get_mel_banks(MEL_BANDS, N_FFT, float(SAMPLE_RATE_HZ), 20.0, 0.0, 100.0, -500.0, 1.0)
        self.register_buffer("mel_basis", nn.functional.pad(banks, (0, 1)), persistent=False)  # (F, 257)
        self.power = KaldiPower()
        self.register_buffer("kept_positions", kept_positions(self.frames), persistent=False)

    def spectrogram(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Wave (B, T), T up to `clip_seconds`, to the normalised Kaldi filter bank (B, F, M).

        Args:
            wave: float32 in [-1, 1] at 16 kHz.
            lengths: (B,) int64, samples of each row that are audio; None means all T. A clip under 25 ms has one frame.

        Raises:
            ValueError: the wave is longer than `clip_seconds`.
        """
        if wave.shape[1] > self.samples:
            raise ValueError(f"ast was built for {self.samples} samples, not {wave.shape[1]}; cut the wave first.")
        with full_precision(wave):
            audio = wave.shape[1] if lengths is None else lengths[:, None, None]
            # At least one window, so that the shortest clip still has a frame.
            wave = nn.functional.pad(wave.float(), (0, max(0, FRAME - wave.shape[1])))
            bank = self._filter_bank(wave)  # (B, F, frames that have audio)
            bank = nn.functional.pad(bank, (0, self.frames - bank.shape[2]))
            frame = torch.arange(self.frames, device=wave.device)
            heard = (frame * HOP + FRAME <= audio) | (frame == 0)  # whole windows only, as Kaldi's snip_edges
            return (torch.where(heard, bank, 0.0) - MEAN) / (2 * STD)

    def _filter_bank(self, wave: Tensor) -> Tensor:
        """Kaldi's log filter bank, Hann window, no dither: (B, T) to (B, F, 1 + (T - 400) // 160)."""
        mel = self.power(wave) @ self.mel_basis.T
        return mel.clamp(min=torch.finfo(torch.float32).eps).log().transpose(1, 2)

    def embed_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Filter bank (B, F, M) to embeddings (B, D)."""
        return self._tokens(spectrogram, TOKENS)[:, :TOKENS].mean(dim=1)

    def frame_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Filter bank (B, F, M) to the mean over frequency of each column of patches, (B, (M - 16) // 10 + 1, D)."""
        patches = self._tokens(spectrogram, None)[:, TOKENS:]  # frequency by frequency
        return patches.unflatten(1, ((MEL_BANDS - PATCH) // STRIDE + 1, -1)).mean(dim=1)

    def _tokens(self, spectrogram: Tensor, read: int | None) -> Tensor:
        """(B, n, D) after the last LayerNorm, n at least `read`; of all tokens where that is None."""
        inputs = self.ast.embeddings
        patches = inputs.patch_embeddings.projection(spectrogram.unsqueeze(1)).flatten(2).transpose(1, 2)  # (B, P, D)
        batch = spectrogram.shape[0]  # len() would fix it in an exported graph
        tokens = [inputs.cls_token.expand(batch, -1, -1), inputs.distillation_token.expand(batch, -1, -1)]
        hidden = torch.cat([*tokens, patches], dim=1) + inputs.position_embeddings[:, self.kept_positions]
        if may_shortcut(self, hidden):
            hidden = through_layers(self.prepared.of(self.ast), hidden, read=read)
        else:
            for layer in self.ast.layers:
                hidden = layer(hidden)
        return self.ast.layernorm(hidden[:, :read])

    @classmethod
    def tag_head(cls, tensors: Mapping[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
        """Embeddings (B, D) to logits (B, 527), and the layers' tensors in the published file."""
        layers = nn.Sequential(nn.LayerNorm(768, eps=1e-12), nn.Linear(768, CLASSES))
        return layers, tensors_of({"0": "classifier.layernorm", "1": "classifier.dense"}, tensors)

    @classmethod
    def convert(cls, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        """The published file's tensors under this module's names, without the classifier's.

        This module's own state dict passes unchanged.
        """
        own: dict[str, Any] = {}
        for name, tensor in state_dict.items():
            if name.startswith("classifier."):
                continue
            for pattern, replacement in RENAMED:
                name = re.sub(pattern, replacement, name)
            own[name if name.startswith("ast.") else f"ast.{name}"] = tensor
        return own


def kept_positions(frames: int) -> Tensor:
    """(2 + P,) int64: which of the learnt position embeddings an input of `frames` frames uses."""
    bands, columns = ((n - PATCH) // STRIDE + 1 for n in (MEL_BANDS, FULL_FRAMES))  # 12, 101
    kept = (frames - PATCH) // STRIDE + 1
    first = columns // 2 - kept // 2
    grid = torch.arange(bands * columns).view(bands, columns)[:, first : first + kept]
    return torch.cat([torch.arange(TOKENS), TOKENS + grid.flatten()])
