"""A run as files that work elsewhere: `soundprobe export`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

from soundprobe.base.errors import ConfigError, StoreError, unknown
from soundprobe.base.files import atomic_folder, check_room
from soundprobe.predicting.bundle import CARD, FILE, LABELS, ExportRecord, Format, is_export, read_export
from soundprobe.predicting.loading import find_heads

FORMATS = get_args(Format)
GRAPHS_SINCE = (2, 11)
"""PyTorch's version, as the extra `export` asks for: older ones can't follow the front end's code."""
MODULES = {"onnx": ("onnx", "onnxscript", "onnxruntime")}


@dataclass(frozen=True)
class Exported:
    """The folder that was written, and the record that stands in it."""

    folder: Path
    record: ExportRecord


def export(
    run: str | Path | None = None,
    *,
    to: str | Path,
    format: str = "onnx",
    heads: str | Path = "heads",
    dataset: str | None = None,
    weights: str | Path | None = None,
    data_licence: str | None = None,
    progress: bool = True,
) -> Exported:
    """Writes the heads of a run and their backbones into the folder `to`, whole or not at all.

    Args:
        run: as for `predict`.
        to: a new or empty folder, or that of an earlier export, which is replaced.
        format: "onnx" (for onnxruntime), "torch" (a torch.export program) or "bundle" (for `predict --run`).
        heads, dataset, weights: as for `predict`.
        data_licence: of the clips, for the card; progress: show bars.

    Raises:
        ConfigError: no run, or several, are named so; the format is unknown, or a package that it needs is missing.
        StoreError: `to` holds something else, or can't be written.
        ExportError: a backbone or head can't stand in a graph, or what was written gives other numbers.
        WeightsError: the backbone's weights can't be had.
    """
    folder = Path(to)
    check_format(format)
    check_place(folder)
    source = find_heads(run, heads=heads, dataset=dataset)
    from soundprobe.predicting.exporting import write_export

    with atomic_folder(folder) as temporary:
        record = write_export(
            source, temporary, format, heads=heads, weights=weights, data_licence=data_licence, progress=progress
        )
    return Exported(folder, record)


def check_format(name: str) -> None:
    """Raises ConfigError where `name` is none of `FORMATS`, or what it needs isn't installed."""
    if name not in FORMATS:
        raise ConfigError(unknown("format", name, FORMATS))
    lacking = [module for module in MODULES.get(name, ()) if find_spec(module) is None]
    if lacking:
        raise ConfigError(
            f"--format {name} needs {', '.join(lacking)}, which is not installed: pip install 'soundprobe[export]'."
        )
    here = version("torch")
    if name != "bundle" and tuple(int(part) for part in here.split(".")[:2]) < GRAPHS_SINCE:
        raise ConfigError(
            f"--format {name} needs torch {'.'.join(map(str, GRAPHS_SINCE))} or newer, and {here} is installed: "
            "pip install 'soundprobe[export]', or give --format bundle."
        )


def check_place(folder: Path) -> None:
    """Raises StoreError where an export can't be written to `folder`, or would replace what is none."""
    check_room(folder, 0)
    if folder.resolve() == Path.cwd():
        raise StoreError(f"--to {folder} is the folder that you are in, which can't be replaced. Give one below it.")
    if not folder.exists():
        return
    if not is_export(folder):
        if any(folder.iterdir()):
            raise StoreError(f"{folder} holds something else than an export. Give --to a new folder.")
        return
    own = {*read_export(folder).files, FILE, LABELS, CARD}
    others = sorted(path.name for path in folder.iterdir() if path.name not in own)
    if others:
        raise StoreError(f"{folder} holds more than an export: {others[0]}. Move that, or give --to a new folder.")
