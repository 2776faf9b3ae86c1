"""Decoding runs ahead of the network, and never further than it may; the network takes a batch on each thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from soundprobe.backbones.load import load_backbone
from soundprobe.backbones.protocol import Backbone
from soundprobe.base.progress import Progress
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


class Meeting(Backbone):
    """Embeds a clip as its sum, once as many batches as there are streams have come together."""

    def __init__(self, parties: int) -> None:
        self.barrier = threading.Barrier(parties)
        self.threads: list[int] = []

    def embed(self, waves: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        self.barrier.wait(60)
        self.threads.append(torch.get_num_threads())
        return waves.sum(dim=1, keepdim=True).expand(-1, 384)  # as many as mn04, whose place it takes


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("torch_threads", "streams", "of_each"), [(1, 1, [1]), (2, 2, [1]), (3, 3, [1]), (9, 4, [2, 3])]
)
def test_embed_streams_runs_a_batch_on_each_thread_and_keeps_their_order(
    job: EmbeddingJob, threads: Callable[[int], None], torch_threads: int, streams: int, of_each: list[int]
) -> None:
    threads(torch_threads)
    meeting = Meeting(streams)
    meeting_job = replace(job, model=replace(job.model, network=meeting))
    assert pipeline.streams_of(meeting_job) == streams
    given = list(batches({0: plan_parts(job.clips, job.scanned, job.model)[0]}, BATCH, streams))[: 2 * streams]
    decoded = [
        [np.full(batch.clips[0].samples, 10 * number + clip, dtype=np.float32) for clip in range(len(batch.clips))]
        for number, batch in enumerate(given)
    ]
    found = list(pipeline.embed_streams(meeting_job, zip(given, decoded, strict=True), streams))
    assert [batch for batch, _ in found] == given
    for number, (batch, embedded) in enumerate(found):
        assert [float(row[0]) for row in embedded] == [
            batch.clips[0].samples * (10.0 * number + clip) for clip in range(len(batch.clips))
        ]
    assert len(meeting.threads) == 2 * streams
    assert sorted(set(meeting.threads)) == of_each
    assert torch.get_num_threads() == torch_threads


def test_embed_streams_when_a_batch_fails_raises_and_starts_no_further_ones(
    job: EmbeddingJob, threads: Callable[[int], None]
) -> None:
    threads(2)
    asked = []

    class Failing(Backbone):
        def embed(self, waves: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            asked.append(1)
            raise MemoryError("no room for this batch")

    failing = replace(job, model=replace(job.model, network=Failing()))
    (batch, *_) = batches({0: plan_parts(job.clips, job.scanned, job.model)[0]}, BATCH)
    silence = [np.zeros(4, dtype=np.float32)] * BATCH
    with pytest.raises(MemoryError, match="no room"):
        list(pipeline.embed_streams(failing, iter([(batch, silence)] * 20), 2))
    assert len(asked) <= 3
    assert torch.get_num_threads() == 2


def test_streams_of_a_network_with_threads_of_its_own_or_on_a_gpu_is_one(
    job: EmbeddingJob, threads: Callable[[int], None]
) -> None:
    threads(2)

    class Own(Backbone):
        fills_cores = True

        def embed(self, waves: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            return waves

    assert pipeline.streams_of(replace(job, model=replace(job.model, network=Own()))) == 1
    assert pipeline.streams_of(replace(job, device=torch.device("cuda"))) == 1
    assert pipeline.streams_of(job) == 2


@pytest.mark.parametrize(
    ("clips", "batch_size", "streams", "sizes"),
    [
        (1, 16, 2, [1]),
        (2, 16, 2, [1, 1]),
        (16, 16, 2, [8, 8]),
        (17, 16, 2, [9, 8]),
        (33, 16, 2, [9, 8, 8, 8]),
        (32, 16, 1, [16, 16]),
        (20, 16, 1, [10, 10]),
        (3, 1, 4, [1, 1, 1]),
    ],
)
def test_batches_give_every_stream_as_many_of_nearly_one_size(
    clips: int, batch_size: int, streams: int, sizes: list[int]
) -> None:
    part = [pipeline.PlannedClip(row, 100) for row in range(clips)]
    made = list(batches({7: part}, batch_size, streams))
    assert [len(batch.clips) for batch in made] == sizes
    assert [clip for batch in made for clip in batch.clips] == part
    assert {batch.part for batch in made} == {7}


def test_embed_parts_in_streams_gives_the_embeddings_of_one_stream(
    job: EmbeddingJob, threads: Callable[[int], None], tmp_path: Path
) -> None:
    import pyarrow.parquet

    plan = dict(enumerate(plan_parts(job.clips, job.scanned, job.model)))
    found = {}
    for count in (1, 2):
        threads(count)
        folder = tmp_path / str(count)
        folder.mkdir()
        ((_, part),) = pipeline.embed_parts(job, plan, folder, Progress(lambda clips: None))
        table = pyarrow.parquet.read_table(part.path)
        found[count] = table["clip_id"].to_pylist(), np.array(table["embedding"].to_pylist())
    assert found[1][0] == found[2][0]
    np.testing.assert_allclose(found[1][1], found[2][1], rtol=1e-4, atol=1e-5 * np.abs(found[1][1]).max())
