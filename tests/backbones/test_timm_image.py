"""timm's image networks: names, sizes, and ImageNet weights from a Hub that is a server on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import timm
import torch
from backbone_inputs import Loader, sounds
from overfitting import overfit
from safetensors.torch import load_file, save_file

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.load import load_backbone
from soundprobe.base.errors import ConfigError, WeightsError
from soundprobe.cli.completing import timm_names

RATE_HZ = 22_050
REPOSITORY = "timm/test_resnet.r160_in1k"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_timm_network_that_takes_any_picture_hears_any_length(random_backbone: Loader) -> None:
    spec = BACKBONES["timm:test_resnet"]
    assert (spec.embedding_dim, spec.parameters, spec.clip_seconds) == (96, 372_400, None)
    module = random_backbone("timm:test_resnet").network
    with torch.inference_mode():
        for seconds in (1, 3):
            wave = sounds(seconds * RATE_HZ, RATE_HZ)
            assert torch.equal(module(wave), module.network(module.spectrogram(wave).unsqueeze(1)))


def test_timm_network_of_one_picture_size_hears_4_s_stretched_to_it(random_backbone: Loader) -> None:
    spec = BACKBONES["timm:test_vit"]
    assert spec.clip_seconds == 4.0
    assert spec.arguments["picture"] == (160, 160)
    assert spec.frontend["picture"] == [160, 160]
    assert random_backbone("timm:test_vit").settings["clip_seconds"] == 4.0
    assert load_backbone("timm:test_vit", weights="random", clip_seconds=5).settings["clip_seconds"] == 5.0


def test_timm_name_with_the_tag_of_its_weights_is_the_same_network() -> None:
    plain, tagged = BACKBONES["timm:test_resnet"], BACKBONES["timm:test_resnet.r160_in1k"]
    assert tagged.name == "timm:test_resnet.r160_in1k"
    assert (tagged.parameters, tagged.gmacs) == (plain.parameters, plain.gmacs)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("timm:resnet81", "Unknown backbone 'timm:resnet81'. Did you mean 'timm:resnet18'? timm "),
        ("timm:resnet18.a1_in2k", "Did you mean 'timm:resnet18.a1_in1k'?"),
        ("timm:resnet18.", "Unknown backbone 'timm:resnet18.'."),
        ("timm:", "Unknown backbone 'timm:'. timm "),
        ("timm:hf-hub:someone/model", "Unknown backbone 'timm:hf-hub:someone/model'."),
        ("timm:../<b>\n", r"Unknown backbone 'timm:../<b>\n'."),
        ("timm:csatv2", "timm:csatv2 can't be used on spectrograms, which have one channel: "),
    ],
)
@pytest.mark.filterwarnings("ignore:CSATv2 is designed for 3-channel")
def test_timm_name_that_cannot_be_used_is_one_clear_line(asked: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        BACKBONES[asked]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_timm_weights_file_of_ones_own_is_read_strictly(tmp_path: Path) -> None:
    made = load_backbone("timm:test_resnet", weights="random", seed=5)
    save_file(made.network.state_dict(), tmp_path / "mine.safetensors")
    loaded = load_backbone("timm:test_resnet", weights=tmp_path / "mine.safetensors")
    assert loaded.weights.label == "file mine.safetensors"
    state = loaded.network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in made.network.state_dict().items())
    with pytest.raises(WeightsError, match="is not a weights file of timm:test_vit"):
        load_backbone("timm:test_vit", weights=tmp_path / "mine.safetensors")


def test_timm_pretrained_offline_is_one_clear_line() -> None:
    with pytest.raises(WeightsError) as caught:
        load_backbone("timm:resnet18")
    message = str(caught.value)
    assert "HF_HUB_OFFLINE forbids to fetch it. URL: https://huggingface.co/timm/resnet18.a1_in1k" in message
    assert "\n" not in message


def test_timm_pretrained_of_a_network_without_weights_says_so() -> None:
    published = {name.partition(".")[0] for name in timm.list_pretrained()}
    without = next(name for name in timm.list_models("ghostnet*") if name not in published)
    with pytest.raises(
        WeightsError, match=f"timm:{without} has no pretrained weights in timm .*: use --weights random"
    ):
        load_backbone(f"timm:{without}")


def test_timm_network_learns_20_real_clips_by_heart(private_backbone: Loader, shared: Path) -> None:
    before, after = overfit(private_backbone("timm:test_resnet"), shared, steps=12, lr=1e-2)
    assert after < before / 4


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file such as timm publishes: three colours, 1,000 classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = timm.create_model("test_resnet")
    file = tmp_path_factory.mktemp("published") / "model.safetensors"
    save_file(network.state_dict(), file)
    return file


@pytest.fixture
def hub(published: Path) -> Iterator[str]:
    """The address of a server that answers as the Hub does for one repository with one file."""
    content = published.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            path = self.path.split("?")[0]
            if path == f"/api/models/{REPOSITORY}":
                self.reply(200, json.dumps({"id": REPOSITORY, "sha": COMMIT}).encode(), {}, with_body)
            elif path.startswith(f"/{REPOSITORY}/resolve/") and path.endswith("/model.safetensors"):
                etag = f'"{hashlib.sha256(content).hexdigest()}"'
                self.reply(200, content, {"ETag": etag, "X-Repo-Commit": COMMIT}, with_body)
            else:
                self.reply(404, b"", {"X-Error-Code": "EntryNotFound"}, with_body)

        def reply(self, status: int, body: bytes, headers: dict[str, str], with_body: bool) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


LOAD = """
import sys
import torch
from soundprobe.backbones.load import load_backbone
from soundprobe.base.errors import WeightsError
torch.manual_seed(0)
expected = torch.rand(1).item()
for name in sys.argv[1:]:
    torch.manual_seed(0)
    try:
        loaded = load_backbone(name)
    except WeightsError as error:
        print("ERROR", error)
    else:
        stem = next(p for p in loaded.network.parameters() if p.dim() == 4)
        print(loaded.weights.kind, loaded.weights.label, loaded.weights.sha256)
        print(tuple(stem.shape), f"{stem.sum().item():.4f}", torch.rand(1).item() == expected)
"""
CLOSED = "http://127.0.0.1:9"


def load_in_process(home: Path, endpoint: str, *names: str, **environment: str) -> list[str]:
    """What `LOAD` prints in a process of its own, since the Hub's address is read at import."""
    settings = {**os.environ, "HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", **environment}
    settings["HF_HUB_DISABLE_XET"] = settings["HF_HUB_DISABLE_TELEMETRY"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *names], env=settings, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Retrying" not in done.stderr
    return done.stdout.splitlines()


def test_timm_pretrained_is_fetched_by_timm_and_there_offline_from_then_on(
    hub: str, published: Path, tmp_path: Path
) -> None:
    online = load_in_process(tmp_path / "home", hub, "timm:test_resnet")
    assert online[0].startswith("pretrained pretrained (test_resnet.r160_in1k) ")
    colours = load_file(published)["conv1.0.weight"]
    assert colours.shape == (16, 3, 3, 3)
    # grey is the sum of the colours; the caller's random numbers go on as they were
    assert online[1] == f"(16, 1, 3, 3) {colours.sum().item():.4f} True"
    assert load_in_process(tmp_path / "home", CLOSED, "timm:test_resnet", SOUNDPROBE_OFFLINE="1") == online


def test_timm_pretrained_unreachable_or_another_networks_in_the_cache_is_one_clear_line(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "hub" / f"models--{REPOSITORY.replace('/', '--')}"
    (folder / "snapshots" / COMMIT).mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    save_file({"layer.weight": torch.ones(3)}, folder / "snapshots" / COMMIT / "model.safetensors")
    unreachable, another = load_in_process(tmp_path / "home", CLOSED, "timm:test_vit", "timm:test_resnet")
    assert unreachable.startswith("ERROR Pretrained weights of timm:test_vit are not in the Hugging Face cache and")
    assert "URL: https://huggingface.co/timm/test_vit.r160_in1k ;" in unreachable
    assert another.startswith("ERROR Pretrained weights of timm:test_resnet lack ")
    assert "Delete it from the Hugging Face cache" in another


def test_names_that_a_shell_completes_without_importing_timm_are_those_that_it_lists():
    assert sorted(timm_names()) == sorted(timm.list_models())
