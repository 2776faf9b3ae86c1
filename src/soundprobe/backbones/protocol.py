"""The contract of a backbone: what its class offers to everybody who uses it.

What goes in (the rate, the lengths) and what it may be used for (precisions, training) its `BackboneSpec` says as data.

Letters: B clips, T samples, F mel bands, M frames, S segments of a clip (1 for most), D the embedding's dimension.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from soundprobe.backbones.fast.shortcuts import Prepared
from soundprobe.base.errors import ConfigError


@runtime_checkable
class Backbone(Protocol):
    """Waves to embeddings. Its constructor takes the keyword `clip_seconds` (float or None).

    A class that inherits from this one has all but `embed` already, as something without weights on the CPU. With
    weights of its own `state_dict()` holds them; with those of `--weights FILE` it has `load_state_dict(tensors)`, too,
    as an `nn.Module` does, and may rename a file's tensors by a classmethod `convert(tensors)`.

    Attributes:
        fills_cores: one batch at a time keeps all cores busy; otherwise several go through `embed` at once, on threads.
    """

    fills_cores: bool = False

    @abstractmethod
    def embed(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Embeddings (B, D) float32, each of which hangs on its own clip only.

        Args:
            waves: (B, T) float32 in [-1, 1] at the spec's rate, on the device of `to`, padded with zeros at the end.
            lengths: (B,) int64, how many samples of each row are the clip's own.
        """

    def embed_frames(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Frames (B, M, D) float32, D the frames' own; of a backbone whose spec has `frames`.

        Of the M frames of T samples a clip has the first `spec.frames.count(length)`, and M is at least that of the
        longest. The others are of padding, and for the caller to cut off.

        Args:
            waves, lengths: as `embed` takes them.
        """
        raise NotImplementedError(f"{type(self).__name__} has no frames")

    def to(self, device: torch.device) -> Any:
        """Moves it to the device; an `nn.Module`'s own will do."""
        return self

    def state_dict(self) -> Mapping[str, Tensor]:
        """The weights: embeddings are filed under their digest. Empty where there is nothing that was learnt."""
        return {}

    def allow_shortcuts(self, allowed: bool) -> None:
        """Whether inference may prepare faster forms of its layers, which repays itself after some dozens of clips."""

    def release(self) -> None:
        """Gives back what inference prepared; the next call prepares it again."""


class SpectrogramBackbone(nn.Module, Backbone):
    """A network on a spectrogram: what fine-tuning, half precision and int8 need of a backbone.

    The two halves are `spectrogram`, which is never trained, and `embed_spectrogram`.

    Attributes:
        prepared: what its shortcuts are made of; shortcuts: see `allow_shortcuts`.

    Args:
        prepare: makes that of the network, where it has shortcuts.
    """

    def __init__(self, prepare: Callable[[nn.Module], Any] | None = None) -> None:
        super().__init__()
        self.prepared: Prepared[Any] = Prepared(prepare)
        self.shortcuts = True

    @abstractmethod
    def spectrogram(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Wave (B, T) float32 to (B, F, M) float32. Without `lengths` all T samples are the clip's own."""

    @abstractmethod
    def embed_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """(B, F, M) to embeddings (B, D)."""

    def frame_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """(B, F, M) to what `embed_frames` gives, where the spec has `frames`."""
        raise NotImplementedError(f"{type(self).__name__} has no frames")

    def embed_segments(self, spectrogram: Tensor) -> Tensor:
        """(B, F, M) to (B, S, D): what a head is trained on where a clip is heard in segments with its label each."""
        return self.embed_spectrogram(spectrogram).unsqueeze(1)

    def votes(self, spectrogram: Tensor) -> Tensor:
        """(B, F, M) to (B, S) float32, rows that sum to 1: how much each segment counts in its clip."""
        return spectrogram.new_ones(len(spectrogram), 1)

    def forward(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Wave (B, T) float32 in [-1, 1] to embeddings (B, D) float32."""
        return self.embed_spectrogram(self.spectrogram(wave, lengths))

    def embed(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """As the contract has it."""
        embedded: Tensor = self(waves, lengths)
        return embedded

    def embed_frames(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """As the contract has it."""
        return self.frame_spectrogram(self.spectrogram(waves, lengths))

    def allow_shortcuts(self, allowed: bool) -> None:
        self.shortcuts = allowed

    def release(self) -> None:
        self.prepared.clear()

    def train(self, mode: bool = True) -> Any:
        """As in PyTorch; training also frees what inference prepared, which may be larger than the network."""
        if mode:
            self.release()
        return super().train(mode)

    @classmethod
    def convert(cls, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        """A file's tensors under this module's names; its own state dict passes unchanged."""
        return dict(state_dict)


def check_rows(embedded: Any, clips: int, network: object, ndim: int = 2) -> Tensor:
    """`embedded`, which is a row of real numbers for each of so many clips.

    Args:
        network: whose `embed` gave it, for the message; ndim: 3 where frames are wanted.

    Raises:
        ConfigError: it is not.
    """
    if not isinstance(embedded, Tensor):
        what = type(embedded).__name__
    elif embedded.ndim == ndim and len(embedded) == clips and not embedded.is_complex():
        return embedded
    else:
        what = f"{embedded.dtype} {tuple(embedded.shape)}"
    raise ConfigError(
        f"{type(network).__name__}.embed gave {what} for {clips} clips, where a float32 tensor "
        f"({clips}, embedding_dim) is needed. Mend its embed."
    )


def tensors_of(layers: Mapping[str, str], tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Of a file's `tensors` the weights and biases of some layers, by their new names; what is missing is left out.

    Args:
        layers: new name -> name in the file.
    """
    return {
        f"{new}.{kind}": tensors[f"{old}.{kind}"]
        for new, old in layers.items()
        for kind in ("weight", "bias")
        if f"{old}.{kind}" in tensors
    }
