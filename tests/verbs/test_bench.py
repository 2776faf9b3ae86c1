"""`soundprobe bench` on the real pipeline. No figure is checked against a clock."""

from __future__ import annotations

import pytest
import torch
from typer.testing import CliRunner

from soundprobe.base.errors import ConfigError
from soundprobe.cli.bench import bench_table
from soundprobe.cli.main import app
from soundprobe.data.scan import scan
from soundprobe.embeddings import quantising
from soundprobe.verbs.bench import Bench, Speed, bench, write_clips


@pytest.fixture
def fast_in_bf16(monkeypatch) -> None:
    """A CPU that is fast in bfloat16, whatever this one is: elsewhere it is emulated."""
    for room in ("backbones.half", "verbs.bench"):
        monkeypatch.setattr(f"soundprobe.{room}.half_type", lambda device: torch.bfloat16)


@pytest.fixture
def slow_in_16_bits(monkeypatch) -> None:
    for room in ("backbones.half", "verbs.bench"):
        monkeypatch.setattr(f"soundprobe.{room}.half_type", lambda device: None)


def test_bench_times_each_backbone_in_each_usual_precision_as_often_as_asked(fast_in_bf16):
    found = bench(backbone="simplecnn,mn04", device="cpu", rounds=2, seconds=0.01, progress=False)
    assert [(speed.backbone, speed.precision) for speed in found.speeds] == [
        ("simplecnn", "fp32"),
        ("simplecnn", "bf16"),
        ("mn04", "fp32"),
        ("mn04", "bf16"),
    ]
    assert all(len(speed.seconds) == 2 and speed.clips == 4 and speed.scan_seconds > 0 for speed in found.speeds)
    assert found.device == "cpu"
    assert set(found.peaks_gflops) == {"fp32", "bf16"}
    assert min(found.peaks_gflops.values()) > 1
    assert found.threads == torch.get_num_threads()
    assert not found.left_out


def test_bench_on_a_device_that_is_slow_in_16_bits_takes_float32_alone(slow_in_16_bits):
    found = bench(backbone="simplecnn", device="cpu", rounds=1, seconds=0.01, progress=False)
    assert [speed.precision for speed in found.speeds] == ["fp32"]


def test_bench_leaves_out_a_backbone_that_has_no_such_precision_and_fails_where_nothing_is_left(slow_in_16_bits):
    options = {"device": "cpu", "rounds": 1, "seconds": 0.01, "progress": False}
    found = bench(backbone="simplecnn,vgg", precision="fp32,int8,bf16", **options)
    assert [(speed.backbone, speed.precision) for speed in found.speeds] == [("simplecnn", "fp32"), ("vgg", "fp32")]
    assert found.left_out == {"int8": ["simplecnn", "vgg"], "bf16": ["simplecnn", "vgg"]}
    assert set(found.peaks_gflops) == {"fp32"}
    with pytest.raises(ConfigError, match="int8 is not offered for vgg"):
        bench(backbone="vgg", precision="int8", **options)


def test_bench_times_an_int8_network_that_extract_would_refuse(monkeypatch):
    monkeypatch.setattr(quantising.judge, "__kwdefaults__", {"cosine_bound": 1.0, "centred_bound": 1.0})
    found = bench(backbone="mn04", precision="int8", device="cpu", rounds=1, seconds=0.01, progress=False)
    assert [(speed.backbone, speed.precision) for speed in found.speeds] == [("mn04", "int8")]
    assert not found.peaks_gflops


def test_speed_is_the_median_run_and_its_share_and_time_follow():
    speed = Speed("panns", "fp32", gflop=16.0, clips=10, scan_seconds=0.01, seconds=[1.0, 2.0, 10.0])
    assert speed.clips_per_s == 5.0
    assert speed.slowest_and_fastest == (1.0, 10.0)
    assert speed.share_of(160.0) == pytest.approx(0.5)
    assert speed.seconds_for(100) == pytest.approx(21.0)


def test_bench_clips_are_readable_stereo_files(tmp_path):
    clips = write_clips(tmp_path)
    scanned = scan(clips)
    assert not any(scanned.errors)
    assert set(scanned.duration_s) == {4.0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"backbone": "pans"}, "Did you mean 'panns'"),
        ({"rounds": 0}, "at least 1 round"),
        ({"seconds": 0.0}, "more than 0"),
        ({"seconds": float("nan")}, "more than 0"),
        ({"backbone": " , "}, "No backbone"),
        ({"precision": " , "}, "No precision"),
        ({"precision": "fp32,bf61"}, "Unknown precision 'bf61'. Did you mean 'bf16'"),
        ({"batch_size": 0}, "give 1 or more"),
    ],
)
def test_bench_refuses_what_it_cannot_do(given, message):
    with pytest.raises(ConfigError, match=message):
        bench(progress=False, **given)


def bench_lines(*arguments: str) -> tuple[str, list[list[str]]]:
    """The command's output, and its lines of simplecnn as words."""
    quick = ["--backbone", "simplecnn", "--device", "cpu", "--rounds", "1", "--seconds", "0.01", "-q"]
    done = CliRunner().invoke(app, ["bench", *quick, *arguments])
    assert done.exit_code == 0, done.output
    return done.output, [line.split() for line in done.output.splitlines() if line.startswith("simplecnn")]


def test_bench_prints_a_line_for_each_precision_and_the_time_for_the_clips_asked_for(fast_in_bf16):
    output, lines = bench_lines("--clips", "1000")
    assert "GFLOP/s in fp32, " in output
    assert "GFLOP/s in bf16" in output
    assert "1,000 clips" in output
    assert sorted(line[1] for line in lines) == ["bf16", "fp32"]
    assert all(any(word.endswith("%") for word in line) for line in lines)
    assert "…" not in output
    assert "soundprobe bench --backbone panns,mn04 --precision fp32,int8" in output


def test_bench_says_what_it_left_out():
    output, lines = bench_lines("--precision", "fp32,int8")
    assert [line[1] for line in lines] == ["fp32"]
    assert "Left out, because it is not offered here: int8 for simplecnn." in output
    assert "For int8" not in output


def test_bench_table_has_no_share_where_there_is_no_peak_and_keeps_the_rows_of_a_backbone_together():
    def speed(backbone: str, precision: str, seconds: float) -> Speed:
        return Speed(backbone, precision, gflop=16.0, clips=10, seconds=[seconds])

    speeds = [speed("a", "fp32", 2.0), speed("b", "fp32", 3.0), speed("a", "int8", 4.0), speed("b", "int8", 1.0)]
    table = bench_table(Bench("cpu", 2, {"fp32": 160.0}, speeds, {}), 100)
    columns = [list(column.cells) for column in table.columns]
    assert list(zip(*columns[:2], strict=True)) == [("b", "fp32"), ("b", "int8"), ("a", "fp32"), ("a", "int8")]
    assert columns[5] == ["33%", "-", "50%", "-"]


def test_bench_takes_the_number_of_clips_from_one_place_only():
    done = CliRunner().invoke(app, ["bench", "--clips", "10", "--data", "synth"])
    assert isinstance(done.exception, ConfigError)
    assert "Leave one out" in str(done.exception)
