"""Networks of panns_inference, the peers of `panns`, imported without the download and the files in the home folder."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any


def original_cnn14() -> Any:
    """`Cnn14` at 32 kHz as its AudioTagging builds it, in eval mode."""
    return _network("Cnn14")


def original_framewise() -> Any:
    """`Cnn14_DecisionLevelMax` as its SoundEventDetection builds it, in eval mode: (B, T) to "framewise_output"."""
    return _network("Cnn14_DecisionLevelMax", interpolate_mode="nearest")


class StandIn(ModuleType):
    """For numba and matplotlib where they aren't installed: the networks call nothing of them once they are built.

    Whatever is asked of it is a decorator, with arguments or without, that leaves its function as it is.
    """

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *given, **_: given[0] if given and callable(given[0]) else lambda function: function


def _network(name: str, **more: Any) -> Any:
    for heavy, parts in {"numba": [], "matplotlib": ["matplotlib.pyplot"]}.items():
        if heavy not in sys.modules and importlib.util.find_spec(heavy) is None:
            sys.modules |= {module: StandIn(module) for module in (heavy, *parts)}
    if "panns_inference" not in sys.modules:  # its own __init__, which this leaves out, runs wget
        found = importlib.util.find_spec("panns_inference")
        assert found is not None, "panns-inference is not installed"
        sys.modules["panns_inference"] = importlib.util.module_from_spec(found)
    models = import_module("panns_inference.models")
    return getattr(models, name)(
        sample_rate=32_000, window_size=1024, hop_size=320, mel_bins=64, fmin=50, fmax=14_000, classes_num=527, **more
    ).eval()
