"""Writing a run's folder for elsewhere: what stands in it, and what is known of it for its card."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.backbones.weights.verify import sha256_of
from soundprobe.base.files import write_text
from soundprobe.base.machine import versions
from soundprobe.base.progress import progress_bar
from soundprobe.base.registry import code_of
from soundprobe.base.remote import placed
from soundprobe.data.catalog import LICENCES
from soundprobe.heads.catalog import HEADS
from soundprobe.predicting.bundle import (
    CARD,
    FILE,
    LABELS,
    WEIGHTS,
    ExportRecord,
    describe_members,
    is_export,
    read_export,
    write_weights,
)
from soundprobe.predicting.card import model_card
from soundprobe.predicting.loading import load_predictor
from soundprobe.predicting.predictor import Predictor
from soundprobe.scoring.bootstrap import resample
from soundprobe.scoring.fits import FitRecord, read_fit
from soundprobe.scoring.intervals import Interval
from soundprobe.scoring.out_of_fold import predictions_of, table_of
from soundprobe.scoring.results import read_result
from soundprobe.scoring.run_names import base_name, fit_name, named_runs
from soundprobe.scoring.run_records import RunRecord
from soundprobe.scoring.thresholds import NEVER

MODELS = {"onnx": "model.onnx", "torch": "model.pt2", "bundle": WEIGHTS}
NO_NETWORK = "logmel-stats"
SCORES = ("accuracy", "accuracy_std", "macro_f1", "controls")
KEPT = ("name", "key", "dataset", "recordings", "data_licence", "recipe", *SCORES)
"""What a bundle knows that is exported again."""
OF_DATA = ("name", "fingerprint", "clips", "class_names", "folds")
"""What leaves of a data set's record: nothing of where it was."""


def write_export(
    source: Path,
    folder: Path,
    format: str,
    *,
    heads: str | Path,
    weights: str | Path | None = None,
    data_licence: str | None = None,
    address: str = ".",
    progress: bool = True,
) -> ExportRecord:
    """Writes the run or bundle in `source` into `folder`, which is there and empty.

    Args:
        format, heads, weights, data_licence: as for `soundprobe.export`.
        address: what the card calls a bundle in its example.

    Raises:
        SoundprobeError: as `load_predictor`; ExportError: as `soundprobe.export`; StoreError: the run has no result.
    """
    known = _known(source, placed(heads))
    predictor = load_predictor(source, weights=weights, device="cpu", progress=progress)
    checked = _write_model(predictor, folder / MODELS[format], format, progress)
    write_text(folder / LABELS, json.dumps(predictor.class_names, ensure_ascii=False, indent=1) + "\n")
    content = {
        "format": ExportRecord.FORMAT,
        "kind": format,
        **known,
        "created": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": versions(),
        "head": predictor.head,
        **code_of(HEADS[predictor.head].target),
        "trained_s": predictor.trained_s,
        "thresholds": _thresholds(predictor),
        **({} if predictor.novelty is None else {"novelty": predictor.novelty.threshold}),
        "members": describe_members(predictor),
        "files": {name: sha256_of(folder / name) for name in (MODELS[format], LABELS)},
        **({} if checked is None else {"checked": checked}),
    }
    if data_licence is not None:
        content["data_licence"] = data_licence
    record = ExportRecord.of(content, folder / FILE)
    record.write(folder / FILE)
    write_text(folder / CARD, model_card(record, address))
    return record


def _write_model(predictor: Predictor, path: Path, kind: str, progress: bool) -> Mapping[str, Any] | None:
    """Writes the file of the model; the content of a `CheckEntry` where it is a graph."""
    if kind == "bundle":
        write_weights(predictor, path)
        return None
    from soundprobe.predicting.exported_graph import RunGraph, compare, write_onnx, write_program

    graph = RunGraph(predictor)
    with progress_bar(f"export {kind}", 2, "", shown=progress) as bar:
        if kind == "onnx":
            written, runtime = write_onnx(graph, path), f"onnxruntime {version('onnxruntime')}"
        else:
            written, runtime = write_program(graph, path), f"torch.export {version('torch')}"
        bar.advance(1)
        return compare(written, predictor, graph.rate_hz, runtime)


def _known(source: Path, heads: Path) -> dict[str, Any]:
    """What a record says of where the heads come from; `heads` is the folder that other runs are below."""
    if is_export(source):
        told = read_export(source).content
        return {name: told[name] for name in KEPT if name in told}
    fit = read_fit(source)[0] if (source / FitRecord.FILE).exists() else None
    record = read_result(source) if fit is None else fit.run
    same = [run for run in named_runs(heads).found if run.record.dataset.identity == record.dataset.identity]
    alone = base_name(record) if fit is None else fit_name(fit)
    (name,) = [run.name for run in same if run.folder.samefile(source)] or [alone]
    data = record.dataset
    return {
        "name": name,
        "key": record.head.key if fit is None else fit.key,
        "dataset": {field: record.content["dataset"][field] for field in OF_DATA},
        **({"data_licence": LICENCES[data.name]} if data.name in LICENCES else {}),
        **(_scores(source, record) if fit is None else _scores_of_recipe(fit)),
        "accuracy_std": record.summary.accuracy.std_population,
        "controls": {
            run.name: run.accuracy
            for run in same
            if (run.is_control or NO_NETWORK in run.record.backbone.name) and run.fit is None and run.name != name
        },
    }


def _scores(source: Path, record: RunRecord) -> dict[str, Any]:
    table, told, classes = table_of(source, record), record.dataset.recordings_known, len(record.dataset.class_names)
    ids = table["clip_id"]
    groups = table.get("group", ids)
    known = bool((groups != ids).any()) if told is None else told
    scores = resample(predictions_of(table, str(source), classes))
    return {
        **({"recordings": len(np.unique(groups))} if known else {}),
        "accuracy": _interval(scores.interval("accuracy")),
        "macro_f1": _interval(scores.interval("macro_f1")),
    }


def _scores_of_recipe(fit: FitRecord) -> dict[str, Any]:
    summary = fit.run.summary
    return {
        **({} if fit.recordings is None else {"recordings": fit.recordings}),
        "accuracy": {"mean": summary.accuracy.mean, "low": fit.accuracy.low, "high": fit.accuracy.high},
        "macro_f1": {"mean": summary.macro_f1.mean},
        "recipe": fit.recipe_name,
    }


def _thresholds(predictor: Predictor) -> dict[str, float | None] | None:
    if predictor.thresholds is None:
        return None
    return {name: None if least == NEVER else least for name, least in predictor.thresholds.items()}


def _interval(found: Interval) -> dict[str, float | None]:
    return {"mean": found.value, "low": found.low, "high": found.high}
