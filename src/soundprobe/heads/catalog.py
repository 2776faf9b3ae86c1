"""The heads by name. Imports neither torch nor scikit-learn; a head's module is imported when one is made."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from soundprobe.base.errors import ConfigError, unknown
from soundprobe.base.registry import Registry, resolve


@dataclass(frozen=True)
class HeadSpec:
    """What a head is, apart from its code.

    Attributes:
        name: the key in the catalogue, on the command line and in paths.
        title: how tables name it.
        target: "module:Class", imported on use; a `soundprobe.heads.head.Head`.
        description: one line for lists.
        repaying_bytes: of float32 features, from which on folds in processes of their own save more than the two or
            three seconds that a process takes to start.
        on_threads: whether folds of less are trained on threads of one process: only of a head that draws no random
            number from, and sets nothing in, what threads share.
        proba: "module:function" of a saved head's probabilities without its class, see `heads.inference.Proba`; left
            out where predictions take the class.
        graph: "module:Class" of a module that asks a saved head in an exported graph, see `heads.head_graph`; left out
            where it can't stand in one.
        takes_frames: whether it pools a clip's frames itself, as rows of `base.frame_rows`, and has the setting
            `frame_columns` for their width.
        has_device: whether it can be trained on a GPU, through its setting `device`.
        out_of_core: whether it trains on rows that stay on disk, see `heads.stored_rows`.
    """

    name: str
    title: str
    target: str
    description: str
    proba: str = ""
    graph: str = ""
    repaying_bytes: float = 16e6
    on_threads: bool = False
    takes_frames: bool = False
    has_device: bool = False
    out_of_core: bool = False

    def load(self) -> Any:
        """The head's class."""
        return resolve(self.target, f"head {self.name!r}")


def _spec_of(name: str, head_class: Any) -> HeadSpec:
    """Of another package's class that has no attribute `spec`: told by its signature and docstring."""
    takes = inspect.signature(head_class).parameters if callable(head_class) else {}
    lacking = [part for part in CONTRACT if not hasattr(head_class, part)]
    if "seed" not in takes:
        lacking.append("the setting seed")
    if lacking:
        raise ConfigError(
            f"head {name!r} lacks {', '.join(lacking)}. Inherit from soundprobe.heads.head.Head; see docs/extending.md."
        )
    first = (inspect.getdoc(head_class) or "no description").splitlines()[0]
    return HeadSpec(name, head_class.__name__, "", first, has_device="device" in takes)


CONTRACT = ("fit", "predict_proba", "get_params", "check_settings", "candidates", "state_dict", "from_state")
HEADS = Registry(
    "head",
    "soundprobe.heads",
    (
        HeadSpec(
            name="linear",
            title="Linear",
            target="soundprobe.heads.linear:LinearHead",
            proba="soundprobe.heads.inference:linear_proba",
            graph="soundprobe.heads.head_graph:LinearGraph",
            description="logistic regression; strength chosen on inner splits",
            on_threads=True,
            has_device=True,
            out_of_core=True,
        ),
        HeadSpec(
            name="mlp",
            title="MLP",
            target="soundprobe.heads.mlp:MLPHead",
            proba="soundprobe.heads.inference:mlp_proba",
            graph="soundprobe.heads.head_graph:MLPGraph",
            description="one or two hidden layers; width, learning rate and epochs chosen on inner splits",
            repaying_bytes=1e6,
            on_threads=True,
            has_device=True,
        ),
        HeadSpec(
            name="knn",
            title="kNN",
            target="soundprobe.heads.knn:KNNHead",
            proba="soundprobe.heads.inference:knn_proba",
            graph="soundprobe.heads.head_graph:KNNGraph",
            description="nearest neighbours by cosine; k chosen on inner splits",
            on_threads=True,
        ),
        HeadSpec(
            name="attention",
            title="Attention",
            target="soundprobe.heads.attention:AttentionHead",
            proba="soundprobe.heads.inference:attention_proba",
            description="frames pooled by learnt weights, then the MLP; chosen on inner splits",
            repaying_bytes=1e6,
            takes_frames=True,
            on_threads=True,
            has_device=True,
        ),
    ),
    spec_of=_spec_of,
)


def make_head(name: str, /, seed: int = 0, *, columns: Mapping[str, int] | None = None, **settings: Any) -> Any:
    """An unfitted head of the catalogue.

    Args:
        name: a key of `HEADS`.
        seed: of its inner splits and, where it has any, its random numbers.
        columns: how many each of a backbone's layers has, where several stand side by side: which of them are taken is
            then chosen, among those that the setting `layers` names.
        settings: the constructor's keywords; a list will do for a tuple, as it comes from TOML or JSON.

    Raises:
        ConfigError: the name or a setting is unknown, or a value is of the wrong type or not valid.
    """
    if columns:
        from soundprobe.heads.layers import LayeredHead

        layers = settings.pop("layers", ())
        return LayeredHead(make_head(name, seed, **settings), columns, layers)
    head_class = HEADS[name].load()
    defaults = {p.name: p.default for p in inspect.signature(head_class).parameters.values()}
    given: dict[str, Any] = {}
    for setting, value in {"seed": seed, **settings}.items():
        if setting not in defaults and setting == "layers":
            raise ConfigError(
                "layers can be chosen only on embeddings of several, of one frozen backbone by itself; side by side or "
                "fine-tuned, heads take them all. Make some: soundprobe extract --backbone mn04 --layer all"
            )
        if setting not in defaults:
            raise ConfigError(unknown(f"setting of head {name!r}", setting, set(defaults) - {"seed"}))
        given[setting] = _typed(f"{name}.{setting}", value, defaults[setting])
    head = head_class(**given)
    head.check_settings()
    return head


def load_head(name: str, arrays: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
    """The fitted head that `state_dict` gave as `arrays` and `state_params` as `params`, for predictions.

    Raises:
        ConfigError: the name is unknown, or something that the head needs is missing.
    """
    if "columns" in arrays:
        from soundprobe.heads.layers import FittedOnColumns

        arrays = dict(arrays)
        taken, n_features = arrays.pop("columns"), params.get("n_features")
        if n_features is None:
            raise ConfigError(f"This is no saved {name} head: n_features missing. Train the head again.")
        return FittedOnColumns(load_head(name, arrays, params), taken, n_features)
    spec = HEADS[name]
    if not spec.proba:
        return spec.load().from_state(arrays, params)
    from soundprobe.heads.inference import FittedHead

    return FittedHead(spec.title, resolve(spec.proba, f"head {name!r}"), arrays, params)


def _typed(name: str, value: Any, default: Any) -> Any:
    """`value` as the type of `default`.

    Raises:
        ConfigError: it has another type. A whole number will do where numbers are wanted, but not the other way round.
    """
    if default is None or default is inspect.Parameter.empty:
        return value
    if isinstance(default, tuple):
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{name}: {value!r} is not valid; give a list, such as {list(default)}.")
        return tuple(_typed(name, element, default[0] if default else None) for element in value)
    wanted = float if isinstance(default, float) else type(default)
    accepted = (int, float) if wanted is float else (wanted,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and wanted is not bool):
        kinds = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
        kind = kinds.get(wanted, wanted.__name__)
        raise ConfigError(f"{name}: {value!r} is not valid; give {kind}, such as {default!r}.")
    return wanted(value)
