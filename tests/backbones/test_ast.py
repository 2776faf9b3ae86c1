"""AST: parity with transformers, padding, and position embeddings cut to shorter clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from backbone_inputs import Loader, real_clip, sounds
from safetensors.torch import load_file
from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification, ASTModel

from soundprobe.backbones.ast import Ast, config, kept_positions
from soundprobe.backbones.load import load_backbone, misfits
from soundprobe.backbones.tags import load_tag_head
from soundprobe.base.errors import WeightsError

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def full() -> Ast:
    """AST at its full length, with random weights."""
    module = load_backbone("ast", weights="random").network
    assert isinstance(module, Ast)
    return module


def reference_input(wave: torch.Tensor, frames: int = 1024) -> torch.Tensor:
    extractor = ASTFeatureExtractor(max_length=frames)
    return extractor(list(wave.numpy()), sampling_rate=RATE_HZ, return_tensors="pt")["input_values"]


def relative(ours: torch.Tensor, expected: torch.Tensor) -> float:
    return ((ours - expected).abs().max() / expected.abs().max()).item()


def test_ast_real_clip_of_4_s_equals_feature_extractor_and_model(full: Ast, shared: Path) -> None:
    wave = real_clip(shared, "UrbanSound8K/audio/fold1/102106-3-0-0.wav", RATE_HZ)
    assert wave.shape[1] == 64_000
    padded = torch.nn.functional.pad(wave, (0, full.samples - wave.shape[1]))
    with torch.inference_mode():
        expected = full.ast(reference_input(wave)).pooler_output
        assert relative(full(padded, torch.tensor([wave.shape[1]])), expected) < 1e-4


@pytest.mark.parametrize("samples", [400, 559, 560, 16_000, 163_840])
def test_ast_spectrogram_equals_feature_extractors(samples: int, full: Ast) -> None:
    wave = sounds(samples, RATE_HZ)
    with torch.inference_mode():
        ours = full.spectrogram(wave)
    assert ours.shape == (3, 128, 1024)
    assert relative(ours, reference_input(wave).transpose(1, 2)) < 1e-4


def test_ast_silence_spectrogram_equals_feature_extractors(full: Ast) -> None:
    wave = torch.zeros(1, 8_000)
    assert relative(full.spectrogram(wave), reference_input(wave).transpose(1, 2)) < 1e-4


def test_ast_wave_that_ends_early_equals_padded_wave_with_its_length(full: Ast) -> None:
    wave = sounds(20_000, RATE_HZ)
    padded = torch.nn.functional.pad(wave, (0, full.samples - 20_000))
    lengths = torch.full((3,), 20_000)
    assert torch.equal(full.spectrogram(wave), full.spectrogram(padded, lengths))
    assert not torch.equal(full.spectrogram(wave), full.spectrogram(padded))  # silence is not padding


def test_ast_lengths_in_one_batch_give_each_clip_its_own_padding(full: Ast) -> None:
    wave = sounds(16_000, RATE_HZ)
    lengths = torch.tensor([16_000, 5_000, 0])
    for row, length in enumerate(lengths.tolist()):
        wave[row, length:] = 0.0
    together = full.spectrogram(wave, lengths)
    for row in range(3):
        assert relative(together[row], full.spectrogram(wave[row : row + 1], lengths[row : row + 1])[0]) < 1e-5
    assert together.isfinite().all()


def test_ast_clip_shorter_than_a_window_still_has_one_frame(full: Ast) -> None:
    quiet, loud = torch.full((1, 100), 0.0), sounds(100, RATE_HZ)[2:]
    assert not torch.equal(full.spectrogram(quiet), full.spectrogram(loud))


def test_ast_wave_longer_than_built_for_is_refused(random_backbone: Loader) -> None:
    with pytest.raises(ValueError, match="16000 samples, not 16001"):
        random_backbone("ast").network(torch.zeros(1, 16_001))


@pytest.mark.parametrize("frames", [16, 100, 400, 511, 512, 1015, 1024])
def test_kept_positions_are_the_authors_middle_columns(frames: int) -> None:
    columns = (frames - 16) // 10 + 1
    grid = np.arange(2, 1214).reshape(12, 101)
    start = 50 - int(columns / 2)
    expected = grid[:, start : start + columns].ravel()
    assert kept_positions(frames).tolist() == [0, 1, *expected.tolist()]


def test_kept_positions_full_length_are_all() -> None:
    assert kept_positions(1024).tolist() == list(range(1214))


def test_ast_short_clips_equal_transformers_model_with_cut_positions(random_backbone: Loader) -> None:
    short = random_backbone("ast").network
    wave = sounds(16_000, RATE_HZ)[::2]
    settings = config()
    settings.max_length = 100
    reference = ASTModel(settings).eval()
    state = short.ast.state_dict()
    name = "embeddings.position_embeddings"
    state[name] = state[name][:, kept_positions(100)]
    reference.load_state_dict(state)
    with torch.inference_mode():
        expected = reference(reference_input(wave, frames=100)).pooler_output
        assert relative(short(wave), expected) < 1e-4


def test_ast_same_seed_gives_same_weights_at_every_clip_length(full: Ast, random_backbone: Loader) -> None:
    short = random_backbone("ast")
    assert (short.weights.label, short.settings["clip_seconds"]) == ("random (seed 0)", 1.0)
    state = full.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in short.network.state_dict().items())


def test_ast_convert_takes_the_names_that_transformers_writes(tmp_path: Path) -> None:
    small = ASTConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, num_labels=3)
    model = ASTForAudioClassification(small)
    model.save_pretrained(tmp_path)
    written = load_file(tmp_path / "model.safetensors")
    assert "audio_spectrogram_transformer.encoder.layer.0.attention.attention.query.weight" in written
    own = {f"ast.{name}": tensor for name, tensor in model.audio_spectrogram_transformer.state_dict().items()}
    converted = Ast.convert(written)
    assert misfits(own, converted) == []
    assert all(torch.equal(converted[name], tensor) for name, tensor in own.items())


def test_ast_file_with_another_patch_grid_is_refused(full: Ast, tmp_path: Path) -> None:
    file = tmp_path / "ast-16-16.pt"
    torch.save({"audio_spectrogram_transformer.embeddings.position_embeddings": torch.zeros(1, 514, 768)}, file)
    with pytest.raises(WeightsError, match=r"position_embeddings \(1, 514, 768\) for \(1, 1214, 768\)"):
        load_backbone("ast", weights=file)


def test_ast_tags_equal_transformers_classifier(tmp_path: Path) -> None:
    settings = config()
    settings.num_hidden_layers, settings.max_length, settings.num_labels = 1, 100, 527
    model = ASTForAudioClassification(settings).eval()
    torch.nn.init.normal_(model.classifier.layernorm.weight)
    model.save_pretrained(tmp_path)
    head = load_tag_head("ast", tmp_path / "model.safetensors")
    inputs = reference_input(sounds(16_000, RATE_HZ), frames=100)
    with torch.inference_mode():
        expected = model(inputs).logits
        ours = head.layers(model.audio_spectrogram_transformer(inputs).pooler_output)
    assert relative(ours, expected) < 1e-4
    assert head.predict_proba(np.zeros((2, 768), np.float32)).shape == (2, 527)
