"""Finished runs in MLflow: settings, scores by fold, curves, and the keys that name them."""

from __future__ import annotations

import datetime
import json
import logging
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from soundprobe.base.errors import ConfigError, note, one_line
from soundprobe.base.files import offline, path_name
from soundprobe.base.locks import locked
from soundprobe.scoring.results import FinishedRun
from soundprobe.scoring.run_names import NamedRun, base_name
from soundprobe.scoring.run_records import RunRecord

AT_ONCE = 1000
"""So many metrics MLflow takes at once."""
USUAL = {
    "MLFLOW_ALLOW_FILE_STORE": "true",  # a folder is what was asked for
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # else a server that is gone is waited for for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""MLflow's settings, where the environment has no others."""


def track(runs: Iterable[FinishedRun | NamedRun], to: str | Path) -> None:
    """Logs runs to MLflow, each once: what is there already with the same keys and time is left alone.

    An experiment is a data set, a run's name the one of `runs list`. A run that can't be logged is a warning.

    Args:
        to: a folder, or the URI of a tracking server or database.

    Raises:
        ConfigError: MLflow is not installed, `to` is empty, or the network is forbidden and `to` is on it.
    """
    where = check_tracker(to)
    for run in runs:
        disabled = logging.root.manager.disable
        logging.disable()  # MLflow's tracebacks, of which the warning says the cause
        try:
            with nullcontext() if "://" in str(to) else locked(Path(to), wait=True):
                _log(run.record, where)
        except Exception as error:  # whatever a tracker does, the run is done and kept
            said = f"MLflow has no run {base_name(run.record)}: {one_line(error)[:300]}. The run itself is kept."
            note(said)
        finally:
            logging.disable(disabled)


def check_tracker(to: str | Path) -> str:
    """The tracking URI of a folder or URI.

    Raises:
        ConfigError: MLflow is not installed, `to` is empty, or the network is forbidden and `to` is on it.
    """
    if not str(to):
        raise ConfigError("--mlflow is empty. Name a folder, or the URI of a tracking server.")
    if find_spec("mlflow") is None:
        raise ConfigError("--mlflow needs MLflow, which is not installed: pip install 'soundprobe[mlflow]'")
    if "://" not in str(to):
        return Path(to).resolve().as_uri()
    if (forbidding := offline()) and str(to).startswith("http"):
        raise ConfigError(f"--mlflow {to} is on the network, which {forbidding} forbids. Name a folder.")
    return str(to)


def _log(record: RunRecord, where: str) -> None:
    for name, value in USUAL.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient(tracking_uri=where)
    known = client.get_experiment_by_name(record.dataset.name)
    experiment = client.create_experiment(record.dataset.name) if known is None else known.experiment_id
    tags = {
        "soundprobe.embeddings": record.backbone.key,
        "soundprobe.head": record.head.key,
        "soundprobe.created": record.created,
        "soundprobe.fingerprint": record.dataset.fingerprint,
        "soundprobe.command": record.command,
        "soundprobe.kind": record.kind,
    }
    same = " and ".join(f"tags.`{name}` = '{tags[name]}'" for name in list(tags)[:3])
    there = client.search_runs([experiment], same, max_results=1)
    if there and there[0].info.status == "FINISHED":
        return
    ended_ms = round(datetime.datetime.fromisoformat(record.created).timestamp() * 1000)
    began_ms = ended_ms - round(1000 * record.seconds)
    # What a killed process began is filled.
    run = (there[0] if there else client.create_run(experiment, began_ms, tags, base_name(record))).info.run_id
    client.log_batch(run, params=[Param(name, value) for name, value in _params(record)])
    metrics = [Metric(name, value, ended_ms, step) for name, value, step in _metrics(record)]
    for start in range(0, len(metrics), AT_ONCE):
        client.log_batch(run, metrics=metrics[start : start + AT_ONCE])
    client.set_terminated(run, end_time=ended_ms)


def _params(record: RunRecord) -> Iterator[tuple[str, str]]:
    backbone, head = record.backbone, record.head
    yield from (("backbone", backbone.name), ("weights", backbone.weights_label), ("head", head.name))
    yield from (("seed", str(head.seed)), ("clips", str(record.dataset.clips)), ("device", record.device or "cpu"))
    for name, value in head.settings.items():
        yield path_name(f"setting.{name}"), value if isinstance(value, str) else json.dumps(value)


def _metrics(record: RunRecord) -> Iterator[tuple[str, float, int]]:
    """Name, value and step: means over folds, each fold's by its number, and what its training saw, step by step."""
    for name in ("accuracy", "macro_f1"):
        yield name, getattr(record.summary, name).mean, 0
        yield from ((f"fold/{name}", getattr(one, name), one.fold) for one in record.folds)
    for one in record.folds:
        for place, line in enumerate(one.history):
            step, again = line.get("epoch", place), "refit." if line.get("refit") else ""
            for name, value in line.items():
                if name != "epoch" and _is_number(value):
                    yield path_name(f"fold-{one.fold:02d}.{again}{name}"), float(value), int(step)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
