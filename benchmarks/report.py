"""How long a report takes, and how large it is: many runs of many clips, and a few hundred clips with their sounds.

python benchmarks/report.py --rounds 3
python benchmarks/report.py --against ../before/src --rounds 3

"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import soundfile

from machine_note import describe
from soundprobe.base.records import Clips, Embeddings, FoldResult, RunResult
from soundprobe.data.catalog import open_data
from soundprobe.embeddings import store
from soundprobe.embeddings.sets import find_feature_sets, read_features
from soundprobe.scoring.results import write_result
from synthetic_embeddings import make_embeddings

MAKE = """
import json, sys, time
from pathlib import Path
began = time.perf_counter(), time.process_time()
from soundprobe.reporting.write import write_report
root = Path(sys.argv[1])
page = write_report(root / "heads", root / sys.argv[2], embeddings=root / "embeddings").html
wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
beside = sum(path.stat().st_size for path in page.parent.glob("report-audio/*"))
print(json.dumps([wall, cpu, page.stat().st_size / 1e6, beside / 1e6]))
"""
CLASSES, FOLDS, RATE_HZ, SECONDS = 10, 10, 22_050, 4.0


def write_runs(root: Path, runs: int, clips: int, seed: int, sounding: bool) -> None:
    """`runs` runs on `clips` clips with their embeddings, and with sounds if `sounding`."""
    made = make_embeddings(clips, 384, CLASSES, FOLDS, seed)
    rng = np.random.default_rng(seed)
    data = Clips("made", made.ids, ["x"] * clips, made.labels, made.folds, made.groups, made.class_names)
    address, digests = "gone", np.array([sha256(clip.encode()).hexdigest() for clip in made.ids])
    if sounding:
        address = str(write_sounds(root / "clips", made, rng))
        data = open_data(address, group_regex=r"^recording-\d+")
        digests = np.array([sha256(Path(str(source)).read_bytes()).hexdigest() for source in data.sources])
    folder = store.set_folder(root / "embeddings", data.name, "mn04", "0" * 12)
    every = list(range(clips))
    seconds = np.full(clips, SECONDS)
    part = store.write_part(store.part_path(folder, 0), data, every, every, made.features, digests, seconds, {})
    store.write_meta(folder, _meta(data, part, made.features.shape[1], address))
    (found,) = find_feature_sets(root / "embeddings")
    embeddings, _ = read_features(found)
    for number in range(runs):
        right = rng.random(clips) < 0.5 + 0.4 * number / max(runs - 1, 1)
        said = np.where(right, embeddings.labels, rng.integers(0, CLASSES, clips))
        proba = rng.dirichlet(np.full(CLASSES, 0.3), clips).astype(np.float32) / 2
        proba[np.arange(clips), said] += 0.5
        folds = [
            FoldResult(int(fold), embeddings.ids[rows], embeddings.labels[rows], proba[rows], train_clips=clips)
            for fold in np.unique(embeddings.folds)
            if (rows := np.flatnonzero(embeddings.folds == fold)).size
        ]
        info = {
            "kind": "probe",
            "dataset": {**found.dataset, "failed": 0, "left_out": []},
            "backbone": found.describe(),
            "head": {
                "name": "linear",
                "title": "Linear",
                "settings": {"l2": number},
                "seed": 0,
                "key": f"{number:012x}",
            },
            "command": "soundprobe probe",
            "versions": {"soundprobe": "0"},
            "created": "2026-01-01T00:00:00+00:00",
            "seconds": 1.0,
        }
        home = root / "heads" / data.name / "mn04-000000000000" / f"linear-{number:012x}"
        write_result(home, RunResult(folds, embeddings.class_names, info), embeddings)


def write_sounds(folder: Path, made: Embeddings, rng: np.random.Generator) -> Path:
    """Class folders of noise that fades, 4 s a clip."""
    for clip, recording, label in zip(made.ids, made.groups, made.labels, strict=True):
        path = folder / made.class_names[label] / f"{recording}-{clip}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.normal(0, 0.1, round(RATE_HZ * SECONDS)) * np.linspace(1, 0.2, round(RATE_HZ * SECONDS))
        soundfile.write(path, noise, RATE_HZ)
    return folder


def _meta(data: Clips, part: store.Part, dimension: int, address: str) -> dict[str, object]:
    return {
        "key": "0" * 12,
        "complete": True,
        "dataset": {
            "name": data.name,
            "fingerprint": "f",
            "clips": len(data),
            "class_names": list(data.class_names),
            "folds": np.unique(data.folds).tolist(),
            "opened_as": {"data": address, "group_regex": r"^recording-\d+"},
        },
        "backbone": {
            "name": "mn04",
            "title": "EfficientAT mn04",
            "weights": "pretrained",
            "weights_label": "AudioSet",
            "weights_sha256": "ab",
            "embedding_dim": dimension,
            "parameters": 10,
            "settings": {},
        },
        "device": "cpu",
        "command": "soundprobe extract",
        "embedded": part.clips,
        "embedded_folds": np.unique(data.folds).tolist(),
        "parts": [{"file": part.path.name, "clips": part.clips}],
        "failures": [],
        "seconds_per_clip": 0.01,
    }


def make(root: Path, name: str, package: Path) -> list[float]:
    """Wall and processor seconds, MB of the page, MB beside it, of one report in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(package), "SOUNDPROBE_OFFLINE": "1"}
    command = [sys.executable, "-c", MAKE, str(root), name]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--clips", type=int, default=8732)
    parser.add_argument("--heard", type=int, default=400, help="clips of the report with sounds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--against", type=Path, help="the src folder of another version, measured in turn")
    options = parser.parse_args()
    here = Path(__file__).resolve().parents[1] / "src"
    packages = {"here": here} | ({"against": options.against.resolve()} if options.against else {})
    print(f"{describe()}; seconds of wall clock and processor, MB of the page, MB beside it")
    with tempfile.TemporaryDirectory() as name:
        many, heard = Path(name) / "many", Path(name) / "heard"
        write_runs(many, options.runs, options.clips, options.seed, sounding=False)
        write_runs(heard, 2, options.heard, options.seed, sounding=True)
        first, again = (f"{options.heard} clips, {which}" for which in ("first report", "again"))
        cases = {f"{options.runs} runs of {options.clips:,} clips": many, first: heard, again: heard}
        told: dict[tuple[str, str], list[list[float]]] = {(case, who): [] for case in cases for who in packages}
        for number in range(options.rounds):
            for case, root in cases.items():
                for who, package in packages.items():
                    told[case, who].append(make(root, f"{who}-{number}", package))
    for case in cases:
        medians = {
            who: [statistics.median(column) for column in zip(*told[case, who], strict=True)] for who in packages
        }
        for who, (wall, cpu, page, beside) in medians.items():
            print(f"{case:32s} {who:8s} {wall:6.2f} s, processor {cpu:6.2f} s; {page:6.2f} MB, beside {beside:6.2f} MB")
        if "against" in medians:
            ratios = [before / now for before, now in zip(medians["against"], medians["here"], strict=True) if now]
            print(f"{'':32s} ratio    {ratios[0]:6.2f},   processor {ratios[1]:6.2f};   {ratios[2]:6.2f}")


if __name__ == "__main__":
    main()
