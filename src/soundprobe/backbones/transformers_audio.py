"""Any audio encoder of transformers as a backbone; which one, `hf_model` says.

What the model's own feature extractor gives is heard clip by clip, without the padding of a batch, so that neither an
attention mask nor what stands beside a clip counts; clips that are as long go through the network together. Behind a
mask clips of 3 to 4 s, eight at once, took a quarter longer on a core than one by one (Wav2Vec2, 6 layers of 768), and
few families hear nothing of the padding.

Only safetensors are read, and code of a model's own is run only where the user allows it.

Letters: B clips, T samples, M frames (or patches), D the width of a layer.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook
from torch.nn.utils.rnn import pad_sequence
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel
from transformers.utils import logging

from soundprobe.backbones.hf_model import EXTRACTORS, INDEX, WEIGHTS, fetched, no_safetensors, own_code
from soundprobe.backbones.protocol import Backbone
from soundprobe.backbones.spec import LAST, MEAN, BackboneSpec, Frames, Layers
from soundprobe.base.errors import ConfigError, WeightsError
from soundprobe.base.registry import strangers_code

TOWERS = ("audio_model", "audio_tower", "speech_encoder")
"""What a model of sound and something else calls the part that hears."""
SHORTEST_SECONDS = 0.1  # shorter clips get silence: convolutions have nothing to see of less than 25 ms
LONGEST_SECONDS = 10.0  # where the feature extractor has no length of its own
MOST_MODULES = 10_000
"""Whisper's largest has under 1,500; a configuration of a line may ask for more layers than can be made in years."""
ADAPTER = "adapter_config.json"
ONLY_TRAINED = ("masked_spec_embed",)
"""Tensors that nothing but training reads; many files lack them."""
POOLS = {
    "mean": "mean over the clip's frames",
    "mean+std": "mean and standard deviation over the clip's frames",
    "max": "maximum over the clip's frames",
    "cls": "mean of the tokens before the patches",
}


def _convolved(config: Any, extractor: Any) -> tuple[int, int] | None:
    """Of convolutions on the wave; None where there are none."""
    layers = list(zip(getattr(config, "conv_kernel", ()), getattr(config, "conv_stride", ()), strict=True))
    if not layers:
        return None
    hop = span = 1
    for kernel, stride in layers:
        span += (kernel - 1) * hop
        hop *= stride
    return hop, span


def _of_swin_columns(config: Any, extractor: Any) -> tuple[int, int]:
    """CLAP's spectrogram is stretched, its ends kept, before it is cut into patches."""
    audio = config.audio_config
    wide = audio.spec_size * (audio.spec_size // audio.num_mel_bins)
    stretched = extractor.hop_length * (extractor.nb_max_samples // extractor.hop_length) / (wide - 1)
    column = audio.patch_stride[1] * 2 ** (len(audio.depths) - 1)
    return round(column * stretched), round((column - 1) * stretched)


@dataclass(frozen=True)
class Family:
    """What one kind of model needs besides.

    Attributes:
        tokens: before the patches; where there are any their mean is the embedding, unless `--pool` says otherwise.
        extracted: keywords for the feature extractor; heard: inputs of the network that replace what that gives.
        timing: of configuration and feature extractor, `hop` and `span` of `Frames`; None where there is no time axis.
        rows: of the configuration, how many rows of frequencies the patches of one moment are.
    """

    tokens: int = 0
    extracted: Mapping[str, Any] = field(default_factory=dict)
    heard: Mapping[str, Any] = field(default_factory=dict)
    timing: Callable[[Any, Any], tuple[int, int] | None] = _convolved
    rows: Callable[[Any], int] = lambda config: 1


FAMILIES = {
    "audio-spectrogram-transformer": Family(
        tokens=2,  # [CLS] and distillation
        timing=lambda config, _: (160 * config.time_stride, 400 + 160 * (config.patch_size - 1)),  # fbank of 25/10 ms
        rows=lambda config: (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1,
    ),
    "clap": Family(
        # The extractor calls a clip of each batch, drawn by lot, longer than 10 s where none is.
        heard={"is_longer": torch.tensor([[False]])},
        timing=_of_swin_columns,
        rows=lambda config: (
            config.audio_config.num_mel_bins
            // config.audio_config.patch_stride[0]
            // 2 ** (len(config.audio_config.depths) - 1)
        ),
    ),
    "moonshine": Family(
        timing=lambda *_: (64 * 3 * 2, 127 + 6 * 64 + 2 * 192)
    ),  # strides and kernels stand in its code
    "parakeet_encoder": Family(timing=lambda config, made: (made.hop_length * config.subsampling_factor, 0)),
    "speech_to_text": Family(timing=lambda config, _: (160 * 2**config.num_conv_layers, 400)),  # fbank of 25/10 ms
    "wav2vec2-bert": Family(timing=lambda _, made: (160 * made.stride, 400 + 160 * (made.stride - 1))),  # the same
    "whisper": Family(
        extracted={"return_attention_mask": True},  # which tells the clip from what is filled up to 30 s
        timing=lambda _, made: (2 * made.hop_length, 1),  # the first of the extractor's frames is centred on 0
    ),
}


class TransformersAudio(nn.Module, Backbone):
    """The part of a transformers model that hears, and the pooled hidden states of its layers.

    Layer 0 is what goes into the first block, N what the N-th gives, "last" the model's output, after its last norm.

    Args:
        folder: of the model's configuration, and of its weights where they are on this machine.
        where: as the user named it, for messages; repo: on the Hub, with its commit.
        remote_code: whether the folder's own code may run.
        layers: names of the spec's; several are put side by side.
        pool: one of `POOLS`.
        device: where its weights are drawn: "meta" draws none.
        clip_seconds: nothing depends on it.
    """

    def __init__(
        self,
        *,
        folder: Path,
        where: str,
        repo: tuple[str, str] | None = None,
        remote_code: bool = False,
        layers: Sequence[str] = (LAST,),
        pool: str | None = None,
        device: str = "cpu",
        clip_seconds: float | None = None,
    ) -> None:
        super().__init__()
        self.folder, self.where, self.repo, self.remote_code = folder, where, repo, remote_code
        self.config, self.extractor = _configured(folder, where, remote_code)
        self.family = FAMILIES.get(self.config.model_type, Family())
        rate_hz, (_, heard) = self.extractor.sampling_rate, _convolved(self.config, self.extractor) or (1, 1)
        self.shortest = max(round(SHORTEST_SECONDS * rate_hz), heard)
        self.layers, self.pool = tuple(layers), pool or ("cls" if self.family.tokens else "mean")
        with torch.device(device), _few_modules(where):
            model = AutoModel.from_config(self.config, trust_remote_code=remote_code, dtype=torch.float32)
        self.tower = _tower(model)

    def embed(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """As the contract has it."""
        return torch.stack(self._of_each(self._embed, waves, lengths))

    def embed_frames(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """As the contract has it: the model's output before it is pooled over time; of patches over frequency alone."""
        return pad_sequence(self._of_each(self._frames, waves, lengths), batch_first=True)

    def _frames(self, inputs: dict[str, Tensor]) -> Tensor:
        """(B, M, D) of clips that are as long."""
        states = self.hidden(inputs)[LAST][:, self.family.tokens :]
        return states.unflatten(1, (self.family.rows(self.config), -1)).mean(dim=1)

    def _of_each(self, work: Callable[[dict[str, Tensor]], Tensor], waves: Tensor, lengths: Tensor) -> list[Tensor]:
        """For each clip its row of what `work` makes of the inputs of clips that are as long."""
        clips = waves.cpu().numpy()
        heard = [self.inputs(wave[:length]) for wave, length in zip(clips, lengths.tolist(), strict=True)]
        alike: dict[tuple[torch.Size, ...], list[int]] = {}
        for row, inputs in enumerate(heard):
            alike.setdefault(tuple(tensor.shape for tensor in inputs.values()), []).append(row)
        found: list[Tensor] = [torch.empty(0)] * len(heard)
        for rows in alike.values():
            stacked = {name: torch.cat([heard[row][name] for row in rows]).to(waves.device) for name in heard[rows[0]]}
            for row, one in zip(rows, work(stacked), strict=True):
                found[row] = one
        return found

    def inputs(self, wave: np.ndarray) -> dict[str, Tensor]:
        """What the network hears of a clip (T,) float32, by the names of its forward's arguments: (1, ...) each."""
        wave = np.pad(wave, (0, max(0, self.shortest - len(wave))))
        rate = self.extractor.sampling_rate
        given = self.extractor(wave, sampling_rate=rate, return_tensors="pt", **self.family.extracted)
        return {**given, **self.family.heard}

    def hidden(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each layer's hidden states (B, M, D) by its name, "last" first; patches of a grid in one row."""
        found = self.tower(**inputs, output_hidden_states=self.layers != (LAST,))
        each = {LAST: found.last_hidden_state}
        each |= {str(number): states for number, states in enumerate((found.get("hidden_states") or (None,))[:-1])}
        return {name: one.flatten(2).transpose(1, 2) if one.ndim == 4 else one for name, one in each.items()}

    def _embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(B, columns) of clips that are as long."""
        pooled = {name: self._pooled(states, inputs) for name, states in self.hidden(inputs).items()}
        if self.layers == (MEAN,):
            return torch.stack(list(pooled.values())).mean(dim=0)
        return torch.cat([pooled[name] for name in self.layers], dim=1)

    def _pooled(self, states: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """(B, M, D) to (B, D), or (B, 2 D) with standard deviations; of frames those that hold sound of the clip."""
        if self.pool == "cls":
            return states[:, : self.family.tokens].mean(dim=1)
        states = states[:, self.family.tokens :]
        own = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        if (mask := inputs.get("attention_mask")) is not None:  # of samples or of the extractor's frames
            count = torch.ceil(mask.sum(dim=1) * states.shape[1] / mask.shape[1])
            own = torch.arange(states.shape[1], device=states.device) < count[:, None]
        if self.pool == "max":
            return states.masked_fill(~own[:, :, None], -torch.inf).amax(dim=1)
        share = (own / own.sum(dim=1, keepdim=True))[:, :, None]
        mean = (states * share).sum(dim=1)
        if self.pool == "mean":
            return mean
        return torch.cat([mean, ((states - mean[:, None]).square() * share).sum(dim=1).sqrt()], dim=1)

    def load_pretrained(self) -> str:
        """Takes the model's safetensors, from the Hub where they aren't in its cache. Returns where they are from.

        Raises:
            WeightsError: there are none, they can't be fetched, or they are not this model's.
        """
        if _weight_file(self.folder) is None and self.repo is not None:
            self.folder = fetched(*self.repo, self.where, (WEIGHTS, "model-*-of-*.safetensors", INDEX))
        if _weight_file(self.folder) is None:
            raise no_safetensors(self.where, [path.name for path in self.folder.iterdir()])
        if (self.folder / ADAPTER).exists():  # transformers would take the model that this names, from anywhere
            raise WeightsError(f"{self.where} is an adapter ({ADAPTER}) to another model. Give a model with it merged.")
        loaded = strangers_code(f"The weights of {self.where} can't be loaded", kind=WeightsError)
        with loaded, _silent(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)  # for what a file lacks
            model, told = AutoModel.from_pretrained(
                self.folder,
                config=self.config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=self.remote_code,
                output_loading_info=True,
            )
        tower = _tower(model)
        own = {id(tensor): name for name, tensor in tower.state_dict(keep_vars=True).items()}
        lacking = [
            own[id(tensor)]
            for name, tensor in model.state_dict(keep_vars=True).items()
            if id(tensor) in own and name in told["missing_keys"] and not name.endswith(ONLY_TRAINED)
        ]
        if lacking:
            raise WeightsError(
                f"The weights of {self.where} lack {len(lacking)} of its tensors, such as {lacking[0]}: the file is "
                "another model's, or damaged. Give a repository or folder whose model.safetensors is whole."
            )
        self.tower = tower
        return self.where if self.repo is None else f"{self.repo[0]}@{self.repo[1][:12]}"


def _weight_file(folder: Path) -> Path | None:
    """The file that holds or lists the weights, where all that it lists is there.

    Raises:
        WeightsError: the list is none, or names files outside the folder.
    """
    if (folder / WEIGHTS).is_file():
        return folder / WEIGHTS
    index = folder / INDEX
    if not index.is_file():
        return None
    try:
        parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        outside = next((part for part in parts if Path(part).name != part), None)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{index} doesn't say which files hold the weights. Fetch it again.") from error
    if outside is not None:
        raise WeightsError(f"{index} names a file that is not beside it: {outside}. Put its files into one folder.")
    return index if all((folder / part).is_file() for part in parts) else None


def _configured(folder: Path, where: str, remote_code: bool) -> tuple[Any, Any]:
    """The model's configuration and its feature extractor."""
    how = {"trust_remote_code": remote_code, "local_files_only": True}
    try:
        with strangers_code(f"{where} is no model that transformers {transformers.__version__} knows"):
            config = AutoConfig.from_pretrained(folder, **how)
            config._attn_implementation = None  # a file may name a kernel on the Hub there, which is code to be run
        which = f"{where} ({config.model_type}) is no audio encoder: it has no feature extractor with a sampling rate"
        with strangers_code(f"{which}, {' or '.join(EXTRACTORS)}"):
            extractor = AutoFeatureExtractor.from_pretrained(folder, **how)
            rate_hz = extractor.sampling_rate  # an extractor of pictures has none
            extractor.sampling_rate = int(rate_hz)
            if extractor.sampling_rate != rate_hz:
                raise ValueError(f"{rate_hz} Hz")
    except ConfigError as error:
        if remote_code or not own_code(folder, where):
            raise
        raise ConfigError(
            f"{where} runs code of its own. If you trust it, give --trust-remote-code "
            f"(to predict with it: --allow {where})."
        ) from error
    return config, extractor


@contextmanager
def _silent() -> Iterator[None]:
    """Without transformers' own bars and warnings: what matters of them is said as errors."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _tower(model: Any) -> Any:
    """The part of a model that hears: of sound and text the former, of an encoder with a decoder the former."""
    part = next((getattr(model, name) for name in TOWERS if hasattr(model, name)), None)
    if part is not None:
        return part
    return model.get_encoder() if model.config.is_encoder_decoder else model


@lru_cache
def measured_spec(
    where: str, folder: Path, repo: tuple[str, str] | None, digest: str, remote_code: bool
) -> BackboneSpec:
    """The spec of the model in `folder`, measured on the meta device where it can be: 4 s of noise go through it.

    Args:
        where, repo, remote_code: see `TransformersAudio`; digest: of the configurations.

    Raises:
        ConfigError: it is no model that hears.
    """
    make: Any = TransformersAudio
    arguments: dict[str, Any] = {"folder": folder, "where": where, "repo": repo, "remote_code": remote_code}
    needs = "Give an audio encoder."
    with strangers_code(f"{where} gives no hidden states for a clip", needs):
        try:
            network = make(**arguments, layers=(), device="meta")
            _check_size(network)
            widths, gmacs = _measured(network)
        except ConfigError:
            raise
        except Exception:  # some can't do without numbers
            with torch.random.fork_rng(devices=[]):
                network = make(**arguments, layers=())
            widths, gmacs = _measured(network)
        frames, extractor = _frames(network, widths[LAST]), network.extractor
        longest = (
            getattr(extractor, "chunk_length", None) or getattr(extractor, "max_length_s", None) or LONGEST_SECONDS
        )
        if hasattr(extractor, "max_length"):  # AST's, in frames of 10 ms
            longest = min(longest, extractor.max_length / 100)
    pools = ("cls",) * bool(network.family.tokens) + ("mean", "mean+std", "max")
    layers = {name: Layers(width, POOLS[pools[0]]) for name, width in widths.items()}
    if len(layers) > 1 and len(set(widths.values())) == 1:
        layers[MEAN] = Layers(widths[LAST], f"{POOLS[pools[0]]}, and over all layers")
    return BackboneSpec(
        name=where,
        title=f"{Path(where.removeprefix('hf:').partition('@')[0]).name} ({network.config.model_type})",
        target=f"{__name__}:{TransformersAudio.__name__}",
        arguments=arguments,
        embedding_dim=widths[LAST],
        sample_rate_hz=extractor.sampling_rate,
        parameters=sum(parameter.numel() for parameter in network.tower.parameters()),
        max_seconds=float(longest),
        frontend={
            "version": 1,
            "kind": type(extractor).__name__,
            **({"configs_sha256": digest} if repo is None else {"revision": repo[1]}),
            **({"remote_code": True} if remote_code else {}),
        },
        pooling=POOLS[pools[0]],
        pools={name: POOLS[name] for name in pools},
        frames=frames,
        layers=layers,
        loads_own_weights=True,
        folder="" if repo else str(folder.resolve()),
        gmacs=gmacs,
        source=f"transformers {transformers.__version__}, " + (where if repo is None else f"huggingface.co/{repo[0]}"),
        licence="see the model's card",
    )


@contextmanager
def _few_modules(where: str) -> Iterator[None]:
    """Raises ConfigError in the block as soon as it makes more than `MOST_MODULES`."""
    made = itertools.count(1)

    def check(*_: object) -> None:
        if next(made) > MOST_MODULES:
            raise ConfigError(f"{where} asks for more than {MOST_MODULES:,} modules, or layers. Give a smaller model.")

    hook = register_module_module_registration_hook(check)
    try:
        yield
    finally:
        hook.remove()


def _check_size(network: TransformersAudio) -> None:
    """Raises ConfigError where the machine's memory doesn't hold the weights that a configuration asks for."""
    size = 4 * sum(parameter.numel() for parameter in network.tower.parameters())
    if hasattr(os, "sysconf") and size > (memory := os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")):
        raise ConfigError(
            f"{network.where} asks for {size / 1e9:,.0f} GB of weights, and this machine has {memory / 1e9:,.0f} GB of "
            "memory. Give a smaller model."
        )


def _frames(network: TransformersAudio, width: int) -> Frames | None:
    """None where there is no time axis, or an adapter changes it."""
    timing = network.family.timing(network.config, network.extractor)
    if timing is None or getattr(network.config, "add_adapter", False):
        return None
    told = (
        "the model's output" if network.family.rows(network.config) == 1 else "the model's output, mean over frequency"
    )
    return Frames(width, told, hop=timing[0], span=timing[1])


def _measured(network: TransformersAudio) -> tuple[dict[str, int], float]:
    """Each layer's D by its name, and GMAC, of 4 s of noise."""
    noise = np.random.default_rng(0).standard_normal(4 * network.extractor.sampling_rate).astype(np.float32)
    device = next(network.tower.parameters()).device
    inputs = {name: tensor.to(device) for name, tensor in network.eval().inputs(noise).items()}
    if device.type == "meta":
        inputs.pop("attention_mask", None)  # whose sums are asked for
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        widths = {name: states.shape[2] for name, states in network.hidden(inputs).items()}
    return widths, counter.get_total_flops() / 2e9
