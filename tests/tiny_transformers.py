"""Tiny models of transformers, each family by its name: configuration and feature extractor, weights drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf

WIDTH = {"num_attention_heads": 2, "intermediate_size": 24}
ENCODER = {"hidden_size": 16, "num_hidden_layers": 2, **WIDTH}
CONVOLUTIONS = {"conv_dim": (8,) * 3, "conv_kernel": (10, 8, 4), "conv_stride": (5, 8, 8)}
WAV2VEC2 = {**ENCODER, **CONVOLUTIONS, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
SEQ2SEQ = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "vocab_size": 20, "encoder_ffn_dim": 24}
SEQ2SEQ |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "decoder_ffn_dim": 24}
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
DEPTHS = {"patch_embeds_hidden_size": 16, "hidden_size": 32, "depths": [1, 1], "num_attention_heads": [2, 2]}


def clap(fused: bool) -> hf.ClapConfig:
    text = {"vocab_size": 20, **ENCODER}
    return hf.ClapConfig(text_config=text, audio_config={**DEPTHS, "enable_fusion": fused}, projection_dim=8)


Made = tuple[hf.PretrainedConfig, Any]
FAMILIES: dict[str, Callable[[], Made]] = {
    "Wav2Vec2": lambda: (hf.Wav2Vec2Config(**WAV2VEC2), hf.Wav2Vec2FeatureExtractor()),
    "Wav2Vec2 (layer norm)": lambda: (
        hf.Wav2Vec2Config(**WAV2VEC2, feat_extract_norm="layer", do_stable_layer_norm=True),
        hf.Wav2Vec2FeatureExtractor(return_attention_mask=True),
    ),
    "HuBERT": lambda: (hf.HubertConfig(**WAV2VEC2), hf.Wav2Vec2FeatureExtractor()),
    "WavLM": lambda: (hf.WavLMConfig(**WAV2VEC2), hf.Wav2Vec2FeatureExtractor()),
    "Data2VecAudio": lambda: (
        hf.Data2VecAudioConfig(**WAV2VEC2),
        hf.Wav2Vec2FeatureExtractor(return_attention_mask=True),
    ),
    "UniSpeech": lambda: (hf.UniSpeechConfig(**WAV2VEC2), hf.Wav2Vec2FeatureExtractor()),
    "UniSpeechSat": lambda: (hf.UniSpeechSatConfig(**WAV2VEC2), hf.Wav2Vec2FeatureExtractor()),
    "SEW": lambda: (hf.SEWConfig(**WAV2VEC2), hf.Wav2Vec2FeatureExtractor()),
    "SEW-D": lambda: (hf.SEWDConfig(**WAV2VEC2), hf.Wav2Vec2FeatureExtractor()),
    "Wav2Vec2-Conformer": lambda: (
        hf.Wav2Vec2ConformerConfig(**WAV2VEC2, conv_depthwise_kernel_size=3),
        hf.Wav2Vec2FeatureExtractor(),
    ),
    "Wav2Vec2-BERT": lambda: (
        hf.Wav2Vec2BertConfig(**ENCODER, conv_depthwise_kernel_size=3),
        hf.SeamlessM4TFeatureExtractor(),
    ),
    "Whisper (encoder)": lambda: (hf.WhisperConfig(**SEQ2SEQ, **TOKENS), hf.WhisperFeatureExtractor()),
    "AST": lambda: (hf.ASTConfig(**ENCODER, max_length=128), hf.ASTFeatureExtractor(max_length=128)),
    "CLAP (audio)": lambda: (clap(False), hf.ClapFeatureExtractor(truncation="rand_trunc")),
    "CLAP (audio, fused)": lambda: (clap(True), hf.ClapFeatureExtractor()),
    "Moonshine (encoder)": lambda: (
        hf.MoonshineConfig(
            hidden_size=16,
            intermediate_size=24,
            vocab_size=20,
            **{f"{part}_num_hidden_layers": 2 for part in ("encoder", "decoder")},
            **{f"{part}_num_attention_heads": 2 for part in ("encoder", "decoder")},
        ),
        hf.Wav2Vec2FeatureExtractor(do_normalize=False),
    ),
    "Speech2Text (encoder)": lambda: (
        hf.Speech2TextConfig(**SEQ2SEQ, **TOKENS, conv_channels=16),
        hf.Speech2TextFeatureExtractor(),
    ),
    "Parakeet (encoder)": lambda: (
        hf.ParakeetEncoderConfig(**ENCODER, subsampling_conv_channels=8, conv_kernel_size=3),
        hf.ParakeetFeatureExtractor(),
    ),
}


def save_tiny(family: str, folder: Path, seed: int = 0) -> Path:
    """The family's model and feature extractor in `folder`, as transformers saves them."""
    config, extractor = FAMILIES[family]()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = hf.AutoModel.from_config(config)
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder
