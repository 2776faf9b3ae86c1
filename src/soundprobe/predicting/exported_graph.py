"""A run as one graph, from the waveform to probabilities, and as the files of other runtimes: ONNX and torch.export.

Letters: B clips, T samples, D the embedding's dimension, C classes.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from soundprobe.backbones.load import LoadedBackbone
from soundprobe.backbones.melspectrogram import FramePower
from soundprobe.base.errors import ExportError, one_line
from soundprobe.base.files import atomic_path
from soundprobe.embeddings.forward import embed_waves, stacked
from soundprobe.heads.head_graph import HeadGraph
from soundprobe.predicting.predictor import Member, Predictor

INPUT, OUTPUTS = "waveform", ("probabilities", "embedding")
OPSET = 18
"""The newest that torch.onnx writes without converting; onnxruntime has read it since 1.14."""
TOLERANCE = 1e-4
CHECKED = ((1, 4.0), (3, 2.3), (1, 0.4), (2, 11.0))
"""Batches and seconds: a whole number of seconds, one that is padded, a short clip, one that is cut."""
TIMED_S = 4.0
Asked = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(B, T) float32 to probabilities (B, C) and embedding (B, D), in the runtime of a written file."""


class BackboneGraph(nn.Module):
    """Waves (B, T) of any length to (B, D): cut or padded with silence as `extract` does, then embedded."""

    def __init__(self, backbone: LoadedBackbone) -> None:
        super().__init__()
        if not isinstance(backbone.network, nn.Module):
            raise ExportError(
                f"The backbone {backbone.spec.name} is no torch module, so it has no graph. Give --format bundle."
            )
        if backbone.settings.get("precision", "fp32") != "fp32":
            raise ExportError(
                f"The heads belong to {backbone.spec.name} in {backbone.settings['precision']}, and graphs are written "
                "in fp32. Give --format bundle, or a run in fp32."
            )
        spec = backbone.spec
        self.step = round(spec.step_seconds * spec.sample_rate_hz)
        self.most = backbone.input_samples(spec.max_seconds)
        self.is_fixed = backbone.settings["clip_seconds"] is not None
        self.network: Any = copy.deepcopy(backbone.network)
        self.network.allow_shortcuts(False)
        for module in self.network.modules():
            if isinstance(module, FramePower):
                module.as_convolution()

    def forward(self, wave: Tensor) -> Tensor:
        own = wave.shape[1]
        samples = self.most
        if not self.is_fixed:
            samples = torch.sym_min((own + self.step - 1) // self.step * self.step, self.most)
        padded = torch.cat([wave, wave.new_zeros(wave.shape[0], self.most if self.is_fixed else self.step)], dim=1)
        lengths = torch.full((wave.shape[0],), torch.sym_min(own, samples), dtype=torch.int64, device=wave.device)
        embedded: Tensor = self.network.embed(padded[:, :samples], lengths)
        return embedded


class MemberGraph(nn.Module):
    """Waves (B, T) to the mean of the heads' probabilities (B, C), and the embedding (B, D) that they take."""

    def __init__(self, member: Member, n_classes: int, head: str) -> None:
        super().__init__()
        self.backbones = nn.ModuleList(BackboneGraph(backbone) for backbone in member.backbones)
        self.heads = nn.ModuleList(HeadGraph(head, one, n_classes) for one in member.heads)

    def forward(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        embedding = torch.cat([backbone(wave) for backbone in self.backbones], dim=1)
        return torch.stack([head(embedding) for head in self.heads]).mean(dim=0), embedding


class RunGraph(nn.Module):
    """Waves (B, T) float32 in [-1, 1] at the backbones' rate to probabilities (B, C) and embeddings (B, D), float32.

    Probabilities are the mean over all heads, whatever their backbones. Where each head has a network of its own, the
    networks' embeddings stand side by side.

    Raises:
        ExportError: a backbone or a head can't stand in a graph, or backbones want different rates.
    """

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        rates = sorted({backbone.spec.sample_rate_hz for backbone in predictor.backbones})
        if len(rates) > 1:
            raise ExportError(
                f"Backbones side by side want waves at {' and '.join(map(str, rates))} Hz, and a graph has one input. "
                "Give --format bundle, or a run with one backbone."
            )
        self.rate_hz = rates[0]
        self.members = nn.ModuleList(
            MemberGraph(member, len(predictor.class_names), predictor.head) for member in predictor.members
        )
        self.eval()

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        found = [member(waveform) for member in self.members]
        return torch.stack([proba for proba, _ in found]).mean(dim=0), torch.cat([own for _, own in found], dim=1)

    def program(self) -> torch.export.ExportedProgram:
        """The graph for any batch and length.

        Raises:
            ExportError: torch.export can't follow a backbone's code.
        """
        dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
        with _quiet("a backbone's code"), torch.no_grad():
            return torch.export.export(self, (torch.zeros(2, self.rate_hz),), dynamic_shapes=(dynamic,))


def write_onnx(graph: RunGraph, path: Path) -> Asked:
    """Writes the graph to `path` (weights in the same file) and opens it in onnxruntime.

    Raises:
        ExportError: see `RunGraph.program`; or an operation has no counterpart in ONNX.
    """
    import onnxruntime

    program = graph.program()
    with _quiet("the graph"), torch.no_grad():
        written = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
        assert written is not None
        with atomic_path(path) as temporary:
            written.save(str(temporary))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def ask(waves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        proba, embedding = session.run(list(OUTPUTS), {INPUT: waves})
        return proba, embedding

    return ask


def write_program(graph: RunGraph, path: Path) -> Asked:
    """Writes the graph to `path` (.pt2, without example inputs, which would be a pickle) and loads it again.

    Raises:
        ExportError: see `RunGraph.program`.
    """
    program = graph.program()
    program.example_inputs = None
    with _quiet("the graph"):
        with atomic_path(path) as temporary:
            whole = temporary.with_suffix(".pt2")  # which torch insists on
            torch.export.save(program, whole)
            whole.replace(temporary)
        loaded = torch.export.load(path).module()

    def ask(waves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            proba, embedding = loaded(torch.from_numpy(waves))
        return proba.numpy(), embedding.numpy()

    return ask


def asking(predictor: Predictor) -> Asked:
    """The predictor itself, asked for waves as a written file is."""

    def ask(waves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        totals, embeddings = [], []
        for member in predictor.members:
            parts = []
            for backbone in member.backbones:
                samples = backbone.input_samples(waves.shape[1] / backbone.spec.sample_rate_hz)
                parts.append(embed_waves(backbone.network, *stacked(list(waves), samples), torch.device("cpu")))
            embeddings.append(np.concatenate(parts, axis=1))
            for head in member.heads:
                proba = np.zeros((len(waves), len(predictor.class_names)))
                proba[:, np.asarray(head.classes_, dtype=np.int64)] = head.predict_proba(embeddings[-1])
                totals.append(proba)
        return np.mean(totals, axis=0), np.concatenate(embeddings, axis=1)

    return ask


def compare(written: Asked, predictor: Predictor, rate_hz: int, runtime: str) -> dict[str, Any]:
    """The content of a `CheckEntry`.

    Raises:
        ExportError: what was written gives other numbers than the run.
    """
    here, rng = asking(predictor), np.random.default_rng(0)
    differ = [0.0, 0.0]
    for batch, seconds in CHECKED:
        waves = rng.uniform(-0.5, 0.5, (batch, round(seconds * rate_hz))).astype(np.float32)
        waves *= np.linspace(0.01, 1, waves.shape[1], dtype=np.float32)
        for place, (one, two) in enumerate(zip(written(waves), here(waves), strict=True)):
            scale = max(1.0, float(np.abs(two).max()))
            differ[place] = max(differ[place], float(np.abs(one - two).max()) / scale)
    if not max(differ) < TOLERANCE:
        raise ExportError(
            f"What was written differs from the run by {differ[0]:.1e} in probabilities and {differ[1]:.1e} in "
            f"embeddings, more than {TOLERANCE:g}. Give --format bundle."
        )
    clip = rng.uniform(-0.5, 0.5, (1, round(TIMED_S * rate_hz))).astype(np.float32)
    return {
        "runtime": runtime,
        "proba_differs": differ[0],
        "embedding_differs": differ[1],
        "clip_seconds": TIMED_S,
        "milliseconds": _milliseconds(written, clip),
        "here_milliseconds": _milliseconds(here, clip),
        "threads": torch.get_num_threads(),
    }


def _milliseconds(ask: Asked, waves: np.ndarray) -> float:
    """The least of a few tries."""
    tries = []
    for _ in range(5):
        began = time.perf_counter()
        ask(waves)
        tries.append(time.perf_counter() - began)
    return round(1e3 * min(tries), 2)


@contextmanager
def _quiet(what: str) -> Iterator[None]:
    """Keeps the exporters' warnings, meant for developers, from the terminal; their failures are one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # each layer of the exporters has errors of its own
        raise ExportError(
            f"{what} can't be exported ({type(error).__name__}: {one_line(error)[:200]}). Give --format bundle."
        ) from error
