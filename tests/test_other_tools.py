"""What docs/python.md says of other tools: the block of one that is installed does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

import soundprobe
from made_sets import store_set

PAGE = Path(__file__).parent.parent / "docs" / "python.md"


def test_cleanlab_finds_flipped_labels_in_a_runs_predictions_by_the_block_of_the_docs(tmp_path, monkeypatch):
    (block,) = re.findall(r"```python\n((?:(?!```).)*cleanlab.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    rng = np.random.default_rng(0)
    labels, folds = np.arange(120) % 3, np.arange(120) // 3 % 4
    features = 8 * np.eye(3)[labels] + rng.normal(size=(120, 3))
    flipped = [7, 50, 93]
    told = labels.copy()
    told[flipped] = (labels[flipped] + 1) % 3
    monkeypatch.chdir(tmp_path)
    store_set(tmp_path / "embeddings", features, told, folds, np.arange(120).astype(str))
    soundprobe.probe(progress=False)
    names: dict[str, Any] = {"soundprobe": soundprobe}
    exec(block, names)
    assert {f"c{row:04d}" for row in flipped} == set(names["suspects"]["clip_id"])
