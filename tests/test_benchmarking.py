"""`soundprobe bench` on the real pipeline. No figure is checked against a clock."""

from __future__ import annotations

import pytest
import torch
from typer.testing import CliRunner

from soundprobe.benchmarking import Speed, bench, write_clips
from soundprobe.cli.main import app
from soundprobe.data.scan import scan
from soundprobe.errors import ConfigError


def test_bench_times_each_backbone_as_often_as_asked():
    found = bench(backbone="simplecnn,mn04", rounds=2, seconds=0.01, progress=False)
    assert [speed.backbone for speed in found.speeds] == ["simplecnn", "mn04"]
    assert all(len(speed.seconds) == 2 and speed.clips == 4 and speed.scan_seconds > 0 for speed in found.speeds)
    assert found.device in ("cpu", "cuda", "mps")
    assert found.peak_gflops > 1
    assert found.threads == torch.get_num_threads()


def test_speed_is_the_median_run_and_its_share_and_time_follow():
    speed = Speed("panns", gflop=16.0, clips=10, scan_seconds=0.01, seconds=[1.0, 2.0, 10.0])
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
        ({"batch_size": 0}, "give 1 or more"),
    ],
)
def test_bench_refuses_what_it_cannot_do(given, message):
    with pytest.raises(ConfigError, match=message):
        bench(progress=False, **given)


def test_bench_prints_a_line_for_each_backbone_and_the_time_for_the_clips_asked_for():
    arguments = ["bench", "--backbone", "simplecnn", "--rounds", "1", "--seconds", "0.01", "--clips", "1000", "-q"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "GFLOP/s" in done.output
    assert "1,000 clips" in done.output
    (line,) = [line for line in done.output.splitlines() if line.startswith("simplecnn")]
    assert "%" in line


def test_bench_takes_the_number_of_clips_from_one_place_only():
    done = CliRunner().invoke(app, ["bench", "--clips", "10", "--data", "synth"])
    assert isinstance(done.exception, ConfigError)
    assert "Leave one out" in str(done.exception)
