"""Int8: near float32 or refused, the same network every time, and never taken for float32."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from probed_sets import WEIGHTS, probed_sets
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.int8 import SCHEMES, Int8, Scheme, check_engines, mostly_faint, write_network
from soundprobe.backbones.load import load_backbone
from soundprobe.base.errors import ConfigError, QuantisationError
from soundprobe.embeddings import quantising, store
from soundprobe.embeddings.quantising import Heard, compare, cosines, faint, judge, shares
from soundprobe.predicting.loading import load_predictor
from soundprobe.verbs.extract import extract
from sounds import tone, write_urbansound_layout

CPU = torch.device("cpu")
SMALL = Scheme(calibration_clips=8, in_float32={})


def heard(count: int, samples: int = 88_200) -> list[Heard]:
    """Tones that differ in pitch and loudness, the quietest first."""
    waves = [tone(200.0 * 1.3**number, samples / 22_050, seed=number) for number in range(count)]
    return [Heard(f"tone {n}", wave * np.float32(10 ** (n / count - 1)), samples) for n, wave in enumerate(waves)]


def spectrograms(module, clips: list[Heard]) -> list[torch.Tensor]:
    with torch.no_grad():
        return [module.spectrogram(torch.from_numpy(c.wave)[None], torch.tensor([c.length]))[0] for c in clips]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """SimpleCNN with random weights in float32 and int8, and the clips that it was calibrated on."""
    model, clips = load_backbone("simplecnn", weights="random"), [*heard(8), *faint(heard(8), seed=0)]
    file = tmp_path_factory.mktemp("int8") / "network.xml"
    counted: list[int] = []
    write_network(model, SMALL, spectrograms(model.network, clips), file, counted.append)
    assert counted == [1] * len(clips)
    return model, Int8(model.network, file, faint_in_float32=True), clips


def test_int8_embeddings_of_a_small_network_are_near_float32_ones_and_not_equal(small):
    model, int8, _ = small
    checked = [*heard(12)[1::2], *faint(heard(12), seed=1)]
    found = compare(model, int8, checked, lambda _: None)
    assert found.clips == len(checked)
    judge("simplecnn", found, "int8")
    assert 0.99 < found.cosine_min <= found.cosine_mean < 1


def test_int8_embedding_of_a_clip_does_not_depend_on_its_batch(small):
    model, int8, clips = small
    wave = torch.from_numpy(np.stack([clip.wave for clip in clips]))
    lengths = torch.tensor([clip.length for clip in clips])
    with torch.inference_mode():
        together = int8(wave, lengths)
        alone = torch.cat([int8(wave[n : n + 1], lengths[n : n + 1]) for n in range(len(clips))])
    assert together.dtype == torch.float32
    assert together.shape == (len(clips), model.spec.embedding_dim)
    faint_clips = mostly_faint(wave)
    assert 0 < faint_clips.sum() < len(clips)
    assert torch.equal(together[~faint_clips], alone[~faint_clips])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)  # PyTorch's convolutions know the batch


def test_int8_leaves_mostly_silent_clips_to_float32_and_no_others(small):
    model, int8, _ = small
    waves = np.stack([tone(440.0, 4.0)] * 4)
    waves[1] *= 1e-4
    waves[2, 40_000:] = 0
    waves[3, 50_000:] = 0
    wave, lengths = torch.from_numpy(waves), torch.full((4,), 88_200)
    assert mostly_faint(wave).tolist() == [False, True, True, False]
    with torch.inference_mode():
        full, ours = model.network(wave, lengths), int8(wave, lengths)
    apart = ((full - ours).abs().amax(dim=1) / full.abs().amax(dim=1)).tolist()
    assert [difference < 1e-5 for difference in apart] == [False, True, True, False], apart


def test_network_quantised_again_gives_the_same_embeddings(small, tmp_path):
    model, int8, clips = small
    inputs = spectrograms(model.network, clips)
    write_network(model, SMALL, inputs, tmp_path / "again.xml", lambda _: None)
    again = Int8(model.network, tmp_path / "again.xml", faint_in_float32=True)
    with torch.inference_mode():
        assert torch.equal(int8.embed_spectrogram(torch.stack(inputs)), again.embed_spectrogram(torch.stack(inputs)))


def test_network_that_was_calibrated_on_other_sounds_fails_the_check(small, tmp_path):
    model, _, _ = small
    quiet = [Heard("faint", clip.wave * np.float32(1e-3), clip.length) for clip in heard(4)]
    write_network(model, SMALL, [s * 1e-3 for s in spectrograms(model.network, quiet)], tmp_path / "bad.xml", print)
    bad = Int8(model.network, tmp_path / "bad.xml", faint_in_float32=True)
    found = compare(model, bad, heard(8), lambda _: None)
    with pytest.raises(QuantisationError, match=r"int8 is refused for simplecnn: over 8 clips.*least allowed: 0\.98"):
        judge("simplecnn", found, "int8")


def test_cosines_of_zeros_and_of_what_is_not_finite_never_pass_as_near():
    a = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [np.nan, 1.0]])
    b = np.array([[0.5, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    assert cosines(a, b).tolist() == [1.0, 1.0, 0.0, 0.0]


def test_calibration_and_check_share_no_clip_and_both_have_the_quietest():
    pool = heard(100, samples=2205)
    calibration, checked = shares(pool, 32)
    assert len(calibration) == len(checked) == 32
    assert not {clip.name for clip in calibration} & {clip.name for clip in checked}
    assert {clip.name for clip in pool[:16]} <= {clip.name for clip in [*calibration, *checked]}
    assert pool[-1] in checked
    few = heard(5, samples=2205)
    assert shares(few, 32) == (few, few)


@pytest.fixture(scope="module")
def sets(shared: Path, tmp_path_factory):
    """mn04's real weights on 397 real clips in both precisions, and the linear probe on each."""
    root = tmp_path_factory.mktemp("precisions")
    return root, *probed_sets("int8", shared, root)


def test_int8_costs_real_clips_at_most_half_a_point_of_probe_accuracy(sets):
    _, _, runs = sets
    accuracy = {name: run.result["summary"]["accuracy"]["mean"] for name, run in runs.items()}
    assert accuracy["int8"] >= accuracy["fp32"] - 0.005, accuracy


def test_int8_set_has_a_key_of_its_own_and_says_what_its_check_found(sets):
    _, found, _ = sets
    assert found["fp32"].folder != found["int8"].folder
    full, int8 = (store.open_set(found[precision].folder) for precision in ("fp32", "int8"))
    assert (full.precision, int8.precision) == ("fp32", "int8")
    assert "quantisation" not in full.meta
    assert "precision" not in full.meta["backbone"]["settings"]  # so sets from before keep their keys
    assert "openvino" in int8.meta["backbone"]["settings"]["quantisation"]
    check = int8.meta["quantisation"]
    assert check["clips"] == 32 + 5
    assert check["cosine_bound"] <= check["cosine_min"] <= check["cosine_mean"] <= 1
    assert check["centred_bound"] <= check["centred_min"] <= check["centred_mean"] <= 1
    theirs, ours = (store.read_embeddings(one).features for one in (full, int8))
    cosine = cosines(theirs, ours)  # of all 397 clips, most of which no check saw: a sample can't vouch for each
    assert np.median(cosine) > 0.999
    assert (cosine < check["cosine_bound"]).mean() < 0.01


def test_report_says_int8_of_the_run(sets):
    from soundprobe.reporting.write import write_report

    root, _, _ = sets
    page = write_report(root / "heads", root / "reports", embeddings=root / "embeddings", audio=False).html
    assert "network in int8" in page.read_text(encoding="utf-8")


def test_predict_refuses_heads_on_int8_embeddings_in_one_line(sets):
    _, _, runs = sets
    with pytest.raises(ConfigError, match=r"trained on mn04 in int8, which predict can't run"):
        load_predictor(runs["int8"].folder, device="cpu", progress=False)


def test_extract_in_int8_goes_on_with_the_network_that_a_killed_run_began_with(sets, shared, monkeypatch):
    root, found, _ = sets
    folder = found["int8"].folder
    before = store.read_embeddings(store.open_set(folder)).features
    sorted(folder.glob("part-*.parquet"))[-1].unlink()
    monkeypatch.setattr(quantising, "write_network", None)  # would fail if it were quantised again
    options = {"weights": shared / "weights" / WEIGHTS, "precision": "int8", "device": "cpu", "progress": False}
    (again,) = extract(shared / "data" / "UrbanSound8K", backbone="mn04", embeddings=root / "embeddings", **options)
    assert 0 < again.reused < again.clips
    np.testing.assert_array_equal(store.read_embeddings(store.open_set(folder)).features, before)


def test_extract_refused_by_the_check_leaves_no_set_behind(tmp_path, monkeypatch):
    data = write_urbansound_layout(tmp_path / "toy")
    monkeypatch.setattr(quantising.judge, "__kwdefaults__", {"cosine_bound": 0.99999, "centred_bound": 0.99999})
    with pytest.raises(QuantisationError, match=r"int8 is refused for mn04.*Extract without --precision int8\.$"):
        extract(
            data, backbone="mn04", weights="random", precision="int8", embeddings=tmp_path, device="cpu", progress=False
        )
    (folder,) = (tmp_path / "toy").glob("mn04-*")
    assert [path.name for path in folder.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "vgg"}, r"int8 is not offered for vgg, only fp32, bf16, fp16"),
        ({"backbone": "mn04", "precision": "int9"}, r"Unknown precision 'int9'. Did you mean 'int8'\?"),
        ({"backbone": "mn04,vgg"}, r"int8 is not offered for vgg"),
    ],
)
def test_extract_with_a_precision_that_can_not_be_had_says_so_in_one_line(tmp_path, options, message):
    options = {"weights": "random", "precision": "int8", "device": "cpu", "progress": False, **options}
    with pytest.raises(ConfigError, match=message) as caught:
        extract(tmp_path / "not opened", embeddings=tmp_path, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_int8_off_the_cpu_is_refused_with_the_remedy(device):
    with pytest.raises(ConfigError, match=f"on the CPU only, not on {device}: add --device cpu"):
        check_engines(torch.device(device))


def test_int8_without_its_packages_names_the_command_that_installs_them(monkeypatch):
    monkeypatch.setattr("soundprobe.backbones.int8.ENGINES", ("openvino", "no-such-engine"))
    with pytest.raises(ConfigError, match=r"needs no-such-engine.*pip install 'soundprobe\[int8\]'"):
        check_engines(CPU)


def test_engines_load_without_reporting_their_use_and_leave_the_home_folder_alone(tmp_path):
    code = (
        "import sys\nfrom soundprobe.backbones.int8 import _engines\n"
        "with _engines() as (openvino, nncf):\n    openvino.convert_model\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry')]\n"
        "assert not __import__('json').dumps(sorted(sys.modules)).count('ga4')"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "intel").exists()


def test_every_scheme_is_of_a_backbone_in_the_catalogue():
    from soundprobe.backbones.catalog import BACKBONES

    assert set(SCHEMES) <= set(BACKBONES)
    assert json.dumps(sorted(SCHEMES)) == '["ast", "mn04", "panns"]'


def test_every_backbone_that_says_int8_has_a_scheme_and_the_others_have_none():
    assert {spec.name for spec in BACKBONES.values() if "int8" in spec.precisions} == set(SCHEMES)
