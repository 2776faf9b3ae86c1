"""Any audio encoder of MTEB as a backbone: `mteb:<a name in its table>`, or `mteb:package.module:Name` of one's own.

A key has the digest of the tensors that the encoder, or what it holds, has in PyTorch modules, the revision that MTEB
pins, MTEB's version, and of one's own encoder the digest of its file; not what else it reads or imports.

Letters: B clips, T samples, n clips of t samples, D the embedding's dimension.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from soundprobe.backbones.by_length import embed_by_length
from soundprobe.backbones.drawn import is_mostly_drawn, load_drawn
from soundprobe.backbones.held import held_in
from soundprobe.backbones.protocol import Backbone, check_rows
from soundprobe.backbones.spec import BackboneSpec
from soundprobe.base.errors import ConfigError, WeightsError, one_line
from soundprobe.base.files import offline
from soundprobe.base.registry import code_of, is_allowed, resolve, strangers_code

ANY_RATE_HZ = 48_000
"""What an encoder is given that doesn't say its rate: it resamples."""


class MtebEncoder(nn.Module, Backbone):
    """An encoder that MTEB loaded, as a module that holds what it has of modules.

    Args:
        model: what stands after "mteb:".
        clip_seconds: nothing depends on it.
    """

    fills_cores = True  # nobody says whether an encoder may be called from several threads

    def __init__(self, *, model: str, clip_seconds: float | None = None) -> None:
        super().__init__()
        self.name = model
        self.encoder = _encoder(model)
        if not isinstance(self.encoder, nn.Module):
            self.held = _held(self.encoder)

    def embed(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """As the contract has it."""
        if hasattr(self.encoder, "device") and not isinstance(self.encoder, nn.Module):
            self.encoder.device = waves.device  # where it sends its inputs
        rate_hz = _rate_hz(self.encoder)

        def encoded(some: Tensor) -> Tensor:
            return _encode(self.encoder, some.cpu().numpy(), rate_hz).to(waves.device)

        return embed_by_length(self.encoder, encoded, waves, lengths, rate_hz)

    def load_pretrained(self) -> str:
        """They are loaded already; says which, or nothing where they are drawn."""
        if is_mostly_drawn(_held(self.encoder), _held(_encoder.__wrapped__(self.name, seed=1))):
            return ""
        revision = getattr(getattr(self.encoder, "mteb_model_meta", None), "revision", None)
        return f"{self.name} {revision[:12]}" if revision else self.name


class _Waves(Dataset[Mapping[str, Any]]):
    """Rows as those of MTEB's data sets are once they are decoded."""

    features = ("audio",)

    def __init__(self, waves: np.ndarray, rate_hz: int) -> None:
        self.waves, self.rate_hz = waves, rate_hz

    def __len__(self) -> int:
        return len(self.waves)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"audio": {"array": self.waves[row], "sampling_rate": self.rate_hz}}


def _collated(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"audio": [row["audio"] for row in rows]}


def _encode(encoder: Any, waves: np.ndarray, rate_hz: int) -> Tensor:
    """(n, t) float32 to (n, D), on the CPU."""
    from mteb.tasks.classification.zxx.esc50 import ESC50Classification

    embedded = encoder.encode(
        DataLoader(_Waves(waves, rate_hz), batch_size=len(waves), collate_fn=_collated),
        task_metadata=ESC50Classification.metadata,  # which some choose a prompt by
        hf_split="train",
        hf_subset="default",
        show_progress_bar=False,
    )
    return torch.as_tensor(embedded).cpu()


def _rate_hz(encoder: Any) -> int:
    said = getattr(encoder, "sampling_rate", None)
    return said if isinstance(said, int) and said > 0 else ANY_RATE_HZ


def _held(encoder: Any) -> nn.Module:
    """What the encoder has of PyTorch: itself, or what its attributes are or hold."""
    return encoder if isinstance(encoder, nn.Module) else nn.ModuleDict(dict(held_in(vars(encoder), nn.Module)))


@lru_cache
def mteb_spec(rest: str) -> BackboneSpec:
    """The spec of `mteb:<rest>`; the encoder is loaded for it, and asked for a second of silence.

    Raises:
        ConfigError: MTEB is not installed or has no such encoder of audio, or it needs code from the Hub.
        WeightsError: it can't be loaded.
    """
    encoder = _encoder(rest)
    meta = getattr(encoder, "mteb_model_meta", None)
    rate_hz = _rate_hz(encoder)
    with torch.inference_mode(), strangers_code(f"mteb:{rest} fails on audio"):
        embedded = check_rows(_encode(encoder, np.zeros((1, rate_hz), np.float32), rate_hz), 1, encoder)
    told = getattr(meta, "n_parameters", None) or 0
    return BackboneSpec(
        name=f"mteb:{rest}",
        target="soundprobe.backbones.mteb_encoder:MtebEncoder",
        arguments={"model": rest},
        embedding_dim=embedded.shape[1],
        sample_rate_hz=rate_hz,
        parameters=sum(tensor.numel() for tensor in _held(encoder).state_dict().values()) or told,
        frontend={
            "version": 1,
            "kind": "an MTEB encoder's own",
            "revision": getattr(meta, "revision", None),
            "mteb": version("mteb"),
            **(code_of(rest) if ":" in rest else {}),
        },
        pooling="the encoder's own",
        loads_own_weights=True,
        brings_weights=True,
        source=str(getattr(meta, "reference", None) or rest),
        licence=str(getattr(meta, "license", None) or "see the model's page"),
    )


@lru_cache(maxsize=4)
def _encoder(name: str, seed: int = 0) -> Any:
    try:
        import mteb
        from mteb.models import ModelMeta
    except ImportError:
        raise ConfigError(f"mteb:{name} needs mteb 2.22 or newer: pip install 'soundprobe[mteb]'.") from None
    if ":" in name:
        found = resolve(name, f"backbone 'mteb:{name}'")
    else:
        try:
            found = mteb.get_model_meta(name, fetch_from_hf=False)
        except KeyError as error:
            raise ConfigError(
                f"MTEB {version('mteb')} has no model {name!r}: {one_line(error)[:200]}. "
                "mteb.get_model_metas(modalities=['audio']) lists those that hear."
            ) from None
    if isinstance(found, ModelMeta):
        if "audio" not in found.modalities:
            raise ConfigError(f"mteb:{name} takes {', '.join(found.modalities)} and no audio.")
        loader = getattr(found.loader, "func", found.loader)
        remote = loader is not None and "trust_remote_code" in f"{found.loader_kwargs}{inspect.getsource(loader)}"
        if remote and not is_allowed(f"mteb:{name}"):
            raise ConfigError(
                f"mteb:{name} runs code from the Hugging Face Hub. If you trust it, give --trust-remote-code "
                f"(to predict with it: --allow mteb:{name})."
            )
    if offline():
        from huggingface_hub import constants

        constants.HF_HUB_OFFLINE = True
    forbidden = f"; {offline()} forbids to fetch anything" if offline() else ""
    with strangers_code(f"mteb:{name} can't be loaded{forbidden}", kind=WeightsError):
        if isinstance(found, ModelMeta):
            encoder = load_drawn(lambda: found.load_model(device="cpu"), seed)
        else:
            encoder = load_drawn(lambda: found(name, None, device="cpu"), seed) if isinstance(found, type) else found
    if not callable(getattr(encoder, "encode", None)):
        raise ConfigError(
            f"mteb:{name} is a {type(encoder).__name__}, which lacks encode(...) of MTEB's EncoderProtocol."
        )
    return encoder
