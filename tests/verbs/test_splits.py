"""Data that come in splits: only the test split is scored, from extraction to the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundprobe.base.errors import SoundprobeWarning
from soundprobe.embeddings.store import open_set
from soundprobe.reporting.write import write_report
from soundprobe.verbs.extract import extract
from soundprobe.verbs.probe import probe
from sounds import RATE_HZ, tone


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/ and test/, each with two classes of tones."""
    root = tmp_path_factory.mktemp("splits") / "tones"
    for split, count in (("train", 6), ("test", 4)):
        for label, name in enumerate(("low", "high")):
            (root / split / name).mkdir(parents=True)
            for n in range(count):
                wave = tone(300 * 4**label * (1 + n / 50), 0.5, seed=n + 10 * label + 100 * count)
                soundfile.write(root / split / name / f"{n}.wav", wave, RATE_HZ)
    return root


def test_only_the_test_split_is_scored_by_heads_trained_on_the_other(splits: Path, tmp_path: Path) -> None:
    store, heads = tmp_path / "embeddings", tmp_path / "heads"
    with pytest.warns(SoundprobeWarning, match="only the split test is tested"):
        (one,) = extract(splits, backbone="logmel-stats", embeddings=store, progress=False)
    with pytest.warns(SoundprobeWarning, match="each is tested in turn"):
        (both,) = extract(splits, backbone="logmel-stats", embeddings=store, progress=False, splits="as-folds")
    assert one.folder != both.folder
    told = open_set(one.folder).record.dataset
    assert (told.folds, told.only_trained_on, told.clips) == ([2], 12, 20)
    assert told.opened_as is not None
    assert "splits" not in told.opened_as
    done = {
        tuple(run.record.dataset.folds): run.record
        for run in probe(head=["linear", "knn"], dataset="tones", embeddings=store, heads=heads, progress=False)
    }
    assert set(done) == {(2,), (1, 2)}
    assert done[(2,)].complete
    assert [(fold.fold, fold.test_clips, fold.train_clips) for fold in done[(2,)].folds] == [(2, 8, 12)]
    written = write_report(heads, tmp_path / "reports", embeddings=store, audio=False)
    text = written.html.read_text()
    assert "ecordings unknown: every file counts as its own" in text


def test_set_without_the_flag_is_told_by_its_groups() -> None:
    from soundprobe.base.records import Embeddings

    ids = np.array(["a", "b"])
    for groups, known in ((ids, False), (np.array(["r", "r"]), True)):
        for told, expected in (({}, known), ({"dataset": {"recordings_known": True}}, True)):
            made = Embeddings(np.zeros((2, 1)), ids, np.array([0, 1]), np.array([1, 2]), groups, ("x", "y"), {}, told)
            assert made.recordings_known is expected
