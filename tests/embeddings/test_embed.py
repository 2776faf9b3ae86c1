"""Decoding runs ahead of the network, and never further than it may; the network takes a batch on each thread."""

from __future__ import annotations

import gc
import io
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from soundprobe.backbones.load import load_backbone
from soundprobe.backbones.protocol import Backbone
from soundprobe.base import texts
from soundprobe.base.errors import AudioError
from soundprobe.base.progress import Progress
from soundprobe.base.records import Clips, EncodedAudio
from soundprobe.data.catalog import open_data
from soundprobe.data.scan import scan
from soundprobe.embeddings import embed as pipeline
from soundprobe.embeddings.embed import BATCHES_AHEAD, EmbeddingJob, batches, decode_ahead, plan_parts
from sounds import write_urbansound_layout

BATCH = 3


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingJob:
    """60 clips of 0.2 s."""
    data = write_urbansound_layout(
        tmp_path_factory.mktemp("data") / "toy", folds=4, recordings=5, slices=1, seconds=0.2
    )
    clips = open_data(str(data))
    model = load_backbone("mn04", weights="random")
    return EmbeddingJob(model, clips, scan(clips), torch.device("cpu"), BATCH, 1)


def test_decode_ahead_holds_a_bounded_number_of_clips_however_slow_the_network(
    job: EmbeddingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    decode = pipeline.decode_checked

    def counted(audio: bytes, **options: object) -> object:
        decoded.append(options["name"])
        return decode(audio, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "decode_checked", counted)
    plan = dict(enumerate(plan_parts(job.clips, job.scanned, job.model)))
    with ThreadPoolExecutor(1) as pool:
        for number, _ in enumerate(decode_ahead(job, batches(plan, BATCH), pool), start=1):
            pool.submit(lambda: None).result()  # all that was asked for is decoded by then
            assert len(decoded) == min(60, (number + BATCHES_AHEAD) * BATCH)
    assert number == 20


def test_decode_ahead_decodes_while_the_network_runs(job: EmbeddingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    # A decoder that waits for the network's third batch to begin could never end if one waited for the other.
    begun = threading.Event()
    decode = pipeline.decode_checked
    asked = []

    def late(audio: bytes, **options: object) -> object:
        asked.append(1)
        if len(asked) > 3 * BATCH:
            assert begun.wait(60), "the network didn't get its third batch while the fourth was being decoded"
        return decode(audio, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "decode_checked", late)
    plan = dict(enumerate(plan_parts(job.clips, job.scanned, job.model)))
    with ThreadPoolExecutor(1) as pool:
        for number, _ in enumerate(decode_ahead(job, batches(plan, BATCH), pool), start=1):
            if number == 3:
                begun.set()
    assert len(asked) == 60


def test_embed_parts_of_clips_that_end_in_another_order_gives_each_its_own(job: EmbeddingJob, tmp_path: Path) -> None:
    plan = dict(enumerate(plan_parts(job.clips, job.scanned, job.model)))
    backwards = {number: part[::-1] for number, part in plan.items()}
    found = []
    for place, parts in (("one", plan), ("other", backwards)):
        (tmp_path / place).mkdir()
        ((_, part),) = pipeline.embed_parts(job, parts, tmp_path / place, Progress(lambda clips: None))
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(part.path)
        found.append(dict(zip(table["clip_id"].to_pylist(), table["embedding"].to_pylist(), strict=True)))
    assert found[0].keys() == found[1].keys()
    for clip, embedding in found[0].items():
        ours, other = torch.tensor(embedding), torch.tensor(found[1][clip])
        assert (ours - other).abs().max() <= 1e-5 * ours.abs().max(), clip


@pytest.mark.parametrize(
    ("clips", "batch_size", "sizes"),
    [
        (1, 16, [1]),
        (2, 16, [1, 1]),
        (16, 16, [8, 8]),
        (17, 16, [9, 8]),
        (33, 16, [9, 8, 8, 8]),
        (64, 16, [16, 16, 16, 16]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_batches_of_one_length_are_an_even_number_of_nearly_one_size(
    clips: int, batch_size: int, sizes: list[int]
) -> None:
    part = [pipeline.PlannedClip(row, 100) for row in range(clips)]
    made = list(batches({7: part}, batch_size))
    assert [len(batch.clips) for batch in made] == sizes
    assert [clip for batch in made for clip in batch.clips] == part
    assert {batch.part for batch in made} == {7}


def test_embedding_that_is_not_finite_is_the_failure_of_its_clip_alone(job: EmbeddingJob) -> None:
    class Breaks(Backbone):
        def embed(self, waves: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            return waves[:, :1].expand(-1, 384)

    (batch, *_) = batches({0: plan_parts(job.clips, job.scanned, job.model)[0]}, BATCH)
    waves = [np.full(100, value, dtype=np.float32) for value in (0.5, np.inf, 0.25)]
    found = pipeline.embed_batch(replace(job, model=replace(job.model, network=Breaks())), batch, waves)
    assert [isinstance(one, AudioError) for one in found] == [False, True, False]
    name = Path(str(job.clips.sources[batch.clips[1].row])).name
    assert name in str(found[1])
    assert "the backbone's embedding is not finite" in str(found[1])


def test_scan_and_plan_hold_few_bytes_a_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "BATCH", 64)
    monkeypatch.setattr("soundprobe.data.scan.AHEAD", 64)

    def wav(row: int) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, np.full(8 + row % 5, row / 1000), 8_000, format="WAV")
        return file.getvalue()

    model = SimpleNamespace(input_samples=lambda seconds: round(seconds * 32_000))

    def held(count: int) -> int:
        ids = np.array([f"{row:04d}" for row in range(count)])
        sources = [EncodedAudio(clip, partial(bytes, wav(row))) for row, clip in enumerate(ids.tolist())]
        clips = Clips("made", ids, sources, np.arange(count) % 2, np.arange(count) % 3, ids, ("a", "b"))
        tracemalloc.start()
        scanned = scan(clips, jobs=1)
        parts = plan_parts(clips, scanned, model)
        gc.collect()
        left = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert sorted(clip.row for part in parts for clip in part) == list(range(count))
        return left

    assert held(500) - held(100) < 400 * 85
