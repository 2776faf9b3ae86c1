"""The registry of backbones. Imports no torch; each class is imported when it is used.

Networks of libraries that have hundreds are not in the table: `prefixes` says what makes the spec of each that is asked
for by such a name.

`parameters` and `gmacs` are measured (tests/backbones/test_catalog.py does it again over the whole table).
"""

from __future__ import annotations

from pathlib import Path

from soundprobe.backbones.spec import FLOATS, RANDOM, BackboneSpec, Frames, Layers
from soundprobe.backbones.weights.verify import WeightFile
from soundprobe.base.errors import ConfigError
from soundprobe.base.registry import Prefix, Registry

AST_REVISION = "f826b80d28226b62986cc218e5cec390b1096902"

AUDIOSET = "soundprobe.backbones.audioset:CLASSES"

LOG_MEL_64 = {
    "version": 1,
    "kind": "log-mel in dB, scaled",
    "n_fft": 1024,
    "window": "hann 1024",
    "hop": 512,
    "mel_bands": 64,
    "fmin_hz": 0.0,
    "fmax_hz": 11_025.0,
    "mean_db": -25.0,
    "std_db": 20.0,
}

PANNS = BackboneSpec(
    name="panns",
    title="PANNs CNN14",
    target="soundprobe.backbones.panns:Panns",
    embedding_dim=2048,
    sample_rate_hz=32_000,
    parameters=80_753_615,
    clip_seconds=None,
    max_seconds=10.0,
    min_seconds=0.31,  # 32 frames: five poolings halve them
    frontend={
        "version": 1,
        "kind": "log-mel in dB",
        "n_fft": 1024,
        "window": "hann 1024",
        "hop": 320,
        "mel_bands": 64,
        "fmin_hz": 50.0,
        "fmax_hz": 14_000.0,
    },
    pooling="max plus mean over time, fc1, ReLU",
    frames=Frames(2048, "mean over frequency of the last feature map, before fc1", hop=32 * 320, span=31 * 320),
    precisions=(*FLOATS, "int8"),
    trainable=True,
    weights=WeightFile(
        filename="Cnn14_mAP=0.431.pth",
        url="https://zenodo.org/records/3987831/files/Cnn14_mAP%3D0.431.pth",
        sha256="0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31",
        size_bytes=327_428_481,
        licence="CC BY 4.0",
        note="trained on AudioSet, mAP 0.431",
    ),
    tags=AUDIOSET,
    gmacs=7.99,
    source="Kong et al. 2020, arXiv 1912.10211; github.com/qiuqiangkong/audioset_tagging_cnn",
    licence="CC BY 4.0",
)

AST = BackboneSpec(
    name="ast",
    title="AST",
    target="soundprobe.backbones.ast:Ast",
    embedding_dim=768,
    sample_rate_hz=16_000,
    parameters=86_187_264,
    clip_seconds=10.24,
    max_seconds=10.24,
    min_seconds=0.16,  # 16 frames: one patch
    frontend={
        "version": 1,
        "kind": "log filter bank, Kaldi",
        "n_fft": 512,
        "window": "hann 400",
        "hop": 160,
        "mel_bands": 128,
        "fmin_hz": 20.0,
        "fmax_hz": 8_000.0,
        "mean": -4.2677393,
        "std": 4.5689974,
        "padding": "zeros in the filter bank, before it is normalised",
        "positions": "middle columns of the learnt grid",
    },
    pooling="mean of the [CLS] and distillation tokens",
    frames=Frames(768, "mean over frequency of each column of patches", hop=10 * 160, span=15 * 160 + 400),
    precisions=(*FLOATS, "int8"),
    trainable=True,
    weights=WeightFile(
        filename="ast-finetuned-audioset-10-10-0.4593.safetensors",
        url=f"https://huggingface.co/MIT/ast-finetuned-audioset-10-10-0.4593/resolve/{AST_REVISION}/model.safetensors",
        size_mb=346,
        revision=AST_REVISION,
        licence="BSD-3-Clause",
        note="trained on ImageNet and AudioSet, mAP 0.459",
    ),
    tags=AUDIOSET,
    gmacs=130.5,
    source="Gong et al. 2021, arXiv 2104.01778; github.com/YuanGongND/ast",
    licence="BSD-3-Clause",
)

MN04 = BackboneSpec(
    name="mn04",
    title="EfficientAT mn04",
    target="soundprobe.backbones.mn04:Mn04",
    embedding_dim=384,
    sample_rate_hz=32_000,
    parameters=983_599,
    clip_seconds=None,
    max_seconds=10.0,
    frontend={
        "version": 1,
        "kind": "log-mel, Kaldi bands",
        "preemphasis": 0.97,
        "n_fft": 1024,
        "window": "hann 800, not periodic",
        "hop": 320,
        "mel_bands": 128,
        "fmin_hz": 0.0,
        "fmax_hz": 15_000.0,
    },
    pooling="mean over time and frequency of the last feature map",
    frames=Frames(384, "mean over frequency of the last feature map", hop=32 * 320, span=1),  # by pre-emphasis
    layers={
        "last": Layers(384, "mean over time and frequency of the last feature map"),
        "middle": Layers(224, "means over time and frequency of what blocks 11 to 14 of 15 give"),
    },
    precisions=(*FLOATS, "int8"),
    trainable=True,
    weights=WeightFile(
        filename="mn04_as_mAP_432.pt",
        url="https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/mn04_as_mAP_432.pt",
        sha256="899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c",
        size_bytes=4_066_513,
        licence="MIT",
        note="trained on AudioSet, mAP 0.432",
    ),
    tags=AUDIOSET,
    gmacs=0.0442,
    source="Schmid et al. 2022, arXiv 2211.04772; github.com/fschmid56/EfficientAT",
    licence="MIT",
)

SIMPLECNN = BackboneSpec(
    name="simplecnn",
    title="SimpleCNN (the notes')",
    target="soundprobe.backbones.simplecnn:SimpleCnn",
    embedding_dim=128,
    sample_rate_hz=22_050,
    parameters=1_400_970,
    clip_seconds=4.0,
    max_seconds=4.0,
    any_clip_seconds=False,
    frontend={
        "version": 1,
        "kind": "log-mel in dB, floored 80 dB below the clip's peak",
        "n_fft": 2048,
        "window": "hann 2048",
        "hop": 512,
        "mel_bands": 64,
        "fmin_hz": 0.0,
        "fmax_hz": 11_025.0,
    },
    pooling="fc1, ReLU",
    frames=Frames(512, "each column of the last feature map, before fc1", hop=8 * 512, span=7 * 512),
    precisions=FLOATS,
    trainable=True,
    gmacs=0.0283,
    source="the notes that soundprobe compares with; trained from scratch",
    licence="none: no weights are published",
)

PICZAK = BackboneSpec(
    name="piczak",
    title="Piczak's CNN (2015)",
    target="soundprobe.backbones.piczak:Piczak",
    embedding_dim=5000,
    sample_rate_hz=22_050,
    parameters=26_684_080,
    clip_seconds=None,
    max_seconds=10.0,
    frontend={
        "version": 1,
        "kind": "log-mel of the clip at peak 1, floored 80 dB below the segment's peak, and deltas",
        "n_fft": 1024,
        "window": "hann 1024",
        "hop": 512,
        "mel_bands": 60,
        "fmin_hz": 0.0,
        "fmax_hz": 11_025.0,
        "mean_db": -20.0,
        "std_db": 20.0,
        "segments": "41 frames, every 20 frames",
        "silent": "a segment whose mean is -70 dB or less",
    },
    pooling="fc2, ReLU, mean of the segments that are not silent",
    frames=Frames(5000, "fc2, ReLU, of each segment", hop=20 * 512, span=40 * 512),
    precisions=FLOATS,
    trainable=True,
    gmacs=0.243,
    source="Piczak 2015, MLSP; github.com/karolpiczak/paper-2015-esc-convnet; trained from scratch",
    licence="none: no weights are published",
)

VGG = BackboneSpec(
    name="vgg",
    title="VGG-like CNN",
    target="soundprobe.backbones.vgg:Vgg",
    embedding_dim=256,
    sample_rate_hz=22_050,
    parameters=1_179_472,
    clip_seconds=None,
    max_seconds=10.0,
    min_seconds=0.35,  # 16 frames: four poolings halve them
    frontend=LOG_MEL_64,
    pooling="mean over frequency, then max plus mean over time",
    frames=Frames(256, "mean over frequency of the last feature map", hop=16 * 512, span=15 * 512),
    precisions=FLOATS,
    trainable=True,
    gmacs=0.176,
    source="the pattern of Simonyan and Zisserman 2014, arXiv 1409.1556; trained from scratch",
    licence="none: no weights are published",
)

CRNN = BackboneSpec(
    name="crnn",
    title="CRNN",
    target="soundprobe.backbones.crnn:Crnn",
    embedding_dim=256,
    sample_rate_hz=22_050,
    parameters=291_296,
    clip_seconds=None,
    max_seconds=10.0,
    frontend=LOG_MEL_64,
    pooling="attention over time",
    frames=Frames(256, "the GRU's states in both directions", hop=512, span=0),
    precisions=FLOATS,
    trainable=True,
    gmacs=0.139,
    source="after Cakir et al. 2017, arXiv 1702.06286; trained from scratch",
    licence="none: no weights are published",
)

LOGMEL_STATS = BackboneSpec(
    name="logmel-stats",
    title="log-mel statistics",
    target="soundprobe.backbones.logmel_stats:LogMelStats",
    embedding_dim=512,
    sample_rate_hz=22_050,
    parameters=0,
    frontend={
        "version": 1,
        "kind": "log-mel in dB",
        "n_fft": 2048,
        "window": "hann 2048",
        "hop": 512,
        "mel_bands": 128,
        "fmin_hz": 0.0,
        "fmax_hz": 11_025.0,
    },
    pooling="mean, standard deviation and maximum over the clip's frames, standard deviation of the deltas",
    frames=Frames(128, "log-mel in dB", hop=512, span=1),
    source="no network, nothing learnt: what a classifier of sounds was given before there were any",
    licence="none: there are no weights",
)


class Backbones(Registry[BackboneSpec]):
    """The registry of backbones."""

    def __getitem__(self, name: str) -> BackboneSpec:
        if "+" in name:
            each = name.replace("+", ",")
            raise ConfigError(
                f"{name!r} is several backbones, as '+' joins them: extract --backbone {each}, then probe --backbone "
                f"{name} has their embeddings side by side. A file, folder or revision with a '+' can't be named."
            )
        return super().__getitem__(name)

    def tagging(self, name: str, weights: str | Path | None) -> BackboneSpec:
        """The spec of a backbone that has tags, whose weights are there as far as can be told without reading any.

        Raises:
            ConfigError: it was trained on none, or its weights are random. WeightsError: see `check_weights`.
        """
        spec = self[name]
        if not spec.tags:
            having = ", ".join(sorted(one.name for one in self.usable() if one.tags))
            raise ConfigError(f"{name} has no tags of its own. Those that have some: {having}.")
        if weights == RANDOM:
            raise ConfigError(f"Random weights of {name} know no tags. Leave --weights out, or give a file.")
        spec.check_weights(weights)
        return spec


BACKBONES = Backbones(
    "backbone",
    "soundprobe.backbones",
    (AST, CRNN, LOGMEL_STATS, MN04, PANNS, PICZAK, SIMPLECNN, VGG),
    prefixes=(
        Prefix(
            "timm",
            "<name>",
            "soundprobe.backbones.timm_image:timm_spec",
            "any image network of timm on one-channel log-mel",
            "timm:resnet18",
        ),
        Prefix(
            "hear",
            "<module>[:<weights file>]",
            "soundprobe.backbones.hear_module:hear_spec",
            "any Python module that keeps HEAR 2021's API",
            "hear:hear21passt.base",
            is_code=lambda rest: True,
        ),
        Prefix(
            "mteb",
            "<name>",
            "soundprobe.backbones.mteb_encoder:mteb_spec",
            "any audio encoder of MTEB",
            "mteb:openai/whisper-tiny",
            is_code=lambda rest: ":" in rest,
        ),
        Prefix(
            "hf",
            "<owner/name>",
            "soundprobe.backbones.hf_model:hf_spec",
            "any audio encoder of transformers, on the Hugging Face Hub or in a folder (hf:./folder)",
            "hf:facebook/wav2vec2-base",
            has_revisions=True,
        ),
    ),
)
