"""Models of transformers on the Hub: a server on this machine answers as the Hub does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from transformers import dynamic_module_utils

from hub_server import Hub, Repo, serving
from soundprobe.backbones.load import load_backbone
from soundprobe.base import registry
from soundprobe.base.errors import ConfigError, WeightsError
from soundprobe.cli.options import trust
from tiny_transformers import save_tiny

REPO = "someone/tiny-hubert"
CLOSED = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A tiny HuBERT, as transformers saves it."""
    folder = save_tiny("HuBERT", tmp_path_factory.mktemp("hubert"))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """The Hub of a process that may go online, and an empty cache of it."""
    for offline in ("HF_HUB_OFFLINE", "SOUNDPROBE_OFFLINE"):
        monkeypatch.delenv(offline, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # what these variables set, but at the client's import
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def told(name: str, **options: str) -> tuple[str, str, dict[str, Any]]:
    """What a record would hold of the backbone: the weights' name and digest, and the front end."""
    loaded = load_backbone(name, **options)
    assert loaded.spec.name == name
    return loaded.weights.label, loaded.weights.sha256, loaded.settings["frontend"]


def publish(hub: Hub, name: str, files: dict[str, bytes]) -> str:
    hub.repos.setdefault(f"models/{name}", Repo(private=False))
    return hub.commit(f"models/{name}", files)


def test_commit_is_pinned_cached_and_asked_for_by_name(
    hub: Hub, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(hub, REPO, files)
    online = told(f"hf:{REPO}")
    assert online[0] == f"pretrained ({REPO}@{first[:12]})"
    assert online[2] == {"version": 1, "kind": "Wav2Vec2FeatureExtractor", "revision": first}
    # What the cache holds is taken, though the Hub has another by now. That is had by its name, and the first again.
    other = json.loads(files["preprocessor_config.json"]) | {"do_normalize": False}
    second = publish(hub, REPO, {**files, "preprocessor_config.json": json.dumps(other).encode()})
    asked = len(hub.requests)
    assert told(f"hf:{REPO}") == online
    assert len(hub.requests) == asked
    assert told(f"hf:{REPO}@{second}")[2]["revision"] == second
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    assert told(f"hf:{REPO}") == told(f"hf:{REPO}", revision=first) == online


def test_random_weights_fetch_the_configuration_only(
    hub: Hub, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(hub, REPO, files)
    assert told(f"hf:{REPO}", weights="random")[0] == "random (seed 0)"
    assert not [line for line in hub.requests if "safetensors" in line]
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")
    with pytest.raises(WeightsError) as caught:
        load_backbone(f"hf:{REPO}")
    assert str(caught.value) == (
        f"model.safetensors of hf:{REPO} is not in the Hugging Face cache and can't be fetched: SOUNDPROBE_OFFLINE "
        f"forbids to fetch it. URL: https://huggingface.co/{REPO} ; run once where it can be reached and copy the "
        "cache (HF_HOME), or use --weights random."
    )


@pytest.mark.parametrize("there", [True, False])
def test_repository_that_is_not_there_or_unreachable_is_one_clear_line(
    there: bool, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url if there else CLOSED)
    with pytest.raises(WeightsError) as caught:
        load_backbone("hf:someone/nothing")
    message = str(caught.value)
    assert message.startswith("config.json of hf:someone/nothing is not in the Hugging Face cache and can't be fetched")
    assert ("401" in message) == there
    assert message.endswith("copy the cache (HF_HOME), or give a folder (hf:./folder).")
    assert "\n" not in message


def test_repository_of_pickles_only_is_refused_and_nothing_of_them_fetched(hub: Hub, files: dict[str, bytes]) -> None:
    weights = files["model.safetensors"]
    only = {name: content for name, content in files.items() if name != "model.safetensors"}
    publish(hub, REPO, {**only, "pytorch_model.bin": weights})
    with pytest.raises(WeightsError, match=r"has no model.safetensors, only pytorch_model.bin, and"):
        load_backbone(f"hf:{REPO}")
    assert not [line for line in hub.requests if "pytorch_model.bin" in line]


CODE = """
from transformers import HubertConfig, HubertModel
class Config(HubertConfig):
    model_type = "mine"
class Model(HubertModel):
    config_class = Config
"""


def test_code_of_a_model_is_fetched_and_run_only_where_it_is_allowed(
    hub: Hub, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(registry, "_allowed", set())
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    auto_map = {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}
    config = json.loads(files["config.json"]) | {"model_type": "mine", "auto_map": auto_map}
    commit = publish(hub, REPO, {**files, "config.json": json.dumps(config).encode(), "mine.py": CODE.encode()})
    with pytest.raises(ConfigError) as caught:
        load_backbone(f"hf:{REPO}")
    assert str(caught.value) == (
        f"hf:{REPO} runs code of its own. If you trust it, give --trust-remote-code (to predict with it: "
        f"--allow hf:{REPO})."
    )
    assert not [line for line in hub.requests if "mine.py" in line]
    trust(f"mn04,hf:{REPO}")
    allowed = told(f"hf:{REPO}")
    assert allowed[2] == {"version": 1, "kind": "Wav2Vec2FeatureExtractor", "revision": commit, "remote_code": True}
