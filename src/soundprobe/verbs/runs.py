"""The runs below a heads folder: what there is, and taking one away."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from soundprobe.base.display import ShownList
from soundprobe.base.errors import ConfigError, StoreError
from soundprobe.base.locks import LOCK, locked, removed_path
from soundprobe.base.remote import local_if_url, placed, remove
from soundprobe.scoring.run_names import NamedRun, find_run, named_runs, same_folder


def runs(heads: str | Path = "heads", *, dataset: str | None = None) -> ShownList[NamedRun]:
    """Every run below the folder `heads`, or those on `dataset`: the best of each data set first, trials last.

    Raises:
        ConfigError: there is no run on `dataset`. StoreError: a folder can't be listed.
    """
    return ShownList(named_runs(heads).of(dataset))


def remove_run(run: str | Path, *, heads: str | Path = "heads", dataset: str | None = None) -> Path:
    """Takes a run's folder away, and that of its backbone where it was the last run in it. Embeddings stay.

    Args:
        run: a run's name, the beginning of its key, or its folder, also of one that can't be read.
        heads: the folder that it is below; dataset: only a run on that data set.

    Returns:
        Where it was.

    Raises:
        ConfigError: no run, or several, are named so, a trial among them, or the folder is a link.
        StoreError: it is being written, or can't be taken away.
    """
    folder = folder_to_remove(run, heads=heads, dataset=dataset)
    remove_folder(folder)
    return folder


def folder_to_remove(run: str | Path, *, heads: str | Path = "heads", dataset: str | None = None) -> Path:
    """The folder below `heads` of the run that `find_run` finds, or of one that was stopped, or of published scores.

    Raises:
        ConfigError: no run, or several, are named so, a trial among them, or the folder is a link.
    """
    run = local_if_url(run)
    no_run = (folder for folder in named_runs(heads).others if same_folder(folder, Path(run)))
    folder = next(no_run, None) or find_run(heads, run, dataset=dataset, option="runs rm", whole=False).folder
    own = folder.resolve()
    if own.parent.parent.parent != placed(heads).resolve():
        raise ConfigError(f"{folder} is {own}, outside {heads}. Delete it there, by hand.")
    for place in (Path(run), placed(heads) / run):
        if place.is_symlink() and same_folder(folder, place):
            raise ConfigError(f"{place} is a link to {folder}. Name that, and delete the link by hand.")
    return folder


def remove_folder(folder: Path) -> None:
    """Takes the folder of a run away, in one step.

    Raises:
        StoreError: it is being written, or can't be taken away.
    """
    gone, lock = removed_path(folder), folder.parent / LOCK
    try:
        with locked(folder.parent) if lock.exists() else nullcontext(), locked(folder):  # an import holds the former
            remove(folder)
            folder.rename(gone)  # nobody reads half a run
        shutil.rmtree(gone)
        if not set(folder.parent.iterdir()) - {lock}:
            lock.unlink(missing_ok=True)
            folder.parent.rmdir()
    except OSError as error:
        raise StoreError(f"Can't take {folder} away: {error.strerror or error}.") from error


def needed_by(run: NamedRun, others: Sequence[NamedRun]) -> list[NamedRun]:
    """The runs whose heads were trained on the networks of `run`, and can't predict without them."""
    if run.record.kind != "finetune":
        return []
    tuned = [(other, other.record.backbone.finetuned) for other in others]
    return [other for other, networks in tuned if networks is not None and networks.run == run.record.head.key]
