"""The card of what leaves: README.md of an export or of a repository on the Hugging Face Hub, from its record alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.base.stored import BackboneRecord
from soundprobe.embeddings.publishing import in_cell
from soundprobe.predicting.bundle import ExportRecord, ScoreEntry, plain_name

CHANNELS = {
    "mean": "wave.mean(axis=1)",
    "first": "wave[:, 0]",
    "loudest": "wave[:, (wave**2).mean(axis=0).argmax()]",
}
CALLS = {
    "onnx": """\
import json, sys
import onnxruntime, soundfile, soxr

names = json.load(open("labels.json"))
session = onnxruntime.InferenceSession("model.onnx")
wave, rate_hz = soundfile.read(sys.argv[1], dtype="float32", always_2d=True)
wave = soxr.resample({one}, rate_hz, {rate}, quality="HQ")
proba, embedding = session.run(None, {{"waveform": wave[None]}})
print(names[proba[0].argmax()], proba[0].max())
""",
    "torch": """\
import json, sys
import soundfile, soxr, torch

names = json.load(open("labels.json"))
program = torch.export.load("model.pt2").module()
wave, rate_hz = soundfile.read(sys.argv[1], dtype="float32", always_2d=True)
wave = soxr.resample({one}, rate_hz, {rate}, quality="HQ")
proba, embedding = program(torch.from_numpy(wave[None]))
print(names[proba[0].argmax()], proba[0].max().item())
""",
    "bundle": """\
import sys
import soundprobe

(said,) = soundprobe.predict(sys.argv[1], run="{address}")
print(said.predicted, said.proba.max())
""",
}


def model_card(record: ExportRecord, address: str = ".") -> str:
    """README.md: metadata for the Hub, and what a reader has to know.

    Args:
        address: what `predict --run` calls a bundle.
    """
    classes, rate_hz = record.dataset.class_names, int(record.backbones[0].settings["sample_rate_hz"])
    data = record.dataset
    recordings = "" if record.recordings is None else f" of {record.recordings:,} recordings"
    folds = ", ".join(map(str, data.folds))
    rows = {
        "classes": f"{len(classes)}: {', '.join(map(in_cell, classes))}",
        **_scores(record),
        "data": f"{in_cell(data.name)}: {data.clips:,} clips{recordings}, folds {folds}; "
        f"fingerprint {data.fingerprint[:12]}",
        "backbone": "; ".join(map(_backbone, record.backbones)),
        "head": f"{in_cell(record.head)}, {_heads(record)}",
        **_told_only(record),
        "input": _input(record, rate_hz),
        "licence of the weights": "; ".join(map(_licence, record.backbones)),
        "licence of the data": in_cell(record.data_licence or "not known: find out before you share this"),
        **_checked(record),
        "made": f"{record.created}, soundprobe {in_cell(str(record.versions.get('soundprobe', '')))}",
    }
    table = "\n".join(f"| {name} | {told} |" for name, told in rows.items())
    one = CHANNELS[str(record.backbones[0].settings.get("channels", "mean"))]
    call = CALLS[record.kind].format(one=one, rate=rate_hz, address=address)
    return (
        f"{_metadata(record)}\n# {in_cell(record.name)}\n\n"
        f"Which of {len(classes)} classes a sound is, by a head on embeddings; made with soundprobe.\n\n"
        f"| | |\n|---|---|\n{table}\n\n## How to call it\n\n```python\n{call}```\n"
    )


def _scores(record: ExportRecord) -> dict[str, str]:
    if record.accuracy is None:
        return {"accuracy": "not measured"}
    folds = len(record.dataset.folds)
    spread = "" if record.accuracy_std is None else f", ± {100 * record.accuracy_std:.1f} between folds"
    best = ", ".join(f"{in_cell(name)} {100 * value:.1f} %" for name, value in record.controls.items())
    found = {"accuracy": f"{_percent(record.accuracy)}{spread}; mean of {folds} folds, each tested by heads without it"}
    if record.macro_f1 is not None:
        found["macro-F1"] = _percent(record.macro_f1)
    return {**found, "controls": best or "none were run: `soundprobe compare` runs them"}


def _percent(score: ScoreEntry) -> str:
    if score.low is None or score.high is None:
        return f"{100 * score.mean:.1f} %"
    return f"{100 * score.mean:.1f} % (95 % interval {100 * score.low:.1f} to {100 * score.high:.1f})"


def _backbone(told: BackboneRecord) -> str:
    precision = "" if told.precision == "fp32" else f", {in_cell(told.precision)}"
    return f"{in_cell(told.title)}, {in_cell(told.weights_label)}, {told.parameters:,} parameters{precision}"


def _heads(record: ExportRecord) -> str:
    heads = sum(len(member.heads) for member in record.members)
    if record.recipe is not None:
        return f"one, trained on all clips; it has no score of its own, this is its recipe's ({in_cell(record.recipe)})"
    if heads == 1:
        return "one"
    networks = ", each on its fold's network" if len(record.members) > 1 else ""
    return f"one for each of {heads} folds{networks}; probabilities are their mean, which has no score of its own"


def _told_only(record: ExportRecord) -> dict[str, str]:
    """From which probability on a class is told, and what a graph leaves out."""
    found = {}
    if record.thresholds is not None:
        least = ", ".join(
            f"{in_cell(name)} never" if p is None else f"{in_cell(name)} {p:.2f}"
            for name, p in record.thresholds.items()
        )
        found["told from a probability of"] = least
    if record.novelty is not None:
        graph = "" if record.kind == "bundle" else "; not in this graph, only in a bundle"
        found["none of these"] = f"of what is too unlike the training clips{graph}"
    return found


def _input(record: ExportRecord, rate_hz: int) -> str:
    if record.kind == "bundle":
        return "audio files of any rate and length"
    settings = record.backbones[0].settings
    seconds = settings.get("clip_seconds")
    length = (
        f"cut or padded with silence to {seconds:g} s"
        if seconds is not None
        else f"padded with silence to the next {settings['step_seconds']:g} s, cut at {settings['max_seconds']:g} s"
    )
    return (
        f"`waveform` (batch, samples) float32 in [-1, 1], mono at {rate_hz} Hz, any number of samples: {length} in "
        f"the graph. {_windows(record)}Clips of one batch have one length. Output: `probabilities` (batch, classes), "
        f"`embedding` (batch, {sum(one.embedding_dim for member in record.members for one in member.backbones)})"
    )


def _windows(record: ExportRecord) -> str:
    if record.trained_s is None:
        return ""
    return (
        f"It heard clips of about {record.trained_s:.3g} s in training: give longer sounds in windows of that length. "
    )


def _licence(told: BackboneRecord) -> str:
    if told.weights == "file":
        return f"{in_cell(told.name)}: that of {in_cell(told.weights_label)}"
    if told.weights in ("random", "none"):
        return f"{in_cell(told.name)}: nothing of others"
    spec = BACKBONES[plain_name(told)]
    return f"{in_cell(told.name)}: {in_cell(spec.licence)} ({in_cell(spec.source)})"


def _checked(record: ExportRecord) -> dict[str, str]:
    told = record.checked
    if told is None:
        return {}
    differs = f"{told.proba_differs:.0e} in probabilities, {told.embedding_differs:.0e} in embeddings at most"
    speed = (
        f"a {told.clip_seconds:g} s clip takes {told.milliseconds:g} ms, {told.here_milliseconds:g} ms in soundprobe, "
        f"on {told.threads} thread{'s' * (told.threads != 1)}"
    )
    return {"checked": f"{in_cell(told.runtime)} differs from soundprobe by {differs}; {speed}"}


def _metadata(record: ExportRecord) -> str:
    """The YAML block that the Hub reads, with its `model-index`."""
    from huggingface_hub import EvalResult, ModelCardData

    scores: Mapping[str, Any] = {"accuracy": record.accuracy, "f1": record.macro_f1}
    data = record.dataset
    results = [
        EvalResult(
            task_type="audio-classification",
            dataset_type=data.name,
            dataset_name=data.name,
            dataset_split=f"cross-validation over {len(data.folds)} folds",
            metric_type=metric,
            metric_name={"f1": "macro-F1"}.get(metric, metric),
            metric_value=round(score.mean, 4),
        )
        for metric, score in scores.items()
        if score is not None
    ]
    card = ModelCardData(
        model_name=record.name,
        library_name="soundprobe",
        pipeline_tag="audio-classification",
        tags=["audio-classification", "soundprobe", *sorted(plain_name(told) for told in record.backbones)],
        license="other",
        license_name="of-its-weights-and-data",
        license_link="README.md",
        eval_results=results or None,
    )
    return f"---\n{card.to_yaml()}\n---\n"
