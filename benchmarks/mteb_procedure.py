"""What MTEB's own UrbanSound8K task says of a backbone, beside our protocol, and which part of the gap is the folds'.

    python benchmarks/mteb_procedure.py --data UrbanSound8K/ --weights FILE

MTEB's task class runs as it is: KFold(5, shuffle=True), and in each fold scikit-learn's logistic regression, at most
100 iterations on features as they are, of 8 training clips a class. Then the same on the official folds. Beside both
our linear head, on all training clips, on the official folds and on ones drawn clip by clip. MTEB's seed is 42.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from pathlib import Path

import datasets
import numpy as np
from sklearn.model_selection import KFold, PredefinedSplit

from machine_note import describe
from soundprobe.audio.encoded import read_bytes
from soundprobe.data.catalog import open_data
from soundprobe.verbs.extract import extract
from soundprobe.verbs.probe import probe


def theirs(arguments: argparse.Namespace, seeds: list[int], official: np.ndarray | None) -> np.ndarray:
    """(S,) the accuracy for each of S seeds, by MTEB's folds or by the official ones (N,)."""
    import mteb
    from mteb.abstasks import classification
    from mteb.tasks.classification.zxx.urban_sound8k import UrbanSound8kClassification

    from soundprobe.adapters.mteb import BackboneEncoder

    class OfficialFolds(UrbanSound8kClassification):
        """Draws its 8 clips a class anew in each fold, since folds differ in size."""

        def _undersample_data(self, dataset, experiment_num, idxs=None):
            return super()._undersample_data(dataset, experiment_num)

    classification.KFold = KFold if official is None else lambda **_: PredefinedSplit(official)
    clips = open_data(arguments.data)
    audio = [{"bytes": read_bytes(source), "path": None} for source in clips.sources]
    rows = datasets.Dataset.from_dict({"audio": audio, "classID": clips.labels.tolist()})
    rows = rows.cast_column("audio", datasets.Audio())
    encoder = BackboneEncoder(arguments.backbone, weights=arguments.weights, device="cpu")
    scores = []
    for seed in seeds:
        task = UrbanSound8kClassification() if official is None else OfficialFolds()
        task.seed, task.dataset, task.data_loaded = seed, datasets.DatasetDict(train=rows), True
        done = mteb.evaluate(encoder, task, cache=None, show_progress_bar=False)
        scores.append(done.task_results[0].get_score())
    return np.array(scores)


def ours(arguments: argparse.Namespace, seeds: list[int], control: str | None) -> np.ndarray:
    """(S,) the mean accuracy over folds; on the official ones nothing is drawn."""
    with tempfile.TemporaryDirectory() as folder:
        places = {"embeddings": Path(folder) / "embeddings", "progress": False}
        extract(arguments.data, backbone=arguments.backbone, weights=arguments.weights, device="cpu", **places)
        drawn = seeds if control else [0]
        runs = probe(head="linear", seeds=drawn, control=control, heads=Path(folder) / "heads", **places)
        return np.array([run.result["summary"]["accuracy"]["mean"] for run in runs])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="urbansound8k")
    parser.add_argument("--backbone", default="mn04")
    parser.add_argument("--weights")
    parser.add_argument("--seeds", default="42,0,1,2,3")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    warnings.filterwarnings("ignore")  # of iterations that ended early, which is their procedure
    logging.disable(logging.WARNING)
    print(describe())

    clips = open_data(arguments.data)
    found = {
        "MTEB's task, as it is": theirs(arguments, seeds, None),
        "the same on the official folds": theirs(arguments, seeds, clips.folds),
        "our linear head, folds drawn clip by clip": ours(arguments, seeds, "reshuffled-folds"),
        "our linear head, official folds": ours(arguments, seeds, None),
    }
    print(f"{arguments.backbone}, {len(clips)} clips; accuracy, seeds {arguments.seeds}")
    for what, scores in found.items():
        spread = f" ± {scores.std(ddof=1):.3f} (first: {scores[0]:.3f})" if len(scores) > 1 else ""
        print(f"{what:<45} {scores.mean():.3f}{spread}")


if __name__ == "__main__":
    main()
