"""`doctor --verify`: what is damaged, gone or left over is listed with its command, and following that mends it."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from command_line import soundprobe_here as soundprobe
from damage import damage
from samples_of_0_1_0 import unpacked
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.weights.verify import fetched_mark, location
from soundprobe.base.errors import ConfigError, SoundprobeWarning
from soundprobe.base.files import write_json
from soundprobe.cli.main import app
from soundprobe.embeddings import store
from soundprobe.reporting.write import write_report
from soundprobe.verbs.disk_check import verify
from soundprobe.verbs.extract import extract
from soundprobe.verbs.probe import probe
from sounds import write_urbansound_layout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Embeddings, a probe and a report with sounds, below the folder in which the commands were given."""
    root = tmp_path_factory.mktemp("verified")
    data = write_urbansound_layout(root / "clips")
    extracting = f"soundprobe extract --data {data} -b simplecnn --weights random -q"
    probing = "soundprobe probe --head linear -q"
    where = {"embeddings": root / "embeddings", "progress": False}
    extract(data, backbone="simplecnn", weights="random", command=extracting, **where)  # type: ignore[arg-type]
    probe(head="linear", heads=root / "heads", command=probing, **where)  # type: ignore[arg-type]
    write_report(root / "heads", root / "reports", data=data, embeddings=root / "embeddings")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = shutil.copytree(made, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(copy)
    return copy


def the(root: Path, pattern: str) -> Path:
    return sorted(root.glob(pattern))[0]


PLACES = {
    "part": "embeddings/*/*/part-00000.parquet",
    "set": "embeddings/*/*/meta.json",
    "head": "heads/*/*/*/fold-01.safetensors",
    "predictions": "heads/*/*/*/predictions.parquet",
    "result": "heads/*/*/*/result.json",
    "page": "reports/.report-*/report.html",
    "sound": "reports/report-audio/*.mp3",
}


def test_whole_folders_are_sound(root):
    found = verify(progress=False)
    assert found.findings == []
    assert found.sound
    assert found.files > 10


@pytest.mark.parametrize("name", sorted(PLACES))
def test_damage_is_listed_and_the_command_that_is_named_mends_it(root, name):
    path = the(root, PLACES[name])
    damage(path)
    (finding,) = verify(progress=False).findings
    assert finding.state == "damaged"
    assert finding.path.resolve() in (path, path.parent)
    assert finding.removed == (name in ("part", "head", "predictions", "sound"))
    assert finding.again.startswith("soundprobe ")
    if name in ("page", "sound"):
        write_report(root / "heads", root / "reports", embeddings=root / "embeddings")
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SoundprobeWarning)  # it names what it makes again
            done = CliRunner().invoke(app, shlex.split(finding.again)[1:])
        assert done.exit_code == 0, done.output
    assert verify(progress=False).findings == []


def test_what_a_record_names_and_is_gone_is_listed(root):
    for name in ("part", "head", "predictions"):
        the(root, PLACES[name]).unlink()
    found = verify(["embeddings", "heads"], progress=False)
    assert sorted((finding.state, finding.path.name) for finding in found.findings) == [
        ("gone", "fold-01.safetensors"),
        ("gone", "part-00000.parquet"),
        ("gone", "predictions.parquet"),
    ]
    assert {finding.again.split()[1] for finding in found.findings} == {"extract", "probe"}


def test_damaged_file_of_an_export_is_named_and_kept(tmp_path):
    names = ("model.onnx", "labels.json", "model.pt2")
    for name in names[:2]:
        (tmp_path / name).write_text(f"[{name!r}]")
    told = {name: hashlib.sha256(f"[{name!r}]".encode()).hexdigest() for name in names}
    write_json(tmp_path / "export.json", {"format": 1, "files": {**told, "../other": ""}})
    (tmp_path / "model.onnx").write_text("[other]")
    found = verify([tmp_path])
    assert found.files == 3
    assert [(one.path.name, one.state, one.removed) for one in found.findings] == [
        ("model.pt2", "gone", False),
        ("model.onnx", "damaged", False),
    ]


def test_what_a_stopped_writer_left_is_taken_away_unless_another_writes(root):
    folder = the(root, "heads/*/*/linear-*")
    left = folder / f".fold-02.safetensors.{os.getpid()}.tmp"
    left.write_bytes(b"half")
    script = "import sys, time; from pathlib import Path; from soundprobe.base.locks import locked\n"
    script += "with locked(Path(sys.argv[1])):\n print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, folder], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        left.write_bytes(b"half")
        (finding,) = verify(["heads"], progress=False).findings
        assert (finding.state, finding.removed) == ("left over", False)
        other.kill()
    (finding,) = verify(["heads"], progress=False).findings
    assert (finding.removed, left.exists()) == (True, False)


def test_files_of_an_earlier_version_are_counted_and_kept(tmp_path):
    unpacked(tmp_path)
    found = verify([tmp_path / "heads"], progress=False)
    assert found.sound
    assert found.count("unsigned") == len(found.findings) == found.files > 20


def test_sounds_of_an_earlier_versions_report_and_files_of_others_are_kept(tmp_path):
    names = ["report-audio/012ef77206a0382c-88200.mp3", "report-audio/012ef77206a0382c.webp"]
    others = ["report-audio/mine.mp3", ".mine.tmp", "part-0.parquet"]
    for name in (*names, *others):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"a sound")
    for name in ("meta.json", "result.json", "network.json"):
        (tmp_path / name).write_text('{"of": "others"}')
    found = verify([tmp_path], progress=False)
    assert [(finding.state, str(finding.path.relative_to(tmp_path))) for finding in found.findings] == [
        ("unsigned", name) for name in names
    ]
    assert all((tmp_path / name).exists() for name in (*names, *others))


def test_record_of_another_kind_is_named_and_kept(root):
    path = the(root, "heads/*/*/*/result.json")
    write_json(path, {"format": 99})
    (finding,) = verify(["heads"], progress=False).findings
    assert "has format 99" in finding.why
    assert not finding.removed
    assert path.exists()


@pytest.mark.parametrize("fetched", [True, False])
def test_cached_weights_of_another_digest_are_named(root, fetched):
    file = BACKBONES["mn04"].weights
    assert file is not None
    location(file).parent.mkdir(parents=True, exist_ok=True)
    location(file).write_bytes(b"not them")
    if fetched:
        fetched_mark(file).write_text("from there")
        shutil.copystat(location(file), fetched_mark(file))
    (finding,) = verify(progress=False).findings
    assert finding.why.endswith("it is fetched again" if fetched else "replace it")
    assert location(file).exists()


def test_place_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        verify([tmp_path / "none"])


def test_command_lists_counts_and_fails_where_something_is_damaged(root):
    folder = str(root / "embeddings")
    damage(the(root, PLACES["part"]))
    done = soundprobe("doctor", "--verify", "--json", "-q", folder, cwd=root)
    (finding,) = json.loads(done.stdout)["verified"]["findings"]
    assert (done.returncode, finding["state"], finding["removed"]) == (1, "damaged", True)
    assert store.find_sets(folder)[0]
    assert "makes it again: soundprobe extract" in soundprobe("doctor", "--verify", "-q", folder, cwd=root).stdout
    assert soundprobe("doctor", folder, cwd=root).returncode == 2
