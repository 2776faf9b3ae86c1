"""Runs and sets on a Hub of this machine: what was pushed predicts the same, and what is a stranger's is checked."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from hub_server import TOKEN, Hub, serving
from soundprobe.base.errors import ConfigError, ExportError, SoundprobeError, WeightsError
from soundprobe.base.files import write_json
from soundprobe.cli.main import app
from soundprobe.embeddings.publishing import dataset_card
from soundprobe.embeddings.store import SetRecord
from soundprobe.verbs.extract import extract
from soundprobe.verbs.predict import predict
from soundprobe.verbs.probe import probe
from soundprobe.verbs.push import push
from sounds import write_urbansound_layout

QUIET = {"progress": False}
REPO = "me/tone-model"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips, embeddings and a run on them."""
    root = tmp_path_factory.mktemp("push")
    data = write_urbansound_layout(root / "clips")
    extract(data, backbone="simplecnn", weights="random", embeddings=root / "embeddings", **QUIET)
    probe(head="linear", embeddings=root / "embeddings", heads=root / "heads", **QUIET)
    return root


@pytest.fixture
def run(root: Path) -> Path:
    (folder,) = (root / "heads").glob("*/*/linear-*")
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The Hub, which the client of this process asks with a token, without its own storage protocol."""
    from huggingface_hub import constants

    for offline in ("HF_HUB_OFFLINE", "SOUNDPROBE_OFFLINE"):
        monkeypatch.delenv(offline, raising=False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # what these variables set, but at the client's import
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def test_pushed_run_predicts_from_the_hub_what_it_predicts_here_then_without_a_network(root, run, hub, monkeypatch):
    clip = sorted((root / "clips").glob("audio/*/*.wav"))[7]
    done = push(run, repo=REPO, heads=root / "heads", **QUIET)
    assert (done.kind, done.private) == ("model", True)
    assert hub.repos[f"models/{REPO}"].private
    _, files = hub.repos[f"models/{REPO}"].at("main")
    assert set(files) == {".gitattributes", "README.md", "export.json", "labels.json", "model.safetensors"}
    (here,) = predict(clip, run=run, device="cpu", **QUIET)
    for address in (f"hf:{REPO}", f"hf:{REPO}@{done.commit}"):
        (said,) = predict(clip, run=address, heads="none", device="cpu", **QUIET)
        np.testing.assert_array_equal(said.proba, here.proba)
    asked = len(hub.requests)
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")
    (said,) = predict(clip, run=f"hf:{REPO}", device="cpu", **QUIET)
    np.testing.assert_array_equal(said.proba, here.proba)
    assert len(hub.requests) == asked


def test_model_card_has_the_scores_where_the_hub_looks_for_them(root, run, hub):
    push(run, repo=REPO, heads=root / "heads", **QUIET)
    card = hub.repos[f"models/{REPO}"].at("main")[1]["README.md"].decode()
    told = yaml.safe_load(card.split("---")[1])
    scores = {one["type"]: one["value"] for one in told["model-index"][0]["results"][0]["metrics"]}
    summary = json.loads((run / "result.json").read_text())["summary"]
    assert scores == pytest.approx(
        {"accuracy": summary["accuracy"]["mean"], "f1": summary["macro_f1"]["mean"]}, abs=1e-4
    )
    assert f'run="hf:{REPO}"' in card


def test_second_push_is_one_more_commit_and_replaces_what_was_there(root, run, hub):
    first = push(run, repo=REPO, heads=root / "heads", **QUIET)
    repo = hub.repos[f"models/{REPO}"]
    repo.private = False
    hub.commit(f"models/{REPO}", {**repo.at("main")[1], "older.safetensors": b"", "notes.txt": b"mine"})
    again = push(run, repo=REPO, heads=root / "heads", data_licence="CC0", **QUIET)
    assert again.commit != first.commit
    files = repo.at("main")[1]
    assert "older.safetensors" not in files
    assert files["notes.txt"] == b"mine"
    assert b"CC0" in files["README.md"]
    assert not repo.private


def test_pushed_set_is_whole_and_says_nothing_of_this_machine(root, hub, tmp_path):
    (folder,) = (root / "embeddings").glob("*/simplecnn-*")
    done = push(folder, repo="me/tones", **QUIET)
    assert done.kind == "dataset"
    _, files = hub.repos["datasets/me/tones"].at("main")
    table = pq.read_table(io.BytesIO(files["part-00000.parquet"]))
    assert (table.num_rows, len(table["embedding"][0])) == (36, 128)
    (tmp_path / "meta.json").write_bytes(files["meta.json"])
    assert SetRecord.read(tmp_path / "meta.json").embedded == 36
    assert "configs" in yaml.safe_load(files["README.md"].decode().split("---")[1])
    assert not [name for name, content in files.items() if str(root).encode() in content]
    told = SetRecord.read(tmp_path / "meta.json")
    told.dataset.class_names[0] = "[x](https://example.org) | <b>"
    assert "&#91;x&#93;(https://example.org) &#124; &lt;b&gt;" in dataset_card(told, "tones", None)


def test_dry_run_sends_nothing_and_shows_the_card(run, hub):
    done = CliRunner().invoke(app, ["push", str(run), "--repo", REPO, "--dry-run", "--json"])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["files"].keys() == {"README.md", "export.json", "labels.json", "model.safetensors"}
    assert (told["url"], told["commit"]) == (None, None)
    assert "model-index" in told["card"]
    assert f"this would go to model {REPO}" in done.stderr
    assert hub.requests == []


def test_push_without_token_network_or_name_is_one_line_and_asks_nobody(root, run, hub, monkeypatch):
    with pytest.raises(ConfigError, match="give OWNER/NAME"):
        push(run, repo="../me", **QUIET)
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")
    with pytest.raises(ConfigError, match="SOUNDPROBE_OFFLINE forbids"):
        push(run, repo=REPO, **QUIET)
    monkeypatch.delenv("SOUNDPROBE_OFFLINE")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ConfigError, match="there is none"):
        push(run, repo=REPO, **QUIET)
    assert hub.requests == []


def test_hub_that_refuses_is_one_line(root, run, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    with pytest.raises(ExportError, match=r"me/tone-model can't be pushed to: .*Log in") as refused:
        push(run, repo=REPO, heads=root / "heads", **QUIET)
    assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(WeightsError, match=r"hf:me/nothing can't be had: .*401") as missing:
        predict("gone.wav", run="hf:me/nothing", **QUIET)
    assert len(str(missing.value).splitlines()) == 1
    assert hub.repos == {}


@pytest.mark.parametrize(
    "address", ["hf:me", "hf:../../etc", "hf:me/x@../../y", "hf:me/x@", "hf:me/x/y", "hf:me/x@a..b"]
)
def test_address_that_is_none_is_refused_before_anybody_is_asked(address, hub):
    with pytest.raises(ConfigError, match="is no address on the Hub"):
        predict("gone.wav", run=address, **QUIET)
    assert hub.requests == []


def test_strangers_repository_is_fetched_without_its_code_and_checked(root, run, hub, tmp_path):
    push(run, repo=REPO, heads=root / "heads", **QUIET)
    key = f"models/{REPO}"
    files = hub.repos[key].at("main")[1]
    record = json.loads(files["export.json"])
    del record["digest"]
    record["members"][0]["backbones"][0]["name"] = "stranger:Backbone"
    write_json(tmp_path / "export.json", record)  # and signs it, as anybody can
    changed = (tmp_path / "export.json").read_bytes()
    hub.commit(key, {**files, "export.json": changed, "stranger.py": b"1 / 0", "model.pt": b"\x80"})
    with pytest.raises(SoundprobeError, match="names the backbone stranger:Backbone, which is neither"):
        predict("gone.wav", run=f"hf:{REPO}", **QUIET)
    assert not [asked for asked in hub.requests if re.search(r"stranger\.py|model\.pt", asked)]


def test_weights_that_changed_on_the_way_are_refused(root, run, hub):
    push(run, repo=REPO, heads=root / "heads", **QUIET)
    key = f"models/{REPO}"
    files = hub.repos[key].at("main")[1]
    weights = files["model.safetensors"]
    hub.commit(key, {**files, "model.safetensors": weights[:-1] + bytes([weights[-1] ^ 1])})
    with pytest.raises(SoundprobeError, match=r"not the file that export\.json"):
        predict("gone.wav", run=f"hf:{REPO}", **QUIET)
