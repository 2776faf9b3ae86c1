"""Any module of HEAR 2021's API as a backbone: `hear:<module>`, or `hear:<module>:<file of weights>`.

Its `load_model` is called, with the file where one is named; embeddings are those of `get_scene_embeddings`, frames
those of `get_timestamp_embeddings`. A key has
the digest of the model's tensors, of the module's file and that of weights, and its package's version, but of nothing
else that the module reads or imports. The API is described at hearbenchmark.com/hear-api.html.

Letters: B clips, T samples, D the embedding's dimension, M frames.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from soundprobe.backbones.by_length import embed_by_length
from soundprobe.backbones.drawn import is_mostly_drawn, load_drawn
from soundprobe.backbones.protocol import Backbone
from soundprobe.backbones.spec import BackboneSpec, Frames
from soundprobe.backbones.weights.verify import sha256_of
from soundprobe.base.errors import ConfigError, WeightsError
from soundprobe.base.registry import code_digest, strangers_code

MEASURED_S = 4
"""Of what length the noise is on which a module's timestamps are measured."""


class HearModule(nn.Module, Backbone):
    """What `load_model` gave, without gradients.

    Args:
        module: its name; file: of its weights, or "".
        clip_seconds: nothing depends on it.
    """

    fills_cores = True  # nobody says whether a module may be called from several threads

    def __init__(self, *, module: str, file: str, clip_seconds: float | None = None) -> None:
        super().__init__()
        (self.model, _), made = _model(module, file, seed=None), _module(module)
        self.scenes = made.get_scene_embeddings
        self.timestamps: Any = getattr(made, "get_timestamp_embeddings", None)
        self.loaded, self.title = (module, file), Path(file).name or module

    def embed(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """As the contract has it."""
        return embed_by_length(self, self._scenes, waves, lengths, self.model.sample_rate)

    def _scenes(self, waves: Tensor) -> Any:
        return self.scenes(waves, self.model)

    def embed_frames(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """As the contract has it."""
        joined = partial(pad_sequence, batch_first=True)
        return embed_by_length(self, self._stamped, waves, lengths, self.model.sample_rate, joined, ndim=3)

    def _stamped(self, waves: Tensor) -> Any:
        return self.timestamps(waves, self.model)[0]

    def load_pretrained(self) -> str:
        """They are loaded already; says which, or nothing where they are drawn."""
        again, _ = _model(*self.loaded, seed=1)
        return "" if is_mostly_drawn(self.model, again) else self.title


def hear_spec(rest: str) -> BackboneSpec:
    """The spec of `hear:<rest>`; the model is loaded for it.

    Raises:
        ConfigError: the module can't be imported, or lacks something of the API. WeightsError: there is no such file.
    """
    name, _, file = rest.partition(":")
    (model, sha256), module = _model(name, file), _module(name)
    try:
        release = version(name.partition(".")[0])
    except PackageNotFoundError:
        release = None
    return BackboneSpec(
        name=f"hear:{rest}",
        target="soundprobe.backbones.hear_module:HearModule",
        arguments={"module": name, "file": file},
        embedding_dim=model.scene_embedding_size,
        sample_rate_hz=model.sample_rate,
        parameters=sum(tensor.numel() for tensor in model.state_dict().values()),
        frontend={
            "version": 1,
            "kind": "a HEAR 2021 module's own",
            "module": name,
            "release": release,
            "code_sha256": code_digest(module.get_scene_embeddings, name),
            **({"file_sha256": sha256} if file else {}),
        },
        pooling="the module's scene embeddings",
        frames=_frames(getattr(module, "get_timestamp_embeddings", None), model),
        loads_own_weights=True,
        brings_weights=True,
        source=f"the Python module {name}",
        licence="the module's own",
    )


@lru_cache(maxsize=4)
def _frames(stamped: Callable[..., Any] | None, model: Any) -> Frames | None:
    """Measured on noise; None where the module has none that are evenly spaced."""
    columns = getattr(model, "timestamp_embedding_size", None)
    if stamped is None or not isinstance(columns, int):
        return None
    noise = torch.randn(1, MEASURED_S * model.sample_rate, generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode():
            times_s = torch.as_tensor(stamped(0.1 * noise, model)[1]).double().flatten() / 1000
        hops = times_s.diff()
        hop, first = (round(float(seconds) * model.sample_rate) for seconds in (hops.mean(), times_s[0]))
    except (Exception, SystemExit):  # a stranger's code may fail in any way, and scenes can be had all the same
        return None
    is_even = hop > 0 and bool(((hops - hops.mean()).abs() < 0.1 * hops.mean()).all())
    return Frames(columns, "the module's timestamp embeddings", hop, 2 * first) if is_even and first >= 0 else None


def _module(name: str) -> ModuleType:
    with strangers_code(
        f"hear:{name} can't be imported",
        "Give hear:package.module of something that Python finds: PYTHONPATH=. adds the folder that you are in.",
    ):
        module = import_module(name)
    lacking = [wanted for wanted in ("load_model", "get_scene_embeddings") if not hasattr(module, wanted)]
    if lacking:
        raise ConfigError(f"hear:{name} lacks {' and '.join(lacking)} of HEAR 2021's API. Give a module that has them.")
    return module


def _model(name: str, file: str, seed: int | None = 0) -> tuple[Any, str]:
    """The model, and its file's SHA-256; made anew where the module was imported anew, or the file written.

    Args:
        seed: None gives a model of the caller's own, which may be moved or trained; its weights are those of 0.
    """
    if file and not Path(file).is_file():
        raise WeightsError(f"hear:{name}:{file}: there is no such file. Give that of the module's weights, or none.")
    written = ((told := Path(file).stat()).st_mtime_ns, told.st_size) if file else None
    load = _loaded if seed == 0 else _loaded.__wrapped__
    return load(name, _module(name).load_model, file, written, seed or 0)


@lru_cache(maxsize=4)
def _loaded(name: str, load_model: Callable[..., Any], file: str, written: object, seed: int) -> tuple[Any, str]:
    needs = f"If it needs a file of weights, give hear:{name}:FILE."
    with strangers_code(f"hear:{name}: its load_model fails", needs):
        model = load_drawn(lambda: load_model(*([file] if file else [])), seed)
    if not isinstance(model, nn.Module):
        raise ConfigError(
            f"hear:{name}: its load_model gave a {type(model).__name__}, where a torch.nn.Module is needed. "
            "TensorFlow's models can't be used."
        )
    sizes = {size: getattr(model, size, None) for size in ("sample_rate", "scene_embedding_size")}
    wrong = [f"{size} = {value!r}" for size, value in sizes.items() if not isinstance(value, int) or value < 1]
    if wrong:
        raise ConfigError(f"hear:{name}: its model has {' and '.join(wrong)}. HEAR 2021 wants whole numbers there.")
    return model.eval().requires_grad_(False), sha256_of(Path(file)) if file else ""
