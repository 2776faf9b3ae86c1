"""The example package of docs/extending.md, installed into an environment of its own and used from the command line."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from functools import partial
from pathlib import Path

import pytest

from command_line import soundprobe as of_command_line
from command_line import soundprobe_here
from sounds import write_urbansound_layout

PROJECT = Path(__file__).resolve().parent.parent
PLUGIN = PROJECT / "examples" / "plugin"
ADDED = ("band_energies", "centroid", "json_index")


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that sees the installed libraries and this checkout, with the plugin installed in it."""
    folder = tmp_path_factory.mktemp("plugin") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    bin_folder = folder / ("Scripts" if os.name == "nt" else "bin")
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n{PROJECT / 'src'}\n", encoding="utf-8")
    command = [
        "-m",
        "pip",
        "--python",
        str(bin_folder / "python"),
        "install",
        "--no-deps",
        "--no-build-isolation",
        "-q",
    ]
    subprocess.run([sys.executable, *command, str(PLUGIN)], check=True)
    return bin_folder / "python"


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones, their labels and recordings in index.json."""
    root = write_urbansound_layout(tmp_path_factory.mktemp("clips") / "tones")
    rows = (root / "metadata" / "UrbanSound8K.csv").read_text(encoding="utf-8").splitlines()[1:]
    cells = [row.split(",") for row in rows]
    index = [{"file": f"audio/fold{c[5]}/{c[0]}", "label": f"class {c[6]}", "recording": c[1]} for c in cells]
    (root / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (root / "metadata" / "UrbanSound8K.csv").unlink()
    return root


RUN = """import json, sys
from pathlib import Path
from command_line import soundprobe as of_command_line
from command_line import soundprobe_here
for command in json.loads(sys.argv[1]):
    done = soundprobe_here(*command, cwd=Path())
    assert done.returncode == 0, done.stderr
    print(json.dumps(done.stdout))"""


def run(python: Path, *commands: str, cwd: Path) -> list[str]:
    """What each of the commands prints, one after the other in a process of that environment."""
    environ = {**os.environ, "PYTHONPATH": str(PROJECT / "tests")}
    words = json.dumps([shlex.split(command) for command in commands])
    done = subprocess.run([python, "-c", RUN, words], cwd=cwd, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_backbone_head_and_reader_of_another_package_work_from_the_command_line(
    environment: Path, clips: Path, tmp_path: Path
) -> None:
    backbones, readers, extracted, probed, _ = run(
        environment,
        "backbones",
        "data list",
        shlex.join(["extract", "-b", "band-energies", "--data", str(clips), "--folds", "3"]),
        "probe --head centroid,linear",
        "report",
        cwd=tmp_path,
    )
    assert "band-energies" in backbones
    assert "index.json" in readers
    assert "band-energies (no weights): 36 clips" in extracted
    assert [float(found) > 0.6 for found in re.findall(r"accuracy (\S+)", probed)] == [True, True], probed
    told = json.loads((tmp_path / "reports" / "report.json").read_text())
    assert "band-energies" in json.dumps(told)
    head = next((tmp_path / "heads").glob("*/*/centroid-*"))
    clip = next((clips / "audio").glob("*/*.wav"))
    (predicted,) = run(environment, shlex.join(["predict", str(clip), "--head", str(head)]), cwd=tmp_path)
    assert "class" in predicted


@pytest.fixture
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same classes without entry points: from a folder on Python's path, here and in processes."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PLUGIN / "src"), str(PROJECT / "src")]))
    monkeypatch.syspath_prepend(PLUGIN / "src")


@pytest.mark.usefixtures("on_the_path")
def test_what_is_not_installed_is_named_by_its_address(clips: Path, tmp_path: Path) -> None:
    rows = json.loads((clips / "index.json").read_text())
    table = "".join(f"{clips / row['file']},{row['label']}\n" for row in rows)
    (tmp_path / "clips.csv").write_text(f"path,label\n{table}")
    backbone = "soundprobe_example.band_energies:BandEnergies"
    soundprobe = partial(
        of_command_line, cwd=tmp_path
    )  # each in a process, which knows nothing of what another trusted
    extracted = soundprobe("extract", "--backbone", backbone, "--data", "clips.csv", "--folds", "3")
    assert extracted.returncode == 0, extracted.stderr
    probed = soundprobe("probe", "--backbone", backbone, "--head", "soundprobe_example.centroid:CentroidHead")
    assert probed.returncode == 0, probed.stderr
    assert "accuracy" in probed.stdout
    head = next((tmp_path / "heads").glob("*/*/*"))
    predict = ("predict", str(clips / rows[0]["file"]), "--head", str(head))
    refused = soundprobe(*predict)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"give --allow {backbone}" in refused.stderr
    predicted = soundprobe(*predict, "--allow", "soundprobe_example.centroid:CentroidHead", "--allow", backbone)
    assert predicted.returncode == 0, predicted.stderr


@pytest.mark.usefixtures("on_the_path")
@pytest.mark.parametrize(
    ("option", "address", "message"),
    [
        ("--backbone", "no_such_module:Thing", "can't be imported"),
        ("--backbone", "soundprobe_example.band_energies:Nothing", "can't be imported"),
        ("--backbone", "json:JSONDecoder", "has no attribute `spec`"),
    ],
)
def test_address_of_nothing_or_of_something_else_is_one_clear_line(
    option: str, address: str, message: str, tmp_path: Path
) -> None:
    done = soundprobe_here("extract", option, address, "--data", ".", cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize("module", ADDED)
def test_each_of_the_three_takes_at_most_40_lines(module: str) -> None:
    text = (PLUGIN / "src" / "soundprobe_example" / f"{module}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 40
