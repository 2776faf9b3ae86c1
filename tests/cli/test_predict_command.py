"""`soundprobe predict` on recordings of any length: where its answers go, and what comes in by a pipe."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import Result
from typer.testing import CliRunner

from soundprobe.base.errors import ConfigError
from soundprobe.cli.main import app
from soundprobe.cli.predict import _write
from soundprobe.verbs.extract import extract
from soundprobe.verbs.probe import probe
from sounds import RATE_HZ, tone, write_urbansound_layout


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A head that knows three tones, trained on clips of 1 s."""
    root = tmp_path_factory.mktemp("prediction")
    data = write_urbansound_layout(root / "clips")
    extract(data, backbone="logmel-stats", embeddings=root / "embeddings", progress=False)
    (done,) = probe(head="linear", embeddings=root / "embeddings", heads=root / "heads", progress=False)
    return str(done.folder)


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recording of 6 s, low and then middle, and one of 0.8 s; it is where commands run."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "clips"
    (folder / "deep").mkdir(parents=True)
    wave = np.concatenate([tone(300, 3.0), tone(600, 3.0, seed=1)])
    soundfile.write(folder / "long.wav", wave, RATE_HZ, subtype="FLOAT")
    soundfile.write(folder / "deep" / "short.wav", tone(1200, 0.8), RATE_HZ, subtype="FLOAT")
    return folder


def predict(*arguments: object, given: bytes = b"") -> Result:
    done = CliRunner().invoke(app, ["predict", *map(str, arguments), "--device", "cpu", "-q"], input=given)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_table_and_json_tell_the_segments_of_the_whole_recording(run, clips):
    table = predict(clips / "long.wav", "--run", run)
    assert "middle" in table.stdout
    assert "start" in table.stdout
    assert "only the first" not in table.output
    (told,) = json.loads(predict(clips / "long.wav", "--run", run, "--json").stdout)["clips"]
    assert told["heard_s"] == told["duration_s"] == 6
    assert told["windows"] == 11
    assert [one["label"] for one in told["segments"]] == ["low <b>hum</b>", "middle"]
    assert told["segments"][0]["end_s"] == told["segments"][1]["start_s"] == pytest.approx(3, abs=0.5)


def test_window_hop_threshold_and_least_duration_reach_the_segments(run, clips):
    long = [clips / "long.wav", "--run", run, "--format", "csv"]
    assert len(rows(predict(*long).stdout)) == 2
    fine = rows(predict(*long, "--window", "0.5", "--hop", "0.1").stdout)
    assert float(fine[0]["end_s"]) == pytest.approx(3, abs=0.3)
    assert rows(predict(*long, "--threshold", "1").stdout) == []
    assert rows(predict(*long, "--min-duration", "5").stdout) == []


def test_labels_go_into_a_folder_and_what_is_done_is_passed_over(run, clips):
    (clips / "bad.wav").write_bytes(b"no sound")
    asked = [clips, "--run", run, "--to", "labels", "--format", "audacity"]
    first = predict(*asked)
    assert first.exit_code == 3
    assert "bad.wav: not audio" in first.stderr
    assert "labels -> labels" in first.stderr
    long = Path("labels/long.txt")
    assert long.read_text().splitlines()[0].split("\t")[::2] == ["0.000", "low <b>hum</b>"]
    assert Path("labels/deep/short.txt").read_text() == "0.000\t0.800\thigh\n"
    long.write_text("mended by hand")
    again = predict(*asked, "--json")
    assert "2 of 3 were done before" in again.stderr
    assert long.read_text() == "mended by hand"
    assert {Path(one["clip"]).name for one in json.loads(again.stdout)["clips"]} == {"long.wav", "short.wav"}
    predict(*asked, "--threshold", "0.2")
    assert long.read_text() != "mended by hand"


def test_labels_of_a_folder_are_the_same_bytes_from_a_cluster(run, clips, dask, monkeypatch):
    (clips / "bad.wav").write_bytes(b"no sound")
    monkeypatch.setattr("soundprobe.predicting.on_workers.TASK_FILES", 1)
    on_cluster = ["--engine", "dask", "--address", dask.file]
    here, there = (
        predict("clips", "--run", run, "--to", to, *where) for to, where in (("here", []), ("there", on_cluster))
    )
    assert (
        (here.exit_code, here.stderr.replace("here", "there")) == (there.exit_code, there.stderr) == (3, there.stderr)
    )
    files = sorted(path.relative_to("here") for path in Path("here").rglob("*") if path.is_file())
    assert len(files) == 3
    for path in files:
        assert Path("here", path).read_bytes() == Path("there", path).read_bytes()


def test_several_recordings_in_one_file_are_told_apart(run, clips):
    predict(clips, "--run", run, "--to", "all.selections.txt")
    table = list(csv.DictReader(io.StringIO(Path("all.selections.txt").read_text()), delimiter="\t"))
    assert [Path(row["Begin Path"]).name for row in table] == ["short.wav", "long.wav", "long.wav"]
    assert float(table[1]["Begin Time (s)"]) == pytest.approx(0.8)
    with pytest.raises(ConfigError, match="audacity holds one recording, and 2 are given. Give --to FOLDER"):
        predict(clips, "--run", run, "--to", "all.txt")


def test_standard_input_says_what_the_file_does_encoded_or_as_samples(run, clips):
    content = (clips / "long.wav").read_bytes()
    wave, _ = soundfile.read(clips / "long.wav", dtype="float32")
    asked = ["--run", run, "--format", "csv"]
    (first, *_), file = (rows(predict(clips / "long.wav", *asked).stdout) for _ in range(2))
    for answer in (
        predict("-", *asked, given=content),
        predict("-", *asked, "--raw", "f32le", "--rate", RATE_HZ, given=wave.tobytes()),
    ):
        assert [{**row, "clip": first["clip"]} for row in rows(answer.stdout)] == file
        assert rows(answer.stdout)[0]["clip"] == "stdin"


def test_follow_prints_a_line_for_each_window_in_the_format_that_is_asked_for(run, clips):
    wave, _ = soundfile.read(clips / "long.wav", dtype="float32")
    asked = ["-", "--run", run, "--follow", "--raw", "f32le", "--rate", RATE_HZ]
    lines = [
        json.loads(line) for line in predict(*asked, "--format", "jsonl", given=wave.tobytes()).stdout.splitlines()
    ]
    assert [line["start_s"] for line in lines] == [0.5 * number for number in range(11)]
    assert lines[0]["label"] == "low <b>hum</b>"
    assert lines[-1]["label"] == "middle"
    table = predict(*asked, given=wave.tobytes()).stdout.splitlines()
    assert len(table) == 11
    assert table[0].split()[:2] == ["0.000", "1.000"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("a.wav --format ravn", "Did you mean 'raven'"),
        ("a.wav --to a.doc", "--format csv"),
        ("a.wav --to a.csv --format table", "table is for the eye"),
        ("a.wav --json --format csv", "would both go to standard output"),
        ("a.wav --window 0", "A window of 0.0 s is not valid"),
        ("a.wav --hop 0", "A hop of 0.0 s is not valid"),
        ("a.wav --window 1 --hop 1e-9", "A hop of 1e-09 s is not valid: give 0.001 or more"),
        ("a.wav --hop 2 --window 1", "leaves out what lies between"),
        ("a.wav --threshold 2", "threshold of 2.0"),
        ("a.wav --min-duration -1", "least duration of -1.0 s"),
        ("a.wav --raw f32le --rate 8000", "give - as the clip"),
        ("- --raw f32le", "give --rate"),
        ("- --rate 8000", "give --raw"),
        ("- -", "give - once"),
        ("- --engine dask", "Standard input is heard in this process alone"),
        ("a.wav --engine processes", "Unknown engine 'processes'"),
        ("a.wav --address tcp://host:8786", "give --engine dask, too"),
        ("a.wav --follow", "give - and no other clip"),
        ("- --follow --json", "--follow writes lines"),
        ("- --follow --format raven", "--follow writes lines"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(arguments, message):
    with pytest.raises(ConfigError, match=message):
        predict(*arguments.split())


def test_labels_of_standard_input_are_never_those_of_another_stream(run, clips):
    sent = [(clips / name).read_bytes() for name in ("long.wav", "deep/short.wav")]
    found = []
    for content in sent:
        assert predict("-", "--run", run, "--to", "labels", given=content).exit_code == 0
        found.append([row["end_s"] for row in rows(Path("labels/stdin.csv").read_text())])
    assert found[0][-1] == "6.000"
    assert found[1] == ["0.800"]


def test_line_of_the_log_that_lacks_something_is_heard_again(run, clips):
    asked = ("clips", "--run", run, "--to", "labels", "--json")
    first = json.loads(predict(*asked).stdout)
    log = Path("labels/predict.jsonl")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    del lines[0]["answer"]["proba"]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    again = predict(*asked)
    assert "1 of 2 were done before" in again.stderr
    assert json.loads(again.stdout) == first


@pytest.mark.parametrize(("is_terminal", "shown"), [(True, "a\t [31m\t b\n"), (False, "a\t\x1b[31m\t\x9bb\n")])
def test_format_shows_names_as_text_on_a_terminal_and_whole_elsewhere(monkeypatch, capsys, is_terminal, shown):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    _write("a\t\x1b[31m\t\x9bb\n")
    assert capsys.readouterr().out == shown
