"""soundprobe: what pretrained audio embeddings are worth on your clips.

The verbs of the command line, from Python: `extract`, `probe`, `finetune`, `report`, `view`,
`predict`, `bench`, `demo`, and `open_data`. They are imported on first use, so that `import soundprobe` is quick.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soundprobe.benchmarking import bench as bench
    from soundprobe.data.catalog import open_data as open_data
    from soundprobe.demonstration import demo as demo
    from soundprobe.errors import SoundprobeError as SoundprobeError
    from soundprobe.extraction import extract as extract
    from soundprobe.finetuning import finetune as finetune
    from soundprobe.prediction import predict as predict
    from soundprobe.probing import probe as probe
    from soundprobe.records import Clips as Clips
    from soundprobe.records import Embeddings as Embeddings
    from soundprobe.reporting import write_report as report  # noqa: F401  (named as the verb is)
    from soundprobe.store import find_sets as find_sets
    from soundprobe.store import read_embeddings as read_embeddings
    from soundprobe.viewing import view as view

__version__ = _version("soundprobe")

_HOMES = {
    "Clips": "records:Clips",
    "Embeddings": "records:Embeddings",
    "SoundprobeError": "errors:SoundprobeError",
    "bench": "benchmarking:bench",
    "demo": "demonstration:demo",
    "extract": "extraction:extract",
    "find_sets": "store:find_sets",
    "finetune": "finetuning:finetune",
    "open_data": "data.catalog:open_data",
    "predict": "prediction:predict",
    "probe": "probing:probe",
    "read_embeddings": "store:read_embeddings",
    "report": "reporting:write_report",
    "view": "viewing:view",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'soundprobe' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(f"soundprobe.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
