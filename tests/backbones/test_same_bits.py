"""The same clips give the same bits, whatever the threads of PyTorch, the threads that decode, and interruptions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from backbone_inputs import Loader

from soundprobe.base.progress import Progress
from soundprobe.base.records import Clips
from soundprobe.data.catalog import open_data
from soundprobe.data.scan import Scan, scan
from soundprobe.embeddings.embed import EmbeddingJob, embed_parts, plan_parts
from soundprobe.embeddings.framed import framed
from sounds import RATE_HZ, tone, write_urbansound_layout


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clips, Scan]:
    """Six clips, two of them of another length."""
    folder = write_urbansound_layout(tmp_path_factory.mktemp("clips") / "toy", folds=2, recordings=1, slices=1)
    files = sorted(folder.glob("audio/*/*.wav"))
    for seconds, file in zip((0.4, 0.5, 0.6, 0.7, 1.2, 1.3), files, strict=True):
        soundfile.write(file, tone(300 * seconds, seconds), RATE_HZ, subtype="PCM_16")
    found = open_data(folder)
    return found, scan(found)


def embedded(job: EmbeddingJob, folder: Path, threads: int, goes: int) -> np.ndarray:
    """(N, D) by runs on so many threads, in the order of the ids, of two parts in one or two goes."""
    folder.mkdir()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    (planned,) = plan_parts(job.clips, job.scanned, job.model)
    parts = {0: planned[:2], 1: planned[2:]}
    try:
        made = [
            part
            for left in ([parts] if goes == 1 else [{0: parts[0]}, {1: parts[1]}])
            for _, part in embed_parts(job, left, folder, Progress(lambda clips: None))
        ]
    finally:
        torch.set_num_threads(before)
    rows = [row for part in made for row in pq.read_table(part.path).to_pylist()]
    return np.array([row["embedding"] for row in sorted(rows, key=lambda row: row["clip_id"])], dtype=np.float32)


def test_backbone_on_other_threads_or_in_two_goes_gives_the_same_bits(
    name: str, random_backbone: Loader, clips: tuple[Clips, Scan], tmp_path: Path
) -> None:
    job = EmbeddingJob(random_backbone(name), *clips, torch.device("cpu"), 16, 1)
    whole = embedded(job, tmp_path / "one", threads=1, goes=1)
    assert whole.shape == (6, job.model.spec.embedding_dim)
    assert len(np.unique(whole, axis=0)) == 6
    many = EmbeddingJob(job.model, *clips, torch.device("cpu"), 16, 3)
    assert embedded(many, tmp_path / "many", threads=3, goes=2).tobytes() == whole.tobytes()


@pytest.mark.parametrize("which", ["mn04", "crnn", "logmel-stats"])
def test_frames_on_other_threads_or_in_two_goes_have_the_same_bits(
    which: str, random_backbone: Loader, clips: tuple[Clips, Scan], tmp_path: Path
) -> None:
    model = framed(random_backbone(which), "float32")
    made = []
    for threads, goes in ((1, 1), (3, 2)):
        embedded(EmbeddingJob(model, *clips, torch.device("cpu"), 16, threads), tmp_path / str(goes), threads, goes)
        parts = sorted((tmp_path / str(goes)).glob("*.parquet"))
        made.append([pq.read_table(part)["frame_embeddings"].combine_chunks() for part in parts])
    assert len(made[0]) == 2
    assert all(one.equals(other) for one, other in zip(*made, strict=True))
