"""soundprobe: what pretrained audio embeddings are worth on your clips.

The verbs of the command line, from Python: `compare`, `extract`, `probe`, `finetune`, `import_predictions`,
`import_fold_scores`, `report`, `view`, `fit`, `predict` (or `load_predictor`, to ask many times), `tags`, `export`,
`push`, `runs`, `track`, `bench`, `demo`, and `open_data`. They are imported on first use, so that `import soundprobe`
is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soundprobe.base.errors import SoundprobeError as SoundprobeError
    from soundprobe.base.records import Clips as Clips
    from soundprobe.base.records import Embeddings as Embeddings
    from soundprobe.data.catalog import open_data as open_data
    from soundprobe.embeddings.store import find_sets as find_sets
    from soundprobe.embeddings.store import read_embeddings as read_embeddings
    from soundprobe.embeddings.store import read_frames as read_frames
    from soundprobe.predicting.loading import load_predictor as load_predictor
    from soundprobe.reporting.write import write_report as report  # noqa: F401  (named as the verb is)
    from soundprobe.scoring.run_names import find_run as find_run
    from soundprobe.verbs.bench import bench as bench
    from soundprobe.verbs.export import export as export
    from soundprobe.verbs.extract import extract as extract
    from soundprobe.verbs.finetune import finetune as finetune
    from soundprobe.verbs.fit import fit as fit
    from soundprobe.verbs.import_predictions import import_fold_scores as import_fold_scores
    from soundprobe.verbs.import_predictions import import_predictions as import_predictions
    from soundprobe.verbs.predict import predict as predict
    from soundprobe.verbs.predict import tags as tags
    from soundprobe.verbs.probe import probe as probe
    from soundprobe.verbs.push import push as push
    from soundprobe.verbs.runs import remove_run as remove_run
    from soundprobe.verbs.runs import runs as runs
    from soundprobe.verbs.track import track as track
    from soundprobe.verbs.view import view as view
    from soundprobe.workflows.compare import compare as compare
    from soundprobe.workflows.demo import demo as demo

_HOMES = {
    "Clips": "base.records:Clips",
    "Embeddings": "base.records:Embeddings",
    "SoundprobeError": "base.errors:SoundprobeError",
    "bench": "verbs.bench:bench",
    "compare": "workflows.compare:compare",
    "demo": "workflows.demo:demo",
    "export": "verbs.export:export",
    "extract": "verbs.extract:extract",
    "find_sets": "embeddings.store:find_sets",
    "finetune": "verbs.finetune:finetune",
    "fit": "verbs.fit:fit",
    "import_fold_scores": "verbs.import_predictions:import_fold_scores",
    "import_predictions": "verbs.import_predictions:import_predictions",
    "load_predictor": "predicting.loading:load_predictor",
    "open_data": "data.catalog:open_data",
    "predict": "verbs.predict:predict",
    "probe": "verbs.probe:probe",
    "push": "verbs.push:push",
    "find_run": "scoring.run_names:find_run",
    "remove_run": "verbs.runs:remove_run",
    "runs": "verbs.runs:runs",
    "read_embeddings": "embeddings.store:read_embeddings",
    "read_frames": "embeddings.store:read_frames",
    "report": "reporting.write:write_report",
    "tags": "verbs.predict:tags",
    "track": "verbs.track:track",
    "view": "verbs.view:view",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("soundprobe")
    if name not in _HOMES:
        raise AttributeError(f"module 'soundprobe' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(f"soundprobe.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
