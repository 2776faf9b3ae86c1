"""Any image network of timm, on a spectrogram that it takes for a one-channel picture.

ImageNet weights are optional, and got by timm: from the Hugging Face Hub's cache, or fetched into it. A first layer for
three colours is turned into one for grey by adding its weights up over the colours, as timm does.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from functools import lru_cache
from typing import Any

import timm
import torch
from timm.models import PretrainedCfg
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.flop_counter import FlopCounterMode

from soundprobe.backbones.melspectrogram import LogMel
from soundprobe.backbones.protocol import SpectrogramBackbone
from soundprobe.backbones.spec import FLOATS, BackboneSpec, Frames
from soundprobe.base.errors import ConfigError, WeightsError, one_line
from soundprobe.base.files import offline
from soundprobe.base.model_hub import cached_file, model_info, unreachable

SAMPLE_RATE_HZ = 22_050
N_FFT = 2048  # 1024 would leave the lowest of 128 bands one or two bins each
HOP = 512
MEL_BANDS = 128
MEAN_DB, STD_DB = -20.0, 20.0  # 100 clips of UrbanSound8K give -21, 19
FIXED_SECONDS = 4.0  # what a network of a fixed picture size hears, stretched to that size
LEAST_FRAMES = 128  # on which a network's last feature map is measured
SOME = ("resnet18", "mobilenetv3_large_100", "efficientnet_b0", "convnext_atto", "vit_tiny_patch16_224")


class TimmImage(SpectrogramBackbone):
    """timm's network without its classifier, on log-mel.

    Letters: B clips, T samples, F = 128 mel bands, M = T // 512 + 1 frames, D is the network's.

    Args:
        network: timm's name, with or without the tag of its weights ("resnet18", "resnet18.a1_in1k").
        picture: (height, width) that the spectrogram is stretched to, for a network that takes one size only.
        clip_seconds: nothing depends on it.
    """

    def __init__(
        self, *, network: str, picture: tuple[int, int] | None = None, clip_seconds: float | None = None
    ) -> None:
        super().__init__()
        self.name = network
        self.picture = picture
        self.log_mel = LogMel(
            sample_rate_hz=SAMPLE_RATE_HZ, n_fft=N_FFT, hop=HOP, mel_bands=MEL_BANDS, mean_db=MEAN_DB, std_db=STD_DB
        )
        self.network: Any = timm.create_model(network, in_chans=1, num_classes=0)

    def spectrogram(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Wave (B, T) to log-mel (B, F, M), as (dB + 20) / 20. `lengths` is ignored: silence is heard as such."""
        return self.log_mel(wave)

    def embed_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M) to embeddings (B, D)."""
        pictures = spectrogram.unsqueeze(1)
        if self.picture is not None:
            pictures = interpolate(pictures, size=self.picture, mode="bilinear", align_corners=False)
        return self.network(pictures)

    def frame_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M) to the last feature map's means over frequency, (B, M / hop, columns)."""
        return self.network.forward_features(spectrogram.unsqueeze(1)).mean(dim=2).transpose(1, 2)

    def load_pretrained(self) -> str:
        """Takes timm's published weights. Returns their name, with the tag.

        Once they are in the Hub's cache no network is needed, and the cached ones are taken.

        Raises:
            WeightsError: there are none for this network, or they can't be fetched.
        """
        published = timm.get_pretrained_cfg(self.name)
        if published is None or not (published.hf_hub_id or published.url):
            raise WeightsError(
                f"timm:{self.name} has no pretrained weights in timm {timm.__version__}: use --weights random, "
                "or the name of a network that has some (timm.list_pretrained())."
            )
        if _cached_file(published) is None:
            if published.hf_hub_id:
                model_info(_weights_of(self.name), published.hf_hub_id.partition("@")[0])
            elif offline():
                raise _unreachable(self.name, published, f"{offline()} forbids to fetch it")
        first, second = (_load(self.name, published, seed) for seed in (0, 1))
        left = second.state_dict()
        different = [name for name, tensor in first.state_dict().items() if not torch.equal(tensor, left[name])]
        if different:  # timm says nothing where a file lacks a tensor, and leaves it at its random start
            raise WeightsError(
                f"Pretrained weights of timm:{self.name} lack {len(different)} of its tensors, such as {different[0]}: "
                "the cached file is another network's, or damaged. Delete it from the Hugging Face cache and run again."
            )
        self.network = first
        return f"{published.architecture}.{published.tag}" if published.tag else str(published.architecture)


def _load(name: str, published: PretrainedCfg, seed: int) -> nn.Module:
    """timm's network with its published weights; what these don't hold is drawn with `seed`."""
    cached = _cached_file(published)
    overlay = None if cached is None else {"file": cached}
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return timm.create_model(name, pretrained=True, in_chans=1, num_classes=0, pretrained_cfg_overlay=overlay)
    except Exception as error:  # the Hub's client, PyTorch's and timm's own have no error in common
        raise _unreachable(name, published, one_line(error)[:200]) from error


def _cached_file(published: PretrainedCfg) -> str | None:
    """The path of the weights in the Hub's cache, where they are there."""
    if not published.hf_hub_id:
        return None
    repository, _, revision = published.hf_hub_id.partition("@")
    names = [published.hf_hub_filename] if published.hf_hub_filename else ["model.safetensors", "pytorch_model.bin"]
    return cached_file(repository, names, revision or None)


def _weights_of(name: str) -> str:
    return f"Pretrained weights of timm:{name} are"


def _unreachable(name: str, published: PretrainedCfg, reason: str) -> WeightsError:
    source = f"https://huggingface.co/{published.hf_hub_id}" if published.hf_hub_id else published.url
    return unreachable(_weights_of(name), str(source), reason)


@lru_cache
def timm_spec(network: str) -> BackboneSpec:
    """The spec of timm's image network, measured on the meta device: nothing is computed and no memory taken.

    A network that can't take spectrograms of 1 s and of 4 s as they are gets them stretched to its own picture size,
    and then hears clips of a fixed length.

    Raises:
        ConfigError: timm has no such network or tag, or it can't be used on one channel.
    """
    _check_name(network)
    model = _on_meta(network)
    by_length = [_measure(model, (MEL_BANDS, round(seconds * SAMPLE_RATE_HZ) // HOP + 1)) for seconds in (1.0, 4.0)]
    size = tuple(model.pretrained_cfg["input_size"][1:])
    picture = size if any(isinstance(measured, str) for measured in by_length) else None
    measured = by_length[1] if picture is None else _measure(model, picture)
    if isinstance(measured, str):
        raise ConfigError(
            f"timm:{network} can't be used on spectrograms, which have one channel: {measured}. "
            f"Give another image network, such as timm:{SOME[0]}."
        )
    dimension, gmacs = measured
    return BackboneSpec(
        name=f"timm:{network}",
        title=f"{network} (timm)",
        target="soundprobe.backbones.timm_image:TimmImage",
        arguments={"network": network, "picture": picture},
        embedding_dim=dimension,
        sample_rate_hz=SAMPLE_RATE_HZ,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        clip_seconds=FIXED_SECONDS if picture else None,
        max_seconds=10.0,
        min_seconds=1.0,
        frontend={
            "version": 1,
            "kind": "log-mel in dB, scaled",
            "n_fft": N_FFT,
            "window": f"hann {N_FFT}",
            "hop": HOP,
            "mel_bands": MEL_BANDS,
            "fmin_hz": 0.0,
            "fmax_hz": SAMPLE_RATE_HZ / 2,
            "mean_db": MEAN_DB,
            "std_db": STD_DB,
            "picture": list(picture) if picture else "as it is",
        },
        pooling="the network's own",
        frames=None if picture else _frames(model),
        weights=None,
        precisions=FLOATS,
        trainable=True,
        loads_own_weights=True,
        gmacs=gmacs,
        source=f"timm {timm.__version__}, github.com/huggingface/pytorch-image-models",
        licence=model.pretrained_cfg.get("license") or "see the network's page on the Hugging Face Hub",
    )


def _check_name(network: str) -> None:
    names = timm.list_models()
    architecture, _, tag = network.partition(".")
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")] if tag else []
    if network in names or tag in tags:
        return
    near = difflib.get_close_matches(network, [f"{architecture}.{t}" for t in tags] if tags else names, n=1)
    hint = f" Did you mean 'timm:{near[0]}'?" if near else ""
    raise ConfigError(
        f"Unknown backbone {'timm:' + network!r}.{hint} "
        f"timm {timm.__version__} has {len(names)} image networks (timm.list_models()), such as {', '.join(SOME)}."
    )


def _on_meta(network: str) -> Any:
    try:
        with torch.device("meta"):
            return timm.create_model(network, in_chans=1, num_classes=0).eval()
    except Exception as error:  # each of timm's networks fails in its own way
        raise ConfigError(f"timm:{network} can't be built for one channel: {one_line(error)[:200]}.") from error


def _frames(model: Any) -> Frames | None:
    """What a column of the last feature map hears, by when there is one more; None where that is no map over time."""

    @lru_cache
    def columns(frames: int) -> int:
        maps = model.forward_features(torch.empty(1, 1, MEL_BANDS, frames, device="meta"))
        is_map = maps.dim() == 4 and maps.shape[1] == model.num_features
        return int(maps.shape[3]) if is_map else 0

    try:
        hop, count = int(model.feature_info[-1]["reduction"]), columns(LEAST_FRAMES)
        wider = range(LEAST_FRAMES + 1, LEAST_FRAMES + hop + 1)
        # Most networks have one more at once: their convolutions are centred on what they hear.
        at = 0 if columns(wider[0]) > count else bisect_left(wider, count + 1, key=columns)
        span = wider[at] - hop * count
    except Exception:  # each of timm's networks fails in its own way
        return None
    if not count:
        return None
    return Frames(
        model.num_features, "mean over frequency of the last feature map", hop=hop * HOP, span=(span - 1) * HOP
    )


def _measure(model: nn.Module, size: tuple[int, ...]) -> tuple[int, float] | str:
    """(D, GMAC) of one picture of `size`, or what keeps the network from taking it."""
    try:
        with FlopCounterMode(display=False) as counter:
            embedding = model(torch.empty(1, 1, *size, device="meta"))
    except Exception as error:  # each of timm's networks fails in its own way
        return one_line(error)[:200]
    if not isinstance(embedding, Tensor) or embedding.dim() != 2:
        return "its output is no vector for each picture"
    return embedding.shape[1], counter.get_total_flops() / 2e9
