"""What a recording costs by its length: `predict` beside a plain loop over windows and panns_inference's frames.

    python benchmarks/predict.py --minutes 1,60,480              mn04: time and memory against length
    python benchmarks/predict.py panns --minutes 1,10 --peers    beside the loops, in one run
    python benchmarks/predict.py --joined ESC-10/                segments of a recording joined of unheard clips

Each row is a process of its own, so that its peak memory is its own; importing and loading are in the memory and not in
the time. Rounds are interleaved. The recording is noise that swells, 32 kHz, 16-bit WAV, made beforehand. Windows are
of 4 s every 2 s, the head is a linear one on ten classes; the networks' weights are random ones, which cost the same.

window loop: soundfile reads the whole file, then each window goes through the backbone and the head by itself, without
    shortcuts and without a second stream.
frames of panns_inference: soundfile reads the whole file, then Cnn14_DecisionLevelMax gives the framewise output of
    each minute. Its SoundEventDetection takes a whole waveform at once, which is out of memory before an hour.

--joined makes a run of the clips of folds 1 to 4 (mn04, a linear head), joins those of fold 5 in random order, and says
the segment-based F1 (segments of 1 s, micro-averaged; Mesaros et al. 2016) of what predict makes of it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from machine_note import describe, spread

RATE_HZ, WINDOW_S, HOP_S, CLASSES = 32_000, 4.0, 2.0, 10
OURS, LOOP, FRAMES = "predict", "window loop", "frames of panns_inference"
SEGMENT_S = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backbones", nargs="*", default=["mn04"], help="names; panns also has its frames as a peer")
    parser.add_argument("--minutes", default="1,60", help="of recordings")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", action="store_true", help="the loops as well")
    parser.add_argument("--joined", metavar="DATA", help="segments of a recording joined of this data set's clips")
    parser.add_argument("--weights", default="random", help="of mn04, for --joined")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measured(*json.loads(options.row))))
        return
    print(describe())
    if options.joined:
        print(joined(options.joined, options.weights))
        return
    rows = [(OURS, name) for name in options.backbones]
    if options.peers:
        rows += [(LOOP, name) for name in options.backbones]
        rows += [(FRAMES, "panns")] if "panns" in options.backbones else []
    print(f"{'row':<34}{'minutes':>8}{'times real time':>26}{'a core':>22}{'peak memory, GB':>20}")
    with tempfile.TemporaryDirectory() as folder:
        for minutes in map(float, options.minutes.split(",")):
            file = Path(folder) / "recording.wav"
            write_recording(file, minutes)
            found: dict[tuple[str, str], list[dict[str, float]]] = {row: [] for row in rows}
            for _ in range(options.rounds):
                for row in rows:
                    found[row].append(in_process([*row, str(file)]))
            for (kind, name), runs in found.items():
                speed = spread([60 * minutes / run["seconds"] for run in runs])
                core = spread([60 * minutes / run["cpu_seconds"] for run in runs])
                memory = max(run["peak_gb"] for run in runs)
                print(f"{f'{name}: {kind}':<34}{minutes:>8g}{speed:>26}{core:>22}{memory:>20.2f}", flush=True)


def in_process(row: list[str]) -> dict[str, float]:
    command = [sys.executable, __file__, "--row", json.dumps(row)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def write_recording(file: Path, minutes: float) -> None:
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(file, "w", RATE_HZ, 1, "PCM_16", format="W64") as out:
        for _ in range(round(minutes)):
            swell = np.repeat(rng.uniform(0.01, 0.3, 60), RATE_HZ)
            out.write((swell * rng.normal(size=60 * RATE_HZ)).clip(-1, 1).astype(np.float32))


def measured(kind: str, name: str, file: str) -> dict[str, float]:
    """Seconds of wall and of all threads, and the peak memory of this process in 1e9 bytes."""
    work = {OURS: ours, LOOP: window_loop, FRAMES: frames}[kind](name)
    began, began_cpu = time.perf_counter(), time.process_time()
    work(file)
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - began_cpu,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }


def head_on(width: int) -> Any:
    from soundprobe.heads.catalog import make_head

    rng = np.random.default_rng(0)
    labels = np.arange(4 * CLASSES) % CLASSES
    features = rng.normal(size=(len(labels), width)).astype(np.float32)
    return make_head("linear", strengths=[1.0]).fit(features, labels, groups=np.arange(len(labels)).astype(str))


def ours(name: str) -> Any:
    from soundprobe.backbones.load import load_backbone
    from soundprobe.predicting.predictor import Listening, Member, Predictor

    backbone = load_backbone(name, weights="random", shortcuts=False, progress=False)
    member = Member((backbone,), (head_on(backbone.spec.embedding_dim),))
    names = tuple(map(str, range(CLASSES)))
    predictor = Predictor(Path(), names, (member,), torch.device("cpu"))
    return lambda file: predictor.predict(file, Listening(WINDOW_S, HOP_S))


def window_loop(name: str) -> Any:
    from soundprobe.backbones.load import load_backbone

    backbone = load_backbone(name, weights="random", shortcuts=False, progress=False)
    head = head_on(backbone.spec.embedding_dim)

    def work(file: str) -> list[np.ndarray]:
        wave, _ = soundfile.read(file, dtype="float32")
        window, hop = round(WINDOW_S * RATE_HZ), round(HOP_S * RATE_HZ)
        said = []
        with torch.inference_mode():
            for at in range(0, len(wave) - window + 1, hop):
                waves = torch.from_numpy(wave[at : at + window])[None]
                embedded = backbone.network.embed(waves, torch.tensor([window])).numpy()
                said.append(head.predict_proba(embedded)[0])
        return said

    return work


def frames(_: str) -> Any:
    from original_cnn14 import original_framewise

    network = original_framewise()

    def work(file: str) -> list[np.ndarray]:
        wave, _ = soundfile.read(file, dtype="float32")
        minute = 60 * RATE_HZ
        with torch.no_grad():
            return [
                network(torch.from_numpy(wave[at : at + minute])[None], None)["framewise_output"].numpy()
                for at in range(0, len(wave), minute)
            ]

    return work


def joined(data: str, weights: str) -> str:
    import soundprobe
    from soundprobe.audio.decode import decode
    from soundprobe.audio.encoded import open_encoded
    from soundprobe.predicting.predictor import Listening

    clips = soundprobe.open_data(data)
    last = max(clips.tested_folds)
    unheard = np.flatnonzero(clips.folds == last)
    rng = np.random.default_rng(0)
    rng.shuffle(unheard)
    names = np.array(clips.class_names)[clips.labels]
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        table = ["path,label,fold"]
        table += [
            f"{clips.sources[row]},{names[row]},{clips.folds[row]}" for row in np.flatnonzero(clips.folds != last)
        ]
        (root / "heard.csv").write_text("\n".join(table) + "\n")
        where = {"embeddings": root / "embeddings", "progress": False}
        soundprobe.extract(root / "heard.csv", backbone="mn04", weights=weights, **where)
        (run,) = soundprobe.probe(head="linear", heads=root / "heads", **where)
        waves = [decode(open_encoded(clips.sources[row]), sample_rate_hz=RATE_HZ, name=str(row)) for row in unheard]
        # 3 to 5 s of each, or windows of the clips' length would lie on their borders.
        waves = [wave[: round(rng.uniform(3, 5) * RATE_HZ)] for wave in waves]
        borders_s = np.cumsum([0, *map(len, waves)]) / RATE_HZ
        soundfile.write(root / "joined.wav", np.concatenate(waves), RATE_HZ)
        truth = list(zip(borders_s[:-1], borders_s[1:], names[unheard], strict=True))
        from soundprobe.predicting.loading import load_predictor

        predictor = load_predictor(run.folder, weights=None if weights in ("random", "pretrained") else weights)
        for asked in (Listening(), Listening(None, 1.0), Listening(3.0, 1.0), Listening(3.0, 0.5, None, 1.5)):
            said = predictor.predict(str(root / "joined.wav"), asked)
            found = [(one.start_s, one.end_s, one.label) for one in said.segments]
            grid = predictor.grid(asked)
            nearest = [float(np.abs(borders_s - start).min()) for start, _, _ in found]
            lines.append(
                f"windows of {grid.window_s:g} s every {grid.hop_s:g} s, segments from {asked.min_duration_s:g} s: "
                f"F1 {segment_f1(truth, found):.3f}; "
                f"{len(found)} segments of {len(truth)} clips, borders {np.median(nearest):.2f} s off (median)"
            )
    heads = f"heads of {run.record.summary.accuracy.mean:.3f} accuracy on folds 1 to {last - 1}"
    return "\n".join([f"{len(unheard)} clips of fold {last} of {clips.name}, {borders_s[-1]:.0f} s; {heads}", *lines])


def segment_f1(truth: Any, found: Any) -> float:
    """Micro-averaged F1 of the classes that are active in each segment of `SEGMENT_S`, of (start, end, label)."""
    hits = said = true = 0
    for start in np.arange(0, max(end for _, end, _ in truth), SEGMENT_S):
        here = [
            {label for begins, ends, label in some if begins < start + SEGMENT_S and ends > start}
            for some in (truth, found)
        ]
        hits, true, said = hits + len(here[0] & here[1]), true + len(here[0]), said + len(here[1])
    return 2 * hits / (true + said)


if __name__ == "__main__":
    main()
