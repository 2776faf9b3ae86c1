"""Models of transformers as backbones, tiny ones of each family, against transformers' own forward."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from torch import Tensor

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.load import LoadedBackbone, load_backbone
from soundprobe.base import registry
from soundprobe.base.errors import ConfigError, WeightsError
from tiny_transformers import FAMILIES, WAV2VEC2, save_tiny

TOLERANCE = 1e-5
SECONDS = (2.0, 1.3, 1.3, 0.7, 0.03)
OVER_TOKENS = "AST"
OVER_MAPS = ("CLAP (audio)", "CLAP (audio, fused)")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The folder of each family's model."""
    root = tmp_path_factory.mktemp("tiny")
    return {family: save_tiny(family, root / str(number)) for number, family in enumerate(FAMILIES)}


def clips(rate: int) -> tuple[Tensor, Tensor]:
    """Noise (5, T), each clip with its own length and level, and the lengths (5,)."""
    lengths = torch.tensor([round(seconds * rate) for seconds in SECONDS])
    noise = np.random.default_rng(0).standard_normal((len(lengths), int(lengths.max()))).astype(np.float32)
    waves = torch.from_numpy(noise) * torch.tensor([[0.1], [0.3], [0.02], [0.1], [0.1]])
    return waves * (torch.arange(waves.shape[1]) < lengths[:, None]), lengths


def embed(backbone: LoadedBackbone, waves: Tensor, lengths: Tensor) -> Tensor:
    with torch.inference_mode():
        return backbone.network.embed(waves, lengths)


def reference(folder: Path, wave: np.ndarray) -> Any:
    """What transformers' own model gives for one clip by itself, unpadded, as its documentation shows it."""
    model = hf.AutoModel.from_pretrained(folder).eval()
    extractor = hf.AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor(wave, sampling_rate=extractor.sampling_rate, return_tensors="pt")
    with torch.inference_mode():
        if isinstance(model, hf.ClapModel):
            inputs["is_longer"] = torch.tensor([[False]])  # no clip is longer than 10 s
            return model.audio_model(**inputs, output_hidden_states=True)
        heard = model.encoder if model.config.is_encoder_decoder else model
        return heard(**inputs, output_hidden_states=True)


def pooled_reference(family: str, folder: Path, wave: np.ndarray) -> Tensor:
    """(D,): the model's own pooled output where it has one, else the mean over the clip's frames."""
    found = reference(folder, wave)
    if family in (OVER_TOKENS, *OVER_MAPS):
        return found.pooler_output[0]
    frames = found.last_hidden_state[0]
    if family == "Whisper (encoder)":  # 50 frames a second, of 30 s whatever the clip's length
        frames = frames[: -(-len(wave) // 320)]
    return frames.mean(dim=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_embedding_is_transformers_own_of_the_clip_by_itself_whatever_stands_beside_it(
    family: str, tiny: Mapping[str, Path]
) -> None:
    backbone = load_backbone(f"hf:{tiny[family]}")
    waves, lengths = clips(backbone.spec.sample_rate_hz)
    together = embed(backbone, waves, lengths)
    assert together.shape == (len(SECONDS), backbone.spec.embedding_dim)
    assert together.isfinite().all()
    alone = torch.cat([embed(backbone, waves[row : row + 1, : int(n)], n[None]) for row, n in enumerate(lengths)])
    assert (together - alone).abs().max() <= TOLERANCE
    assert (together - embed(backbone, waves.flip(0), lengths.flip(0)).flip(0)).abs().max() <= TOLERANCE
    own = [pooled_reference(family, tiny[family], waves[row, : lengths[row]].numpy()) for row in range(4)]
    difference = float((together[:4] - torch.stack(own)).abs().max())
    print(f"| {family} | {backbone.spec.embedding_dim} | {difference:.1e} |")
    assert difference <= TOLERANCE
    assert together.std(dim=0).max() > 100 * TOLERANCE  # which is something only where clips differ by more


MASKED = ("Wav2Vec2 (layer norm)", "Wav2Vec2-BERT", "Parakeet (encoder)")
"""In transformers' own batches padding is heard, mask or not, by Data2VecAudio's and Speech2Text's convolutions."""


@pytest.mark.parametrize("family", MASKED)
def test_embedding_is_that_of_a_padded_batch_with_transformers_own_mask(family: str, tiny: Mapping[str, Path]) -> None:
    backbone = load_backbone(f"hf:{tiny[family]}")
    waves, lengths = clips(backbone.spec.sample_rate_hz)
    extractor = hf.AutoFeatureExtractor.from_pretrained(tiny[family])
    own = [waves[row, : lengths[row]].numpy() for row in range(4)]
    rate = extractor.sampling_rate
    inputs = extractor(own, sampling_rate=rate, return_tensors="pt", padding=True, return_attention_mask=True)
    model = hf.AutoModel.from_pretrained(tiny[family]).eval()
    with torch.inference_mode():
        frames = model(**inputs).last_hidden_state
    counts = [reference(tiny[family], wave).last_hidden_state.shape[1] for wave in own]
    means = torch.stack([frames[row, :count].mean(dim=0) for row, count in enumerate(counts)])
    assert (embed(backbone, waves, lengths)[:4] - means).abs().max() <= TOLERANCE


@pytest.mark.parametrize("family", ["Wav2Vec2", "Whisper (encoder)", "AST", "CLAP (audio)"])
def test_layers_and_pools_are_those_of_transformers_hidden_states(family: str, tiny: Mapping[str, Path]) -> None:
    name = f"hf:{tiny[family]}"
    spec = BACKBONES[name]
    waves, lengths = clips(spec.sample_rate_hz)
    waves, lengths = waves[:1], lengths[:1]
    found = reference(tiny[family], waves[0].numpy())
    states = {"last": found.last_hidden_state, "0": found.hidden_states[0], "1": found.hidden_states[1]}
    states = {layer: one.flatten(2).mT if one.ndim == 4 else one for layer, one in states.items()}
    frames = {layer: one[0, 2:] if family == "AST" else one[0] for layer, one in states.items()}
    if family == "Whisper (encoder)":
        frames = {layer: one[:100] for layer, one in frames.items()}
    assert {layer: told.columns for layer, told in spec.layers.items() if layer != "mean"} == {
        layer: one.shape[1] for layer, one in frames.items()
    }
    expected = {
        "mean": lambda one: one.mean(dim=0),
        "max": lambda one: one.amax(dim=0),
        "mean+std": lambda one: torch.cat([one.mean(dim=0), one.std(dim=0, correction=0)]),
    }
    for pool, of in expected.items():
        backbone = load_backbone(name, layers="all", pool=pool)
        every = torch.cat([of(one) for one in frames.values()])
        assert (embed(backbone, waves, lengths)[0] - every).abs().max() < TOLERANCE
        assert backbone.layers == {layer: len(of(one)) for layer, one in frames.items()}
        one = load_backbone(name, layers="1", pool=pool)
        assert (embed(one, waves, lengths)[0] - of(frames["1"])).abs().max() < TOLERANCE
        assert one.spec.embedding_dim == len(of(frames["1"]))
    if "mean" in spec.layers:
        mean = load_backbone(name, layers="mean", pool="mean")
        of_layers = torch.stack([one.mean(dim=0) for one in frames.values()]).mean(dim=0)
        assert (embed(mean, waves, lengths)[0] - of_layers).abs().max() < TOLERANCE
    if family == "AST":
        tokens = load_backbone(name, layers="0")
        assert (embed(tokens, waves, lengths)[0] - states["0"][0, :2].mean(dim=0)).abs().max() < TOLERANCE


def own_frames(family: str, folder: Path, wave: np.ndarray) -> Tensor:
    """(M, D): transformers' output for the clip, of patches the mean over frequency."""
    found = reference(folder, wave).last_hidden_state[0]
    if family == OVER_TOKENS:
        return found[2:].unflatten(0, (12, -1)).mean(dim=0)
    return found.mean(dim=1).T if family in OVER_MAPS else found


@pytest.mark.parametrize("family", FAMILIES)
def test_frames_are_the_models_output_and_their_mean_is_the_embedding(family: str, tiny: Mapping[str, Path]) -> None:
    backbone = load_backbone(f"hf:{tiny[family]}")
    spec = backbone.spec
    assert spec.frames is not None
    waves, lengths = clips(spec.sample_rate_hz)
    waves, lengths = waves[:4], lengths[:4] - torch.tensor([0, 79, 80, 81])  # about where one frame more begins
    lengths = lengths.clamp(max=round(spec.max_seconds * spec.sample_rate_hz))
    with torch.inference_mode():
        frames = backbone.network.embed_frames(waves, lengths)
    counts = [spec.frames.count(int(length)) for length in lengths]
    own = own_frames(family, tiny[family], waves[3, : lengths[3]].numpy())
    assert (own[: counts[3]] - frames[3, : counts[3]]).abs().max() <= TOLERANCE
    if family not in (OVER_TOKENS, *OVER_MAPS):
        means = torch.stack([row[:count].mean(dim=0) for row, count in zip(frames, counts, strict=True)])
        assert (means - embed(backbone, waves, lengths)).abs().max() <= TOLERANCE


OF_SPECTROGRAMS = ("Wav2Vec2-BERT", "Whisper (encoder)", "Speech2Text (encoder)", "Parakeet (encoder)")
"""Those that convolve the wave standardise it all by what is in it, but for Moonshine."""


@pytest.mark.parametrize("family", [OVER_TOKENS, *OVER_MAPS, *OF_SPECTROGRAMS, "Moonshine (encoder)"])
def test_frame_that_changes_most_is_where_a_sound_is_put_into_a_clip(family: str, tiny: Mapping[str, Path]) -> None:
    backbone = load_backbone(f"hf:{tiny[family]}")
    spec, rate_hz = backbone.spec, backbone.spec.sample_rate_hz
    samples, burst = round(min(3.0, spec.max_seconds) * rate_hz), round(0.02 * rate_hz)
    begin, rng = round(0.6 * samples), np.random.default_rng(0)
    plain = rng.normal(0, 0.1, (3, samples)).astype(np.float32)
    changed = plain.copy()
    changed[:, begin : begin + burst] += rng.normal(0, 2, burst)
    lengths = torch.full((3,), samples)
    with torch.inference_mode():
        frames = [backbone.network.embed_frames(torch.from_numpy(waves), lengths) for waves in (plain, changed)]
    times_s = spec.frame_times_s(samples)
    most = (frames[1] - frames[0])[:, : len(times_s)].norm(dim=2).argmax(dim=1).median()
    assert spec.frames is not None
    assert abs(times_s[int(most)] - (begin + burst / 2) / rate_hz) < 2 * spec.frames.hop / rate_hz


def test_settings_tell_layers_pool_and_the_folders_configuration(
    tiny: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = load_backbone(f"hf:{tiny['Wav2Vec2']}")
    assert not {"layers", "pool"} & set(plain.settings)
    assert load_backbone(f"hf:{tiny['Wav2Vec2']}", pool="mean").settings == plain.settings
    monkeypatch.setattr(registry, "_allowed", {f"hf:{tiny['Wav2Vec2']}"})  # it has no code that this would let run
    assert load_backbone(f"hf:{tiny['Wav2Vec2']}").settings == plain.settings
    other = load_backbone(f"hf:{tiny['Wav2Vec2']}", layers="all", pool="max")
    assert {name: other.settings[name] for name in ("layers", "pool")} == {"layers": "all", "pool": "max"}
    copy = shutil.copytree(tiny["Wav2Vec2"], tmp_path / "copy")
    moved = load_backbone(f"hf:{copy}")
    assert (moved.settings, moved.weights.sha256) == (plain.settings, plain.weights.sha256)
    extractor = json.loads((copy / "preprocessor_config.json").read_text(encoding="utf-8"))
    (copy / "preprocessor_config.json").write_text(json.dumps({**extractor, "do_normalize": False}), encoding="utf-8")
    changed = load_backbone(f"hf:{copy}")
    assert changed.settings["frontend"]["configs_sha256"] != plain.settings["frontend"]["configs_sha256"]


def test_random_weights_are_drawn_with_the_seed_and_need_no_file(tiny: Mapping[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(tiny["HuBERT"], tmp_path / "copy", ignore=shutil.ignore_patterns("*.safetensors"))
    drawn = [load_backbone(f"hf:{copy}", weights="random", seed=seed).weights for seed in (0, 0, 1)]
    assert [one.label for one in drawn] == ["random (seed 0)", "random (seed 0)", "random (seed 1)"]
    assert drawn[0].sha256 == drawn[1].sha256 != drawn[2].sha256
    with pytest.raises(WeightsError, match=r"has no model.safetensors\. Give a model"):
        load_backbone(f"hf:{copy}")


def test_weights_with_nan_are_refused_and_a_folder_is_named_once(tiny: Mapping[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(tiny["HuBERT"], tmp_path / "copy")
    assert load_backbone(f"hf:{copy}").weights.label == "pretrained"
    tensors = load_file(copy / "model.safetensors")
    name = next(name for name in tensors if name.endswith("bias"))
    save_file({**tensors, name: tensors[name] * torch.nan}, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=rf"The weights of hf:.* hold NaN \(.*{name.rsplit('.', 2)[-2]}"):
        load_backbone(f"hf:{copy}")


def test_tensor_that_only_training_reads_is_drawn_alike_where_a_file_lacks_it(
    tiny: Mapping[str, Path], tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny["Wav2Vec2"], tmp_path / "copy")
    tensors = load_file(copy / "model.safetensors")
    del tensors["masked_spec_embed"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    once = load_backbone(f"hf:{copy}")
    torch.rand(1)  # which moves the caller's random state on
    twice = load_backbone(f"hf:{copy}")
    assert once.weights.sha256 == twice.weights.sha256
    assert "masked_spec_embed" in str(list(once.network.state_dict()))


def test_extractor_in_a_processors_file_is_found(tiny: Mapping[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(tiny["Wav2Vec2"], tmp_path / "copy")
    extractor = json.loads((copy / "preprocessor_config.json").read_text(encoding="utf-8"))
    (copy / "preprocessor_config.json").unlink()
    processor = {"processor_class": "Wav2Vec2Processor", "feature_extractor": extractor}
    (copy / "processor_config.json").write_text(json.dumps(processor), encoding="utf-8")
    assert load_backbone(f"hf:{copy}").spec.sample_rate_hz == 16_000


def damaged(folder: Path, what: str) -> None:
    """Makes the copy of a model in `folder` unfit in one way."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if what == "no extractor":
        (folder / "preprocessor_config.json").unlink()
    elif what == "a model of pictures":
        hf.ViTConfig().save_pretrained(folder)
        pictures = json.dumps({"image_processor_type": "ViTImageProcessor"})
        (folder / "preprocessor_config.json").write_text(pictures, encoding="utf-8")
    elif what == "only .bin":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    elif what == "half a file":
        content = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    elif what == "a list of no files":
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors.index.json").write_text('{"weight_map": ["a"]}', encoding="utf-8")
    elif what == "a part less":
        (folder / "model.safetensors").unlink()
        listed = json.dumps({"weight_map": {"a": "model-1-of-1.safetensors"}})
        (folder / "model.safetensors.index.json").write_text(listed, encoding="utf-8")
    elif what == "half a list":
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors.index.json").write_text('{"weight_', encoding="utf-8")
    elif what == "files elsewhere":
        (folder / "model.safetensors").rename(folder.parent / "out.safetensors")
        listed = json.dumps({"metadata": {}, "weight_map": {"a": "../out.safetensors"}})
        (folder / "model.safetensors.index.json").write_text(listed, encoding="utf-8")
    elif what == "an adapter":
        (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "/elsewhere"}', encoding="utf-8")
    elif what == "nested":
        (folder / "config.json").write_text('{"a":' * 5000 + "1" + "}" * 5000, encoding="utf-8")
    elif what == "a vast window":
        hf.WhisperFeatureExtractor().save_pretrained(folder)
        extractor = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        (folder / "preprocessor_config.json").write_text(json.dumps({**extractor, "n_fft": 10**9}), encoding="utf-8")
    elif what == "half a hertz":
        extractor = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        (folder / "preprocessor_config.json").write_text(json.dumps({**extractor, "sampling_rate": 0.5}))
    elif what == "vast weights":
        (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 10**12}), encoding="utf-8")
    elif what == "layers without end":
        (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2**40}), encoding="utf-8")
    elif what == "another size":
        (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}), encoding="utf-8")
    elif what == "no JSON":
        (folder / "config.json").write_text("<html>", encoding="utf-8")
    elif what == "no such model":
        (folder / "config.json").write_text(json.dumps({"model_type": "wav3vec3"}), encoding="utf-8")
    elif what == "a codec":
        config = hf.EncodecConfig(num_filters=4, hidden_size=8, codebook_size=8, codebook_dim=8, upsampling_ratios=[4])
        hf.EncodecModel(config).save_pretrained(folder)
        hf.EncodecFeatureExtractor().save_pretrained(folder)
    elif what == "own code":
        (folder / "config.json").write_text(
            json.dumps({"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}), encoding="utf-8"
        )
        (folder / "mine.py").write_text("raise SystemExit('it was run')\n", encoding="utf-8")
    elif what == "code elsewhere":
        auto_map = {"AutoConfig": "other/repository--mine.Config"}
        (folder / "config.json").write_text(json.dumps({"model_type": "mine", "auto_map": auto_map}), encoding="utf-8")


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("no extractor", ConfigError, "is no audio encoder: it has no feature extractor"),
        ("a model of pictures", ConfigError, r"\(vit\) is no audio encoder: it has no feature extractor"),
        ("only .bin", WeightsError, r"has no model.safetensors, only pytorch_model.bin, and opening one of those may"),
        ("half a file", WeightsError, r"can't be loaded \(SafetensorError"),
        ("a list of no files", WeightsError, "model.safetensors.index.json doesn't say which files hold the weights"),
        ("a part less", WeightsError, r"has no model.safetensors\. Give a model"),
        ("half a list", WeightsError, "model.safetensors.index.json doesn't say which files hold the weights"),
        ("files elsewhere", WeightsError, r"names a file that is not beside it: \.\./out.safetensors"),
        ("an adapter", WeightsError, r"is an adapter \(adapter_config.json\) to another model"),
        ("nested", ConfigError, "maximum recursion depth"),
        ("a vast window", ConfigError, "preprocessor_config.json has n_fft = 1000000000, and sound needs at most"),
        ("half a hertz", ConfigError, r"no feature extractor with a sampling rate, .* \(ValueError: 0.5 Hz"),
        ("vast weights", ConfigError, "GB of weights, and this machine has .* GB of memory. Give a smaller model"),
        ("layers without end", ConfigError, r"asks for more than 10,000 modules, or layers\. Give a smaller model"),
        ("another size", WeightsError, r"lack \d+ of its tensors, such as encoder.layers.2"),
        ("no JSON", ConfigError, "config.json is no JSON object"),
        ("no such model", ConfigError, r"is no model that transformers .* knows \("),
        ("a codec", ConfigError, "gives no hidden states for a clip"),
        ("own code", ConfigError, "runs code of its own. If you trust it, give --trust-remote-code"),
        ("code elsewhere", ConfigError, r"runs code of another repository \(other/repository--mine.Config\)"),
    ],
)
def test_what_cannot_be_a_backbone_is_refused_in_one_line(
    what: str,
    error: type[Exception],
    message: str,
    tiny: Mapping[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = shutil.copytree(tiny["Wav2Vec2"], tmp_path / "copy")
    damaged(copy, what)
    monkeypatch.setattr(registry, "_allowed", {f"hf:{copy}"} if what == "code elsewhere" else set())
    with pytest.raises(error, match=message) as caught:
        load_backbone(f"hf:{copy}")
    assert "\n" not in str(caught.value)


def test_kernel_that_a_configuration_names_is_not_run(tiny: Mapping[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(tiny["HuBERT"], tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    named = dict.fromkeys(("_attn_implementation", "attn_implementation"), "kernels-community/anything")
    (copy / "config.json").write_text(json.dumps({**config, **named}), encoding="utf-8")
    assert load_backbone(f"hf:{copy}").weights.sha256 == load_backbone(f"hf:{tiny['HuBERT']}").weights.sha256


def test_clip_shorter_than_what_a_frame_hears_is_padded_to_that(tmp_path: Path) -> None:
    config = hf.Wav2Vec2Config(**{**WAV2VEC2, "conv_stride": (16, 16, 8), "conv_kernel": (16, 16, 16)})
    hf.AutoModel.from_config(config).save_pretrained(tmp_path)  # a frame hears 4,096 samples
    hf.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    backbone = load_backbone(f"hf:{tmp_path}")
    padded = embed(backbone, torch.ones(2, 4096), torch.tensor([1600, 4096]))
    assert padded.isfinite().all()
    assert not torch.equal(padded[0], padded[1])


@pytest.mark.parametrize(
    ("asked", "options", "message"),
    [
        ("hf:wav2vec2", {}, "'hf:wav2vec2' is no model: give hf:OWNER/NAME, hf:OWNER/NAME@REVISION or hf:./folder"),
        ("hf:", {}, "'hf:' is no model"),
        ("hf:../<b>", {}, "there is no ../<b>/config.json below /.*. Give the folder of a model"),
        ("hf:~nobody-of-this-name/a", {}, "can't be looked for: Could not determine home directory"),
        (f"hf:./{'a' * 5000}", {}, "can't be looked for: .*File name too long"),
        ("Wav2Vec2", {"pool": "cls"}, "--pool cls is not offered for hf:.*, only mean, mean.std, max. Leave it out."),
        ("Wav2Vec2", {"layers": "2"}, "--layer 2 is not offered for hf:.*, only last, 0, 1, mean, all. Leave it out."),
        ("CLAP (audio)", {"layers": "mean"}, "--layer mean is not offered for hf:.*, only last, 0, 1, all."),
        ("mn04", {"pool": "mean"}, "--pool mean is not offered for mn04. Leave it out."),
    ],
)
def test_name_layer_or_pool_that_is_not_there_says_what_is(
    asked: str, options: dict[str, str], message: str, tiny: Mapping[str, Path]
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_backbone(f"hf:{tiny[asked]}" if asked in tiny else asked, weights="random", **options)


def test_frames_of_another_pooling_than_the_mean_are_refused(tiny: Mapping[str, Path]) -> None:
    with pytest.raises(ConfigError, match="--pool max can't go with --frames.*Leave --pool out"):
        BACKBONES[f"hf:{tiny['Wav2Vec2']}"].with_layers("last", "max").by_frames()


def test_it_cannot_be_fine_tuned_nor_run_in_half_precision(tiny: Mapping[str, Path]) -> None:
    spec = BACKBONES[f"hf:{tiny['Wav2Vec2']}"]
    with pytest.raises(ConfigError, match="can't be fine-tuned. Probe it as it is: soundprobe extract --backbone hf:"):
        spec.check_trainable()
    with pytest.raises(ConfigError, match="--precision bf16 is not offered for hf:.*, only fp32"):
        spec.check_precision("bf16")
