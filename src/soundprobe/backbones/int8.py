"""A backbone's network in 8-bit integers: quantised by NNCF, run by OpenVINO. The front end stays float32 in PyTorch.

Two things made near-silent clips wrong. NNCF's default averages each clip's least and largest value, so the few clips
whose activations lie outside of the average are clipped, and near-silent ones are such: here a range holds everything
that calibration saw, near-silence included, and layers whose inputs then span too much for 8 bits stay in float32.
And where all frames are alike, as in silence, so are their rounding errors, which pooling then can't average out: clips
that are mostly silent go through the float32 network.

Letters: B clips, F mel bands, M frames, D the embedding's dimension.
"""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from soundprobe.backbones.load import LoadedBackbone
from soundprobe.backbones.protocol import SpectrogramBackbone
from soundprobe.base.errors import ConfigError

SCHEME = 2  # a change of anything below, or of quantising.py, that changes a network counts it up
ENGINES = ("openvino", "nncf")
TELEMETRY = "openvino_telemetry"


@dataclass(frozen=True)
class Scheme:
    """How one backbone is quantised.

    Attributes:
        calibration_clips: how many of the user's clips ranges are taken from.
        in_float32: OpenVINO's kind of layer -> the numbers, in their order from 0, of those that keep float32.
        faint_in_float32: whether clips that are mostly silent are left to float32. Not in AST, which knows padding, and
            whose positions keep errors from being the same everywhere.
        transformer: spread large activations over the weights (SmoothQuant, Xiao et al. 2023, arXiv 2211.10438), and
            leave softmax and LayerNorm alone.
    """

    calibration_clips: int
    in_float32: Mapping[str, Sequence[int]]
    faint_in_float32: bool = True
    transformer: bool = False


SMOOTHING = 0.5
"""SmoothQuant's alpha, the share of the difficulty that moves from activations to weights: its authors' value. NNCF's
own, .95, moves nearly all of it, and AST's weights then are what 8 bits can't hold: cosines fall to .974."""
FRAME = 320  # samples, 10 ms of CNN14 and mn04
FAINT_POWER = 1e-7  # -70 dB
EVERY = range(1000)
MN04_CONVOLUTIONS = 47
MN04_WIDENING = (14, 18, 20, 22, 24, 26, 30, 34, 38, 42, 46)
"""The convolutions that begin a block, from the sixth on, and the last. mn04's others stay in float32, and so do its
sums, products and means: over 397 real clips the mean cosine to float32 is then .9995, else .989."""
BETWEEN = {"Add": EVERY, "Multiply": EVERY, "ReduceMean": EVERY}

SCHEMES = {
    # Each clip goes through the network several times, and AST costs 16 times what CNN14 does.
    "ast": Scheme(calibration_clips=12, in_float32={"Convolution": (0,)}, faint_in_float32=False, transformer=True),
    "mn04": Scheme(
        calibration_clips=32,
        in_float32={
            **BETWEEN,
            "GroupConvolution": EVERY,
            "Convolution": [number for number in range(MN04_CONVOLUTIONS) if number not in MN04_WIDENING],
        },
    ),
    "panns": Scheme(calibration_clips=32, in_float32={"Convolution": (0,), "MatMul": EVERY}),
}


def check_engines(device: torch.device) -> None:
    """Whether a network can be quantised and run here.

    Raises:
        ConfigError: the device is no CPU, or OpenVINO or NNCF is not installed.
    """
    if device.type != "cpu":
        raise ConfigError(f"--precision int8 runs on the CPU only, not on {device.type}: add --device cpu.")
    for engine in ENGINES:
        try:
            version(engine)
        except PackageNotFoundError:
            raise ConfigError(
                f"--precision int8 needs {engine}, which is not installed. Run: pip install 'soundprobe[int8]'"
            ) from None


def declared(model: LoadedBackbone) -> LoadedBackbone:
    """`model` with the settings of its int8 network, which its embeddings depend on; the network is the same."""
    engines = ", ".join(f"{engine} {version(engine)}" for engine in ENGINES)
    scheme = SCHEMES[model.spec.name]
    how = f"scheme {SCHEME}, {engines}, calibrated on up to {scheme.calibration_clips} of the clips and near-silence"
    return replace(model, settings={**model.settings, "precision": "int8", "quantisation": how})


class Int8(SpectrogramBackbone):
    """A backbone whose second half is a quantised network; otherwise the same calls.

    Args:
        front: the float32 backbone, for its `spectrogram` and for clips that are no good in int8.
        file: the int8 network, as `write_network` wrote it. It runs on as many threads as PyTorch has.
    """

    fills_cores = True

    def __init__(self, front: SpectrogramBackbone, file: Path, *, faint_in_float32: bool) -> None:
        super().__init__()
        self.faint_in_float32 = faint_in_float32
        self.front = front
        threads = torch.get_num_threads()
        with _engines() as (openvino, _):
            compiled = openvino.Core().compile_model(
                str(file),
                "CPU",
                {
                    # A clip on each thread needs no waiting for one another within a layer.
                    "NUM_STREAMS": threads,
                    "INFERENCE_NUM_THREADS": threads,
                    "INFERENCE_PRECISION_HINT": "f32",  # or some machines would run what is not int8 in bfloat16
                },
            )
            self._queue = openvino.AsyncInferQueue(compiled, threads)
        self._queue.set_callback(_keep)

    def spectrogram(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """As the float32 backbone's."""
        return self.front.spectrogram(wave, lengths)

    def embed_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """(B, F, M) to (B, D) float32, all of it in int8."""
        clips = spectrogram.contiguous().numpy()
        found: list[np.ndarray] = [np.empty(0)] * len(clips)
        for number in range(len(clips)):
            self._queue.start_async([clips[number : number + 1]], (found, number))
        self._queue.wait_all()
        return torch.from_numpy(np.concatenate(found))

    def forward(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Wave (B, T) float32 to embeddings (B, D) float32, on the CPU."""
        spectrogram = self.spectrogram(wave, lengths)
        faint = mostly_faint(wave) if self.faint_in_float32 else torch.zeros(len(wave), dtype=torch.bool)
        if not faint.any():
            return self.embed_spectrogram(spectrogram)
        quiet = self.front.embed_spectrogram(spectrogram[faint])
        embedded = quiet.new_empty(len(wave), quiet.shape[1])
        embedded[faint] = quiet
        if not faint.all():
            embedded[~faint] = self.embed_spectrogram(spectrogram[~faint])
        return embedded


def mostly_faint(wave: Tensor) -> Tensor:
    """(B,) bool: whether half of the 10 ms frames of (B, T) or more are under -70 dB of full scale; padding counts."""
    frames = wave[:, : wave.shape[1] // FRAME * FRAME].unflatten(1, (-1, FRAME))
    return (frames.square().mean(dim=2) < FAINT_POWER).float().mean(dim=1) >= 0.5


def _keep(request: Any, place: tuple[list[np.ndarray], int]) -> None:
    found, number = place
    found[number] = request.get_output_tensor().data.copy()


def write_network(
    model: LoadedBackbone, scheme: Scheme, spectrograms: Sequence[Tensor], file: Path, on_clip: Callable[[int], None]
) -> None:
    """Quantises the network of `model` and writes it to `file` (.xml) and, beside it, its weights (.bin).

    The same spectrograms give the same network.

    Args:
        spectrograms: one (F, M) for each calibration clip, as the backbone's `spectrogram` makes them.
        on_clip: called with 1 when a clip is first read.
    """
    module = model.on_spectrograms()
    fixed = len({spectrogram.shape[1] for spectrogram in spectrograms}) == 1 and model.spec.clip_seconds is not None
    bands, frames = spectrograms[0].shape
    with _engines() as (openvino, nncf), torch.no_grad():
        network = openvino.convert_model(
            _Embed(module).eval(),
            example_input=spectrograms[0][None],
            input=openvino.PartialShape([1, bands, frames if fixed else -1]),
        )
        ranges = nncf.quantization.range_estimator.RangeEstimatorParametersSet.MINMAX
        smoothing = nncf.quantization.advanced_parameters.AdvancedSmoothQuantParameters(matmul=SMOOTHING)
        quantised = nncf.quantize(
            network,
            nncf.Dataset(_Once(spectrograms, on_clip)),
            subset_size=len(spectrograms),
            model_type=nncf.ModelType.TRANSFORMER if scheme.transformer else None,
            ignored_scope=nncf.IgnoredScope(names=_names(network, scheme.in_float32)),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                activations_range_estimator_params=ranges, smooth_quant_alphas=smoothing
            ),
        )
        openvino.save_model(quantised, str(file), compress_to_fp16=False)


class _Embed(nn.Module):
    """What is converted: the network without its front end, for batches of one clip."""

    def __init__(self, backbone: SpectrogramBackbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, spectrogram: Tensor) -> Tensor:
        return self.backbone.embed_spectrogram(spectrogram)


class _Once(Iterable[np.ndarray]):
    """Spectrograms as batches of one clip, (1, F, M); `on_clip` counts the first pass of several."""

    def __init__(self, spectrograms: Sequence[Tensor], on_clip: Callable[[int], None]) -> None:
        self.spectrograms = spectrograms
        self.on_clip = on_clip
        self.counted = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        for number, spectrogram in enumerate(self.spectrograms, start=1):
            if number > self.counted:
                self.counted = number
                self.on_clip(1)
            yield spectrogram[None].numpy()


def _names(network: Any, in_float32: Mapping[str, Sequence[int]]) -> list[str]:
    kinds: dict[str, list[str]] = {kind: [] for kind in in_float32}
    for layer in network.get_ordered_ops():
        if layer.get_type_name() in kinds:
            kinds[layer.get_type_name()].append(layer.get_friendly_name())
    return [name for kind, names in kinds.items() for n, name in enumerate(names) if n in in_float32[kind]]


@contextmanager
def _engines() -> Iterator[tuple[Any, Any]]:
    """OpenVINO and NNCF, kept quiet: no use is reported, nothing is printed.

    Both report their use over the network and leave a folder in the user's home, unasked, wherever the package
    `openvino_telemetry` can be imported; here it can't.
    """
    kept = sys.modules.get(TELEMETRY)
    sys.modules[TELEMETRY] = None  # type: ignore[assignment]  # what makes an import fail
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():  # NNCF's own bars; the tracer's doubts
            warnings.simplefilter("ignore")
            import nncf
            import openvino

            nncf.set_log_level(logging.ERROR)
            yield openvino, nncf
    finally:
        del sys.modules[TELEMETRY]
        if kept is not None:
            sys.modules[TELEMETRY] = kept
