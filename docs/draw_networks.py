"""Draws docs/images/network-*.png: what becomes of a 4 s clip in each network that is trained from scratch.

.venv/bin/python docs/draw_networks.py            # all
.venv/bin/python docs/draw_networks.py crnn vgg

Every shape is that of a real pass of the network as it is in the code, on a clip of the generated data set.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle
from PIL import Image
from torch import Tensor

from soundprobe.audio.decode import fit_length
from soundprobe.backbones.load import load_backbone
from soundprobe.backbones.piczak import SEGMENT_FRAMES, SEGMENT_STEP
from soundprobe.data.synth.generate import RECIPES, draw_recording, render_clip

FOLDER = Path(__file__).resolve().parent / "images"
BOX_HEIGHT, BOX_WIDTH = 2.0, 1.7  # inches of a whole spectrogram
THINNEST = 0.16
GAP = 0.8
PLATE = 0.045  # how far each plate of a stack stands behind the one before it
FILL, EDGE, GREY = "#dbe7f3", "#2f5d8a", "#555555"


@dataclass(frozen=True)
class Step:
    """A layer whose output is drawn: `path` in the module, what it does, and what that is for."""

    path: str
    does: str


@dataclass(frozen=True)
class Drawing:
    """A network's steps in the order in which they run, and what its last step is in plain words."""

    title: str
    steps: tuple[Step, ...]
    height: float = 3.4


CONV = "3×3, ReLU\nhalve both"
PAIR = "halve both\n2 × (3×3,\nBatchNorm, ReLU)"
BAND = "3×3, BatchNorm,\nReLU, bands / 4"
DRAWINGS: dict[str, Drawing] = {
    "simplecnn": Drawing(
        "simplecnn: three convolutions, then everything at once into a linear layer (the notes')",
        (Step("pool", CONV), Step("pool", CONV), Step("pool", CONV), Step("fc1", "flatten\nlinear, ReLU")),
    ),
    "piczak": Drawing(
        "piczak: one column of filters over nearly all bands, on each of 7 segments; the segments vote",
        (
            Step("segments", "each segment,\nand its deltas"),
            Step("pool1", "57×6, ReLU\npool 4×3"),
            Step("pool2", "1×3, ReLU\npool 1×3"),
            Step("fc1", "linear\nReLU"),
            Step("fc2", "linear\nReLU"),
        ),
    ),
    "vgg": Drawing(
        "vgg: pairs of small convolutions; each halving doubles the width; the rest is pooled",
        (
            Step("blocks.0", "2 × (3×3,\nBatchNorm, ReLU)"),
            *(Step(f"blocks.{number}", PAIR) for number in range(1, 5)),
            Step("embed", "mean over bands,\nmean + max\nover time"),
        ),
    ),
    "crnn": Drawing(
        "crnn: convolutions fold the bands away and keep every frame; a GRU reads the frames both ways",
        (
            *(Step(f"convolutions.{number}", BAND) for number in range(3)),
            Step("gru", "GRU, 128 forwards\n128 backwards"),
            Step("embed", "weighted mean\nover time"),
        ),
    ),
    "timm:resnet18": Drawing(
        "timm:resnet18: the spectrogram is a grey picture for a network made for photographs",
        (
            Step("network.maxpool", "7×7, halve\nhalve again"),
            Step("network.layer1", "2 blocks\nof two 3×3"),
            *(Step(f"network.layer{number}", "halve both\n2 blocks") for number in (2, 3, 4)),
            Step("embed", "mean over\nbands and time"),
        ),
    ),
}


def clip() -> Tensor:
    """(1, 88200): a siren with nothing else beside it, from the generated data set."""
    for index in range(200):
        recording = draw_recording(0, list(RECIPES).index("siren"), 1, index)
        wave = render_clip(recording, 0)
        if recording.salience == 1 and recording.distractor is None and len(wave) == 88_200:
            return torch.from_numpy(fit_length(wave, 88_200))[None]
    raise LookupError("siren")


def run(name: str, steps: tuple[Step, ...]) -> tuple[Tensor, list[tuple[int, ...]]]:
    """The spectrogram (F, M), and the shape of each step's output for one clip, without the batch's dimension."""
    module = load_backbone(name, weights="random").network
    seen: list[tuple[str, tuple[int, ...]]] = []

    def note(path: str, output: Tensor | tuple[Tensor, ...]) -> None:
        tensor = output[0] if isinstance(output, tuple) else output
        seen.append((path, tuple(tensor.shape[1:])))

    for path in {step.path for step in steps} - {"embed", "segments"}:
        module.get_submodule(path).register_forward_hook(lambda _m, _i, output, path=path: note(path, output))
    with torch.inference_mode():
        spectrogram = module.spectrogram(clip())
        if steps[0].path == "segments":
            note("segments", module.segments(spectrogram)[0])
        note("embed", module.embed_spectrogram(spectrogram))
    if steps[-1].path != "embed":
        seen.pop()
    assert [path for path, _ in seen] == [step.path for step in steps], seen
    return spectrogram[0], [shape for _, shape in seen]


def sized(shape: tuple[int, ...], whole: tuple[int, int]) -> tuple[float, float, int, str]:
    """Height and width in inches, plates, and the caption of an output; a vector is a bar."""
    if len(shape) == 1:
        return BOX_HEIGHT * 0.8, THINNEST, 1, f"{shape[0]}\nnumbers"
    if len(shape) == 2:  # the GRU's frames and states
        frames, channels, bands = shape[0], shape[1], 1
    else:
        channels, bands, frames = shape
    height = max(THINNEST, BOX_HEIGHT * bands / whole[0])
    width = max(THINNEST, BOX_WIDTH * frames / whole[1])
    return height, width, min(8, max(1, channels.bit_length() - 1)), f"{channels} maps\n{bands} × {frames}"


def draw(name: str) -> Path:
    """Writes the picture of a network."""
    drawing = DRAWINGS[name]
    spectrogram, shapes = run(name, drawing.steps)
    whole = (spectrogram.shape[0], spectrogram.shape[1])
    boxes = [sized(shape, whole) for shape in shapes]
    length = 0.35 + BOX_WIDTH + sum(GAP + 0.35 + width + PLATE * plates for _, width, plates, _ in boxes) + 0.5
    figure = plt.figure(figsize=(length, drawing.height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, length), ylim=(0, drawing.height))
    axes.axis("off")
    middle = drawing.height / 2 - 0.05
    axes.text(0.35, drawing.height - 0.12, drawing.title, fontsize=11, va="top", weight="bold")
    low = middle - BOX_HEIGHT / 2
    axes.imshow(
        spectrogram.numpy(),
        origin="lower",
        cmap="magma",
        vmin=float(spectrogram.quantile(0.05)),
        extent=(0.35, 0.35 + BOX_WIDTH, low, low + BOX_HEIGHT),
        aspect="auto",
    )
    axes.set(xlim=(0, length), ylim=(0, drawing.height))
    if name == "piczak":
        outline_segments(axes, 0.35, low, whole[1])
    caption(axes, 0.35 + BOX_WIDTH / 2, low, f"log-mel of 4 s\n{whole[0]} bands × {whole[1]} frames")
    x = 0.35 + BOX_WIDTH
    for step, (height, width, plates, text) in zip(drawing.steps, boxes, strict=True):
        arrow(axes, x + 0.08, x + GAP + 0.27, middle, step.does)
        x += GAP + 0.35
        stack(axes, x, middle, height, width, plates)
        caption(axes, x + width / 2, middle - height / 2, text)
        x += width + PLATE * plates
    return save(figure, name)


def outline_segments(axes: Axes, left: float, low: float, frames: int) -> None:
    """Piczak's segments on the spectrogram, each half over the one before it, in two rows so that both edges show."""
    for number, start in enumerate(range(0, frames - SEGMENT_FRAMES + 1, SEGMENT_STEP)):
        bottom = low + (0.06 if number % 2 else 0.12)
        width, height = BOX_WIDTH * SEGMENT_FRAMES / frames, BOX_HEIGHT - 0.18
        corner = (left + BOX_WIDTH * start / frames, bottom)
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="white", linewidth=0.8))


def stack(axes: Axes, x: float, middle: float, height: float, width: float, plates: int) -> None:
    """Plates one behind another: the more, the wider the layer (one more for each doubling)."""
    for plate in reversed(range(plates)):
        corner = (x + plate * PLATE, middle - height / 2 + plate * PLATE)
        axes.add_patch(Rectangle(corner, width, height, facecolor=FILL, edgecolor=EDGE, linewidth=0.8))


def arrow(axes: Axes, start: float, end: float, y: float, text: str) -> None:
    axes.add_patch(FancyArrowPatch((start, y), (end, y), arrowstyle="-|>", mutation_scale=9, color=GREY, linewidth=1))
    axes.text((start + end) / 2, y + 0.1, text, fontsize=7.5, ha="center", va="bottom", color=GREY)


def caption(axes: Axes, x: float, y: float, text: str) -> None:
    axes.text(x, y - 0.06, text, fontsize=8, ha="center", va="top")


def save(figure: plt.Figure, name: str) -> Path:
    path = FOLDER / f"network-{name.replace('timm:', 'timm-')}.png"
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110)
    plt.close(figure)
    Image.open(drawn).convert("RGB").quantize(256).save(path, optimize=True)  # half the bytes
    return path


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for chosen in sys.argv[1:] or DRAWINGS:
        print(draw(chosen))
