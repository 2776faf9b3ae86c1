"""Decoding runs ahead of the network, and never further than it may: memory doesn't grow with the data set."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from soundprobe import pipeline
from soundprobe.backbones.load import load_backbone
from soundprobe.data.catalog import open_data
from soundprobe.data.scan import scan
from soundprobe.pipeline import BATCHES_AHEAD, Job, batches, decode_ahead, plan_parts
from sounds import write_urbansound_layout

BATCH = 3


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """60 clips of 0.2 s."""
    data = write_urbansound_layout(
        tmp_path_factory.mktemp("data") / "toy", folds=4, recordings=5, slices=1, seconds=0.2
    )
    clips = open_data(str(data))
    model = load_backbone("mn04", weights="random")
    return Job(model, clips, scan(clips), torch.device("cpu"), BATCH, 1)


def test_decode_ahead_holds_a_bounded_number_of_clips_however_slow_the_network(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    decode = pipeline.decode

    def counted(audio: bytes, **options: object) -> object:
        decoded.append(options["name"])
        return decode(audio, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "decode", counted)
    plan = dict(enumerate(plan_parts(job.clips, job.scanned, job.model)))
    with ThreadPoolExecutor(1) as pool:
        for number, _ in enumerate(decode_ahead(job, batches(plan, BATCH), pool), start=1):
            pool.submit(lambda: None).result()  # all that was asked for is decoded by then
            assert len(decoded) == min(60, (number + BATCHES_AHEAD) * BATCH)
    assert number == 20


def test_decode_ahead_decodes_while_the_network_runs(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    # A decoder that waits for the network's third batch to begin could never end if one waited for the other.
    begun = threading.Event()
    decode = pipeline.decode
    asked = []

    def late(audio: bytes, **options: object) -> object:
        asked.append(1)
        if len(asked) > 3 * BATCH:
            assert begun.wait(60), "the network didn't get its third batch while the fourth was being decoded"
        return decode(audio, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "decode", late)
    plan = dict(enumerate(plan_parts(job.clips, job.scanned, job.model)))
    with ThreadPoolExecutor(1) as pool:
        for number, _ in enumerate(decode_ahead(job, batches(plan, BATCH), pool), start=1):
            if number == 3:
                begun.set()
    assert len(asked) == 60


def test_embed_parts_of_clips_that_end_in_another_order_gives_each_its_own(job: Job, tmp_path: Path) -> None:
    from soundprobe.progress import Progress

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
