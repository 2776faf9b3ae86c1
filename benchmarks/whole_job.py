"""The whole job, from a folder of clips to cross-validated scores, beside other kits: the same clips, the same mn04.

    python benchmarks/whole_job.py --data UrbanSound8K/ --weights mn04.pt \\
        --python notebook=env-notebook/bin/python --python xares=env-xares/bin/python --python mteb=env-mteb/bin/python

Each contestant is a process of its own in the environment that `--python` names, or in this one, and counts from its
start to its end, imports included. mn04 comes from soundprobe everywhere: the kits don't have it, so it goes into them
by our adapters. Rounds are interleaved. Cold starts in an empty folder; warm is the same again in it. A round before
the counted ones fills the system's cache of files and Python's of compiled modules, for all.

`--copies 22` makes 397 clips UrbanSound8K's size: copies that keep their recordings' names, each turned in time and
with noise of its own, in ten folds by recording. The round before is on the clips as they are.

probe: `extract` and `probe`: linear, MLP and kNN heads, chosen on inner splits by recording.
compare: `compare` as it stands: these, and the untrained network, statistics of a spectrogram, shuffled labels and the
    page.
notebook: librosa.load clip by clip and the network by batches of 16, on all threads, then scikit-learn's
    `GridSearchCV` with a process of one thread for each core: three heads with our candidates, chosen on inner splits
    by recording; the perceptron's epochs as in `heads.py`. It keeps nothing, so that warm is cold.
xares: X-ARES's own task: a linear layer, 10 epochs, and kNN. Nothing is chosen but the epoch, by the test fold.
mteb: MTEB's own class of UrbanSound8K: 8 training clips a class. Nothing is chosen; its folds are drawn clip by clip.

Seeds are 0, or the kit's own 42. Processor seconds are the process's and its children's. On a busy machine neither
clock can be believed with two threads, which then mostly wait for each other, at many times the processor seconds.
Use an idle one.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

Clips = list[dict[str, str]]
"""Each with its path, label, group and fold."""
Scores = dict[str, float]
"""Mean accuracy over the folds, by head."""


def probe(data: str, weights: str) -> Scores:
    import soundprobe

    soundprobe.extract(data, backbone="mn04", weights=weights, progress=False)
    return scores_of(soundprobe.probe(head="linear,mlp,knn", progress=False))


def compare(data: str, weights: str) -> Scores:
    import soundprobe

    return scores_of(soundprobe.compare(data, weights=weights, progress=False).runs)


def scores_of(runs: Iterable[Any]) -> Scores:
    """Of the pretrained network on true labels."""
    records = [run.record for run in runs]
    scored = [
        one for one in records if one.backbone.weights_label == "pretrained" and "control" not in one.head.settings
    ]
    return {one.head.name: one.summary.accuracy.mean for one in scored}


def notebook(clips: Clips, weights: str) -> Scores:
    import librosa
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from heads import EPOCHS
    from soundprobe.adapters.embedder import Embedder
    from soundprobe.heads import KNNHead, LinearHead, MLPHead

    network = Embedder("mn04", weights)
    rate_hz, rows = network.spec.sample_rate_hz, []
    for start in range(0, len(clips), 16):
        waves = [librosa.load(clip["path"], sr=rate_hz)[0] for clip in clips[start : start + 16]]
        longest = max(map(len, waves))
        batch = np.stack([librosa.util.fix_length(wave, size=longest) for wave in waves])
        rows.append(network.embed(torch.from_numpy(batch)).numpy())
    X = np.concatenate(rows)
    y, groups, folds = (np.array([clip[column] for clip in clips]) for column in ("label", "group", "fold"))

    linear, mlp, knn = LinearHead(), MLPHead(), KNNHead()
    perceptron = MLPClassifier(alpha=mlp.weight_decay, tol=0.0, n_iter_no_change=10**6, random_state=0)
    grid = {
        "head__hidden_layer_sizes": [(width,) for width in mlp.widths],
        "head__learning_rate_init": list(mlp.learning_rates),
        "head__max_iter": list(EPOCHS),
    }
    searches: dict[str, tuple[Any, dict[str, list[Any]], int, str]] = {
        "linear": (
            LogisticRegression(max_iter=1000),
            {"head__C": list(linear.strengths)},
            linear.inner_splits,
            "neg_log_loss",
        ),
        "mlp": (perceptron, grid, mlp.inner_splits, "neg_log_loss"),
        "knn": (
            KNeighborsClassifier(metric="cosine"),
            {"head__n_neighbors": list(knn.ks)},
            knn.inner_splits,
            "accuracy",
        ),
    }
    scores = {}
    for name, (head, candidates, splits, scoring) in searches.items():
        pipeline = Pipeline([("scaler", StandardScaler()), ("head", head)])
        inner = StratifiedGroupKFold(splits, shuffle=True, random_state=0)
        search = GridSearchCV(pipeline, candidates, scoring=scoring, cv=inner, n_jobs=os.cpu_count())
        correct = []
        for fold in np.unique(folds):
            train, test = folds != fold, folds == fold
            search.fit(X[train], y[train], groups=groups[train])
            correct.append((search.predict(X[test]) == y[test]).mean())
        scores[name] = float(np.mean(correct))
    return scores


def xares(clips: Clips, weights: str) -> Scores:
    from xares.audiowebdataset import write_audio_tar
    from xares.common import XaresSettings
    from xares.task import TaskConfig, XaresTask

    from soundprobe.adapters.xares import BackboneEncoder

    class Mn04Encoder(BackboneEncoder):
        pass

    Mn04Encoder.weights = weights
    labels = sorted({clip["label"] for clip in clips})
    folds = sorted({clip["fold"] for clip in clips})
    task = XaresTask(
        TaskConfig(
            name="whole-job",
            private=True,
            env_root=Path.cwd(),
            encoder=Mn04Encoder(),
            k_fold_splits=list(folds),
            output_dim=len(labels),
            label_processor=lambda row: labels.index(row["label"]),
        )
    )
    for fold in folds:
        tested = [clip for clip in clips if clip["fold"] == fold]
        write_audio_tar(
            [clip["path"] for clip in tested],
            [clip["label"] for clip in tested],
            str(task.env_dir / task.config.audio_tar_name_of_split[fold]),
            num_shards=task.config.num_shards_rawaudio,
        )
    (task.env_dir / XaresSettings().audio_ready_filename).touch()
    (linear, _), (knn, _) = task.run()
    return {"linear": float(linear), "knn": float(knn)}


def mteb(clips: Clips, weights: str) -> Scores:
    import datasets
    import mteb
    from mteb.tasks.classification.zxx.urban_sound8k import UrbanSound8kClassification

    from soundprobe.adapters.mteb import BackboneEncoder

    labels = sorted({clip["label"] for clip in clips})
    columns = {
        "audio": [clip["path"] for clip in clips],
        "classID": [labels.index(clip["label"]) for clip in clips],
    }
    rows = datasets.Dataset.from_dict(columns).cast_column("audio", datasets.Audio())
    task = UrbanSound8kClassification()
    task.dataset, task.data_loaded = datasets.DatasetDict(train=rows), True
    encoder = BackboneEncoder("mn04", weights=weights, device="cpu")
    done = mteb.evaluate(encoder, task, cache=mteb.ResultCache("mteb"), show_progress_bar=False)
    return {"linear": done.task_results[0].get_score()}


CONTESTANTS = {"probe": probe, "compare": compare, "notebook": notebook, "xares": xares, "mteb": mteb}
OWN = ("probe", "compare")
CHOSEN_BY = {
    "probe": "inner splits by recording",
    "compare": "inner splits by recording",
    "notebook": "inner splits by recording",
    "xares": "the epoch by the test fold; 10 epochs of one setting",
    "mteb": "nothing; 8 training clips a class",
}


def take_part(options: argparse.Namespace) -> None:
    """Prints the scores, as JSON, of one contestant, in the working folder."""
    clips = options.data if options.only in OWN else list(csv.DictReader(Path(options.data).read_text().splitlines()))
    print(json.dumps(CONTESTANTS[options.only](clips, options.weights)))


def timed(name: str, python: str, data: str, weights: str, folder: Path) -> tuple[float, float, Scores]:
    """Wall and processor seconds, and the scores, of one contestant's run in `folder`."""
    words = [python, __file__, "--only", name, "--data", data, "--weights", weights]
    # Perceptrons that stop at the epochs that they are told warn each time, in processes too.
    environ = {**os.environ, "PYTHONWARNINGS": "ignore"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # half of the time would be Python's compiler
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ran = subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ran.returncode:
        sys.exit(f"{name} failed:\n{ran.stderr[-3000:]}")
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, busy, json.loads(ran.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="a data set's folder, with folds")
    parser.add_argument("--weights", required=True, help="mn04's")
    parser.add_argument("--contestants", default=",".join(CONTESTANTS), help="by default all: %(default)s")
    parser.add_argument("--copies", type=int, default=1, help="so many of each clip")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", action="append", default=[], metavar="NAME=FILE", help="a contestant's interpreter")
    parser.add_argument("--only", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        take_part(options)
    else:
        measure(options)


def copied(clips: Any, copies: int, folder: Path) -> Path:
    """The table of `copies` of each clip, which are written into `folder`; without folds, so that those are made."""
    drawn, table = np.random.default_rng(0), folder / "copies.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group"])
        for source, label, group in zip(clips.sources, clips.labels, clips.groups, strict=True):
            wave, rate_hz = soundfile.read(source)
            for copy in range(copies):
                path = folder / f"{copy}-{Path(source).name}"
                noise = drawn.normal(scale=0.03 * wave.std() + 1e-4, size=wave.shape)
                soundfile.write(path, np.roll(wave, drawn.integers(len(wave)), axis=0) + noise, rate_hz)
                writer.writerow([path, clips.class_names[label], group])
    return table


def write_table(path: Path, clips: Any) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group", "fold"])
        labels = np.array(clips.class_names)[clips.labels]
        writer.writerows(zip(clips.sources, labels, clips.groups, clips.folds, strict=True))


def measure(options: argparse.Namespace) -> None:
    from machine_note import describe, spread
    from soundprobe.data.catalog import open_data

    pythons = dict(pair.split("=", 1) for pair in options.python)
    names = options.contestants.split(",")
    weights = str(Path(options.weights).resolve())
    kinds = ("cold", "warm")
    wall: dict[tuple[str, str], list[float]] = {(name, kind): [] for name in names for kind in kinds}
    busy: dict[tuple[str, str], list[float]] = {key: [] for key in wall}
    scores: dict[str, Scores] = {}
    with tempfile.TemporaryDirectory() as place:
        as_they_are = open_data(options.data)
        clips = as_they_are if options.copies == 1 else open_data(copied(as_they_are, options.copies, Path(place)))
        print(f"{describe()}; {len(clips)} clips, {options.rounds} rounds", flush=True)
        table, few = Path(place) / "clips.csv", Path(place) / "few.csv"
        write_table(table, clips)
        write_table(few, as_they_are)
        for round_ in range(options.rounds + 1):
            for name in names:
                with tempfile.TemporaryDirectory(dir=place) as folder:
                    for kind in kinds:
                        given = str(table if round_ else few)
                        python = os.path.abspath(pythons.get(name, sys.executable))
                        if kind == "cold" or name != "notebook":
                            seconds, work, scores[name] = timed(name, python, given, weights, Path(folder))
                        if round_:
                            wall[name, kind].append(seconds)
                            busy[name, kind].append(work)
                        told = f"{seconds:.1f} s, processor {work:.1f} s, load {os.getloadavg()[0]:.1f}"
                        print(f"  round {round_}: {name} {kind} {told}", flush=True)
    print("| | accuracy | chosen by |" + "".join(f" {kind}, s | processor, s | times `probe`'s |" for kind in kinds))
    print("|---|---|---|" + "---|---|---|" * len(kinds))
    for name in names:
        row = [name, ", ".join(f"{head} {score:.3f}" for head, score in scores[name].items()), CHOSEN_BY[name]]
        for kind in kinds:
            ratio = statistics.median(wall[name, kind]) / statistics.median(wall["probe", kind])
            row += [spread(wall[name, kind]), spread(busy[name, kind]), f"{ratio:.1f}"]
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
