"""The 16-bit types: near float32 or refused, the front end untouched, and never taken for float32."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from made_sets import rewrite_about
from probed_sets import probed_sets
from soundprobe.backbones.half import Half, check_fast
from soundprobe.backbones.load import load_backbone
from soundprobe.backbones.spec import PRECISIONS
from soundprobe.base.errors import ConfigError, QuantisationError
from soundprobe.data.catalog import open_data
from soundprobe.data.scan import scan
from soundprobe.embeddings import quantising, store
from soundprobe.embeddings.embed import EmbeddingJob
from soundprobe.embeddings.precision import declared, in_half
from soundprobe.embeddings.quantising import Heard, check_half, compare, cosines, faint, judge
from soundprobe.embeddings.sets import find_feature_sets, read_features
from soundprobe.heads.catalog import load_head
from soundprobe.predicting.loading import load_predictor
from soundprobe.scoring.results import read_fold
from soundprobe.verbs.extract import extract
from soundprobe.verbs.predict import predict
from soundprobe.verbs.probe import probe
from sounds import RATE_HZ, tone, write_urbansound_layout

CPU = torch.device("cpu")
SMALL = ("crnn", "mn04", "piczak", "simplecnn", "vgg")


@pytest.fixture(scope="module")
def bf16_here() -> Iterator[None]:
    """Where a CPU has no bfloat16 `extract` refuses it for being slow; emulated it can be tested all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("soundprobe.backbones.half.half_type", lambda device: torch.bfloat16)
        yield


def heard(sample_rate_hz: int) -> list[Heard]:
    """Tones of 4 s that differ in pitch and loudness, the quietest first, and near-silence."""
    seconds = 4.0 * sample_rate_hz / RATE_HZ
    waves = [tone(200.0 * 1.5**n, seconds, seed=n) * np.float32(10 ** (n / 8 - 1)) for n in range(8)]
    clips = [Heard(f"tone {number}", wave, len(wave)) for number, wave in enumerate(waves)]
    return [*clips, *faint(clips, seed=0)]


@pytest.mark.parametrize("name", SMALL)
def test_bf16_embeddings_of_tones_and_near_silence_are_near_float32_ones_and_not_equal(name):
    model = load_backbone(name, weights="random")
    found = compare(model, Half(model.network, "bf16"), heard(model.spec.sample_rate_hz), lambda _: None)
    judge(name, found, "bf16", cosine_bound=0.999, centred_bound=0.99)
    assert found.centred_min < 1


@pytest.mark.parametrize("name", SMALL)
def test_network_in_half_keeps_its_front_end_and_leaves_the_float32_one_as_it_was(name):
    model = load_backbone(name, weights="random")
    wave = torch.from_numpy(heard(model.spec.sample_rate_hz)[3].wave)[None]
    with torch.inference_mode():
        before = model.network(wave)
        half = Half(model.network, "bf16")
        found = half(wave)
        assert torch.equal(half.spectrogram(wave), model.network.spectrogram(wave))
        assert torch.equal(found, half.embed_spectrogram(half.spectrogram(wave)))
        assert torch.equal(model.network(wave), before)
    assert found.dtype == torch.float32
    assert found.shape == (1, model.spec.embedding_dim)


def test_mn04_computes_its_first_blocks_in_float32_and_the_others_in_half():
    half = Half(load_backbone("mn04", weights="random").network, "bf16")
    types: list[torch.dtype] = []
    for block in half.network.features:
        block.register_forward_hook(lambda layer, inputs, output: types.append(output.dtype))
    with torch.inference_mode():
        half(torch.randn(1, 32_000))
    assert types == [torch.float32] * 5 + [torch.bfloat16] * 12


def test_network_whose_numbers_vanish_in_fp16_is_refused(tmp_path):
    model = declared(
        load_backbone("mn04", weights="random"), "fp16"
    )  # embeddings near 1e-9, which fp16 has no numbers for
    clips = open_data(write_urbansound_layout(tmp_path / "toy"))
    job = EmbeddingJob(model, clips, scan(clips), CPU, 8, None)
    with pytest.raises(QuantisationError, match=r"fp16 is refused for mn04.*Extract without --precision fp16\.$"):
        check_half(job, in_half(model).network, "fp16", progress=False)


@pytest.fixture(scope="module")
def sets(bf16_here: None, shared: Path, tmp_path_factory):
    """mn04's real weights on 397 real clips in float32 and bf16, and the linear probe on each."""
    root = tmp_path_factory.mktemp("half")
    return root, *probed_sets("bf16", shared, root)


def test_bf16_costs_real_clips_at_most_half_a_point_of_probe_accuracy(sets):
    _, _, runs = sets
    accuracy = {name: run.result["summary"]["accuracy"]["mean"] for name, run in runs.items()}
    assert accuracy["bf16"] >= accuracy["fp32"] - 0.005, accuracy


def test_bf16_set_has_a_key_of_its_own_and_is_near_float32_on_every_real_clip(sets):
    _, found, _ = sets
    assert found["fp32"].folder != found["bf16"].folder
    assert (found["fp32"].precision, found["bf16"].precision) == ("fp32", "bf16")
    full, half = (store.open_set(found[precision].folder) for precision in ("fp32", "bf16"))
    assert (full.precision, half.precision) == ("fp32", "bf16")
    assert "precision_check" not in full.meta
    check = half.meta["precision_check"]
    assert check["clips"] == 8 + 5
    assert check["centred_bound"] < 0.999 <= check["centred_min"] <= check["centred_mean"] <= 1
    theirs, ours = (store.read_embeddings(one).features.astype(np.float64) for one in (full, half))
    mean = theirs.mean(axis=0)
    assert cosines(theirs, ours).min() > 0.999
    centred = cosines(theirs - mean, ours - mean)
    assert centred.min() > 0.999
    assert centred.mean() < 1


def test_report_says_bf16_of_the_run(sets):
    from soundprobe.reporting.write import write_report

    root, _, _ = sets
    page = write_report(root / "heads", root / "reports", embeddings=root / "embeddings", audio=False).html
    assert "network in bf16" in page.read_text(encoding="utf-8")


def test_heads_on_bf16_embeddings_predict_from_the_same_embeddings(bf16_here, tmp_path):
    data = write_urbansound_layout(tmp_path / "clips")
    options = {"backbone": "simplecnn", "weights": "random", "device": "cpu", "progress": False}
    extract(data, precision="bf16", embeddings=tmp_path / "embeddings", batch_size=1, **options)
    (done,) = probe(head="linear", embeddings=tmp_path / "embeddings", heads=tmp_path / "heads", progress=False)
    embeddings, _ = read_features(find_feature_sets(tmp_path / "embeddings")[0])
    (path,) = data.glob(f"audio/*/{embeddings.ids[7]}")
    expected = []
    for file in sorted(done.folder.glob("fold-*.safetensors")):
        _, arrays, record = read_fold(file)
        expected.append(load_head("linear", arrays, record.params).predict_proba(embeddings.features[7:8])[0])
    (said,) = predict(path, head=done.folder, device="cpu", progress=False)
    np.testing.assert_allclose(said.proba, np.mean(expected, axis=0), atol=1e-5)

    settings = {**done.result["backbone"]["settings"], "precision": "fp8"}
    rewrite_about(done.folder, settings=settings)
    with pytest.raises(ConfigError, match=r"simplecnn in 'fp8', and this version knows only fp32, bf16, fp16, int8"):
        load_predictor(done.folder, device="cpu", progress=False)


def test_extract_in_bf16_refused_by_the_check_leaves_no_set_behind(bf16_here, tmp_path, monkeypatch):
    data = write_urbansound_layout(tmp_path / "toy")
    monkeypatch.setattr(quantising.judge, "__kwdefaults__", {"cosine_bound": 1.0, "centred_bound": 1.0})
    options = {"weights": "random", "precision": "bf16", "embeddings": tmp_path, "device": "cpu", "progress": False}
    with pytest.raises(QuantisationError, match=r"bf16 is refused for simplecnn: over 13 clips"):
        extract(data, backbone="simplecnn", **options)
    (folder,) = (tmp_path / "toy").glob("simplecnn-*")
    assert [path.name for path in folder.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("precision", "device", "fast", "message"),
    [
        (
            "fp16",
            "cpu",
            torch.bfloat16,
            r"fp16 is faster than fp32 on CUDA GPUs only.*\(cpu\): use --precision bf16\.$",
        ),
        ("fp16", "cpu", None, r"\(cpu\): leave it out\.$"),
        (
            "bf16",
            "cpu",
            None,
            r"bf16 is faster than fp32 on CPUs with AVX512-BF16 or AMX and .*\(cpu\): leave it out\.$",
        ),
        ("bf16", "cuda", torch.float16, r"\(cuda\): use --precision fp16\.$"),
        ("bf16", "mps", None, r"\(mps\): leave it out\.$"),
    ],
)
def test_half_where_the_device_is_no_faster_is_refused_with_the_remedy(monkeypatch, precision, device, fast, message):
    monkeypatch.setattr("soundprobe.backbones.half.half_type", lambda device: fast)
    with pytest.raises(ConfigError, match=message) as caught:
        check_fast(precision, torch.device(device))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fast", [torch.bfloat16, torch.float16])
def test_fp16_is_offered_on_every_cuda_device(monkeypatch, fast):
    monkeypatch.setattr("soundprobe.backbones.half.half_type", lambda device: fast)
    check_fast("fp16", torch.device("cuda"))


def test_extract_in_half_on_a_cpu_without_it_says_so_before_it_reads_a_clip(tmp_path, monkeypatch):
    monkeypatch.setattr("soundprobe.backbones.half.half_type", lambda device: None)
    data = write_urbansound_layout(tmp_path / "clips", folds=1)
    options = {"weights": "random", "device": "cpu", "embeddings": tmp_path / "embeddings", "progress": False}
    monkeypatch.setattr("soundprobe.verbs.extract.scan_readable", None)  # would fail if a clip were read
    with pytest.raises(ConfigError, match=r"--precision bf16 is faster than fp32 on"):
        extract(data, backbone="mn04", precision="bf16", **options)
    assert not (tmp_path / "embeddings").exists()


def test_every_precision_has_a_key_of_its_own_and_float32_the_one_it_always_had():
    from soundprobe.embeddings.there_before import embedding_key

    model = load_backbone("mn04", weights="random")
    models = [declared(model, precision) for precision in PRECISIONS]
    keys = [embedding_key(one.spec, one.settings, one.weights.sha256, "data") for one in models]
    assert len(set(keys)) == len(PRECISIONS)
    assert declared(model, "fp32").settings == model.settings
    assert "precision" not in model.settings
