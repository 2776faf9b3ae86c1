"""CNN14 of PANNs (Kong et al. 2020, arXiv 1912.10211), with the layers of the package panns_inference.

Importing that package runs wget and writes to the home folder, so only its file of model classes is run, and without
its unused import of matplotlib.pyplot, which would write a font cache to the home folder.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from soundprobe.backbones.fast.cnn14 import SHORTEST, embed_cnn14, prepare_cnn14
from soundprobe.backbones.fast.shortcuts import may_shortcut
from soundprobe.backbones.melspectrogram import PowerSpectrogram, full_precision
from soundprobe.backbones.protocol import SpectrogramBackbone

PACKAGE = "_soundprobe_panns_inference"
"""The name that panns_inference's files get here, so that the user's own `import panns_inference` stays as it is."""

SAMPLE_RATE_HZ = 32_000
N_FFT = 1024
HOP = 320
MEL_BANDS = 64
CLASSES = 527
POWER_FLOOR = 1e-10


class Panns(SpectrogramBackbone):
    """CNN14's embedding: the output of fc1 after its ReLU.

    Letters: B clips, T samples, F = 64 mel bands, M = T // 320 + 1 frames, D = 2048.

    The spectrum is computed by FFT, where the original convolves with the matrix of the transform: the same numbers
    within 1e-4 of the embedding's scale (tested), at a seventh of the cost on a CPU, and never in TF32 on a GPU.

    In training mode the network's own dropout is at work, but not its SpecAugment: augmentation is the training
    loop's business, and would otherwise be done twice.

    Args:
        clip_seconds: nothing depends on it; the network takes any length from 0.31 s.
    """

    mel_basis: Tensor

    def __init__(self, *, clip_seconds: float | None = None) -> None:
        super().__init__(prepare_cnn14)
        self.cnn = cnn14_class()(
            sample_rate=SAMPLE_RATE_HZ,
            window_size=N_FFT,
            hop_size=HOP,
            mel_bins=MEL_BANDS,
            fmin=50,
            fmax=14_000,
            classes_num=CLASSES,
        )
        # Persistent, unlike other front ends' tensors: CNN14's 8 and 16 kHz siblings have layers of the same shapes,
        # and only the shape of this matrix keeps their files from being loaded here.
        mel_basis = self.cnn.get_parameter("logmel_extractor.melW").detach().clone()  # (513, F)
        self.register_buffer("mel_basis", mel_basis)
        self.power = PowerSpectrogram(n_fft=N_FFT, hop=HOP, window=torch.hann_window(N_FFT), pad_mode="reflect")
        self.cnn.spectrogram_extractor = nn.Identity()
        self.cnn.logmel_extractor = nn.Identity()
        self.cnn.spec_augmenter = nn.Identity()

    def spectrogram(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Wave (B, T) to log-mel (B, F, M) in dB. `lengths` is ignored: silence is part of what CNN14 hears."""
        with full_precision(wave):
            mel = self.mel_basis.T @ self.power(wave.float())
            return 10.0 * mel.clamp(min=POWER_FLOOR).log10()

    def embed_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M), M >= 32, to embeddings (B, D)."""
        if spectrogram.shape[2] >= SHORTEST and may_shortcut(self, spectrogram):
            return embed_cnn14(self.prepared.of(self.cnn), spectrogram)
        return self.cnn(spectrogram.transpose(1, 2).unsqueeze(1))["embedding"]  # takes (B, 1, M, F)

    @classmethod
    def convert(cls, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        """The published file's tensors under this module's names. This module's own state dict passes unchanged."""
        inner = state_dict.get("model")
        tensors = inner if isinstance(inner, Mapping) else state_dict
        own: dict[str, Any] = {}
        for name, tensor in tensors.items():
            if name.startswith("spectrogram_extractor."):
                continue  # the transform's matrix, which says nothing that N_FFT does not
            if name == "logmel_extractor.melW":
                name = "mel_basis"
            elif name != "mel_basis" and not name.startswith("cnn."):
                name = f"cnn.{name}"
            own[name] = tensor
        return own


def cnn14_class() -> type[nn.Module]:
    """The class `Cnn14` of panns_inference, without what importing that package would do.

    Raises:
        ModuleNotFoundError: panns_inference is not installed.
    """
    name = f"{PACKAGE}.models"
    if name not in sys.modules:
        found = importlib.util.find_spec("panns_inference")  # finds, and runs nothing
        if found is None or found.origin is None:
            raise ModuleNotFoundError("panns_inference is not installed; run: pip install panns-inference")
        folder = Path(found.origin).parent
        package = ModuleType(PACKAGE)
        package.__path__ = [str(folder)]  # where the model file's relative import looks
        sys.modules[PACKAGE] = package
        sys.modules[name] = _run_without_matplotlib(folder / "models.py", name)
    return sys.modules[name].Cnn14


def _run_without_matplotlib(file: Path, name: str) -> ModuleType:
    tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    tree.body = [node for node in tree.body if not _imports_matplotlib(node)]
    module = ModuleType(name)
    module.__file__ = str(file)
    module.__package__ = PACKAGE
    exec(compile(tree, str(file), "exec"), module.__dict__)  # noqa: S102 (an installed package's own file)
    return module


def _imports_matplotlib(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "matplotlib" for alias in node.names)
