"""What soundprobe writes and reads again, and what users give it: sets, runs, heads, checkpoints, recipes, tables.

The samples are what version 0.1.0 left, without digests, so that every parser meets the mutations; and signed ones, of
which none but the whole may be read.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mutate import Target, mutate_bytes, mutate_json

from samples_of_0_1_0 import unpacked
from soundprobe.base.digests import MARK
from soundprobe.base.files import read_json, write_json
from soundprobe.data.catalog import open_data
from soundprobe.data.corrections import correct_labels
from soundprobe.data.readers.predictions import match_predictions
from soundprobe.data.readers.table import read_table
from soundprobe.embeddings import store
from soundprobe.embeddings.quantising import QuantisedRecord
from soundprobe.embeddings.sets import find_feature_sets, read_features
from soundprobe.heads.catalog import load_head
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.scoring import results
from soundprobe.scoring.measured import LearningCurveRecord, PeekingRecord
from soundprobe.scoring.run_names import named_runs
from soundprobe.training.inputs import open_inputs
from soundprobe.training.log import folds_table
from soundprobe.training.recipes import finetune_recipe
from soundprobe.training.state import load_checkpoint
from soundprobe.training.tuned_backbones import open_run
from sounds import write_urbansound_layout

TABLE = "path,label,fold,recording\n" + "".join(
    f"{kind}-{1 + n % 2}{n}-{k}.wav,{kind},{1 + n % 2},{kind}{n}\n"
    for kind in ("hum", "hiss")
    for n in range(4)
    for k in range(2)
)


def targets(folder: Path) -> list[Target]:
    """All of them, with their samples below `folder`."""
    sample = unpacked(folder / "samples")
    return [*_sets(sample), *_runs(sample), *_training(sample), *_tables(folder), *_signed(folder)]


def the(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


def _put(name: str, place: Path, read: Callable[[], object], mutate: object = None) -> Target:
    """The file at `place` as a sample that is put in its own place before `read` is called."""
    return _put_several(name, place, [place.read_bytes()], read, mutate)


def _put_several(
    name: str, place: Path, samples: list[bytes], read: Callable[[], object], mutate: object = None
) -> Target:
    def put(content: bytes) -> object:
        place.write_bytes(content)
        try:
            return read()
        finally:
            place.write_bytes(samples[0])

    return Target(name, samples, put, mutate)  # type: ignore[arg-type]


def _sets(sample: Path) -> list[Target]:
    root = sample / "embeddings"
    tuned = the(root, "clips/crnn-finetuned-fold-01-*")
    folder = the(root, "clips/crnn-0*")
    count = len(list(root.glob("clips/*")))

    def find(own: Path) -> None:
        found, unusable = store.find_sets(root)
        assert len(found) + len(unusable) == count, "a set was lost"
        assert len(found) >= count - 1, "a broken set stops others"
        for feature_set in find_feature_sets(root, backbone="mn04"):
            read_features(feature_set)
        for embedding_set in found:
            if embedding_set.folder == own:
                store.read_embeddings(embedding_set)

    def read_part() -> None:
        part = folder / "part-00000.parquet"
        plan = ids
        assert store.finished_part(part, plan) is None or part.exists()
        embeddings = store.read_embeddings(store.open_set(folder))
        assert len(embeddings.ids) == len(embeddings.labels) == len(embeddings.groups) == len(embeddings.features)
        assert np.isfinite(embeddings.features).all()

    ids = store.read_embeddings(store.open_set(folder)).ids.tolist()
    int8 = the(sample, "embeddings-int8/clips/*/network.json")
    return [
        _put("record-set", folder / "meta.json", lambda: find(folder), mutate_json),
        _put("record-set-of-network", tuned / "meta.json", lambda: find(tuned), mutate_json),
        _put("record-part", folder / "part-00000.parquet", read_part),
        _put("record-quantised", int8, lambda: QuantisedRecord.read(int8), mutate_json),
    ]


def _runs(sample: Path) -> list[Target]:
    heads = sample / "heads"
    knn, mlp, linear = (the(heads, f"clips/{name}") for name in ("crnn-0*/knn-*", "crnn-0*/mlp-*", "mn04-*/linear-*"))
    tuned = the(heads, "clips/crnn-0*/finetune-*")
    aside = sample / "aside"
    shutil.copytree(heads, aside)
    for other in sorted(heads.glob("clips/*/*")):  # few runs, so that each case is quick
        if other not in (knn, mlp, linear, tuned):
            shutil.rmtree(other)

    def collect() -> None:
        collection = collect_runs(heads)
        paths = [run.path for run in (*collection.runs, *collection.unreadable)]
        assert len({"/".join(path.split("/")[:3]) for path in paths}) == 4, "a run was lost"
        assert len(collection.runs) >= 3, "a broken run stops others"
        assert all("\n" not in run.reason and len(run.reason) < 2000 for run in collection.unreadable)
        runs = named_runs(heads)
        assert len(runs.found) + len(runs.others) == 4, "a run was not listed"

    def head(path: Path) -> None:
        result, arrays, record = results.read_fold(path)
        trained = load_head(record.about.head, arrays, record.params)
        assert len(trained.predict_proba(np.zeros((2, trained.n_features_in_), np.float32))) == 2
        assert len(result.proba) == len(result.y_true) == len(result.ids)

    def network() -> None:
        run = open_run(tuned)
        results.check_network(results.network_path(run.folder, 1))

    found = [
        _put(f"record-{name}", folder / file, collect, mutate)
        for name, folder, file, mutate in (
            ("run", mlp, "result.json", mutate_json),
            ("run-of-networks", tuned, "result.json", mutate_json),
            ("predictions", knn, "predictions.parquet", None),
            ("peeking", the(heads, "clips/*/*/peeking.json").parent, "peeking.json", mutate_json),
        )
    ]
    for name, folder in (("knn", knn), ("mlp", mlp)):
        path = results.fold_path(folder, 1)
        found.append(_put(f"record-head-{name}", path, lambda path=path: head(path)))  # type: ignore[misc]
    return [
        *found,
        _put("record-network", results.network_path(tuned, 1), network),
        _put("record-networks-of", tuned / "result.json", network, mutate_json),
    ]


def _training(sample: Path) -> list[Target]:
    run = the(sample, "interrupted/clips/*/*")
    checkpoint, inputs = the(run, "checkpoints/*.pt"), run / "inputs" / "inputs.json"

    def resume() -> None:
        state = load_checkpoint(checkpoint)
        assert state is None or isinstance(state, dict)

    curve = the(sample, "aside/clips/*/*/learning-curve.json")
    history = the(sample, "aside/clips/*/finetune-*/fold-01-history.csv")
    recipe = sample / "recipe.toml"
    recipe.write_text(Path(str(_recipe())).read_text(encoding="utf-8"), encoding="utf-8")
    return [
        _put("record-checkpoint", checkpoint, resume),
        _put("record-inputs", inputs, lambda: open_inputs(inputs.parent), mutate_json),
        _put("record-learning-curve", curve, lambda: LearningCurveRecord.read(curve), mutate_json),
        _put("record-peeking-alone", the(curve.parent, "peeking.json"), lambda: _peek(curve.parent), mutate_json),
        _put("table-history", history, lambda: folds_table("x", history.parent, [1], 9)),
        _put("toml-recipe", recipe, lambda: finetune_recipe(None, str(recipe))),
    ]


def _peek(folder: Path) -> None:
    PeekingRecord.read(folder / PeekingRecord.FILE)


def _recipe() -> Path:
    from soundprobe.base.config import recipe_folder

    return recipe_folder() / "finetune-crnn.toml"


def _tables(folder: Path) -> list[Target]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = folder / "data"
    place.mkdir(exist_ok=True)
    rows = [line.split(",") for line in TABLE.splitlines()]
    for name in {row[0] for row in rows[1:]}:
        (place / name).write_bytes(b"RIFF")
    endings = ("csv", "tsv", "jsonl", "parquet", "p.csv")
    csv, tsv, jsonl, parquet, predictions = (place / f"a.{ending}" for ending in endings)
    csv.write_text(TABLE)
    tsv.write_text(TABLE.replace(",", "\t"))
    jsonl.write_text("\n".join(_line(dict(zip(rows[0], row, strict=True))) for row in rows[1:]))
    columns = dict(zip(rows[0], map(list, zip(*rows[1:], strict=True)), strict=True))
    audio = [{"bytes": b"RIFF", "path": name} for name in columns["path"]]
    pq.write_table(pa.table({"audio": audio, "label": columns["label"], "fold": columns["fold"]}), parquet)
    shared = place / "p.parquet"
    pq.write_table(pa.table({"clip": columns["path"], "hum": [0.25] * 16, "hiss": [0.75] * 16}), shared)
    shares = [f"{row[0]},0.25,0.75" for row in rows[1:]]
    predictions.write_text("\n".join(["clip,hum,hiss", *shares]))
    clips = open_data(csv)

    def match(path: Path) -> None:
        told = match_predictions(read_table(path), clips)
        assert told.proba is None or np.isfinite(told.proba).all()

    opened = [
        _put(f"table-{path.suffix[1:]}", path, lambda path=path: open_data(path))  # type: ignore[misc]
        for path in (csv, tsv, jsonl, parquet)
    ]
    urban = write_urbansound_layout(folder / "urban", folds=2, recordings=1, slices=1, seconds=0.1)
    fixes = place / "fixes.csv"
    fixes.write_text("clip,given,correction\n" + "".join(f"{row[0]},{row[1]},hum\n" for row in rows[1:5]))
    return [
        *opened,
        _put("table-urbansound8k", the(urban, "metadata/*.csv"), lambda: open_data(urban)),
        _put("table-predictions", predictions, lambda: match(predictions)),
        _put("table-predictions-parquet", shared, lambda: match(shared)),
        _put("table-corrections", fixes, lambda: correct_labels(clips, fixes)),
    ]


def _line(row: dict[str, str]) -> str:
    import json

    return json.dumps(row)


def _signed(folder: Path) -> list[Target]:
    """A signed record: no mutation of it is taken for the whole, unless it makes an unsigned one of it."""
    path = folder / "signed.json"
    whole = {"format": 1, "values": list(range(50)), "name": "x" * 100, "deep": {"a": [{"b": None}]}}
    write_json(path, whole)
    original = path.read_bytes()

    def read(content: bytes) -> None:
        path.write_bytes(content)
        found = read_json(path)
        assert found == whole or MARK.encode() not in content, "damage was not noticed"

    def mutate(content: bytes, draw: random.Random) -> bytes:
        return (mutate_json if draw.random() < 0.5 else mutate_bytes)(content, draw)

    return [Target("signed-json", [original], read, mutate)]
