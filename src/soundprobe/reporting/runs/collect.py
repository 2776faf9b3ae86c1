"""Every run below the heads folder, readable or not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from soundprobe.base.errors import StoreError, unknown
from soundprobe.base.stored import Identity
from soundprobe.reporting.runs.run import Run, read_run
from soundprobe.scoring.fits import FitRecord
from soundprobe.scoring.out_of_fold import UnreadableRunError, reason_of
from soundprobe.scoring.published import PublishedRecord
from soundprobe.scoring.run_names import WHAT_TO_RUN, data_labels, long_label, run_folders


@dataclass(frozen=True)
class UnreadableRun:
    """A run's folder, or a file of it, that can't be read: its path below the heads folder, and why."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Collection:
    """What was found: the runs in the order of their paths, fold scores without predictions, what can't be read.

    `baseline` names the user's own model, where it was said; `trials_left_out` counts runs that don't stand in `runs`.
    """

    runs: tuple[Run, ...]
    unreadable: tuple[UnreadableRun, ...]
    published: tuple[PublishedRecord, ...] = ()
    baseline: str | None = None
    trials_left_out: int = 0

    def by_dataset(self) -> tuple[tuple[Run, ...], ...]:
        """The runs of each data set, that is of each name, fingerprint and list of classes, in the order of names."""
        groups: dict[Identity, list[Run]] = {}
        for run in self.runs:
            groups.setdefault(run.record.dataset.identity, []).append(run)
        return tuple(tuple(groups[key]) for key in sorted(groups))

    def of_dataset(self, name: str) -> Collection:
        """Only the runs on data sets called `name`, or "<name>@<fingerprint>", and the unreadable folders below it.

        Raises:
            StoreError: there is no run on such a data set.
        """
        labels = data_labels(run.record for run in self.runs)
        called = [(run, labels[run.record.dataset.name, run.record.dataset.fingerprint]) for run in self.runs]
        one = tuple(
            run
            for run, label in called
            if name in (label, long_label(run.record.dataset.name, run.record.dataset.fingerprint))
        )
        runs = one or tuple(run for run in self.runs if run.record.dataset.name == name)
        if not runs:
            raise StoreError(unknown("data set with results", name, {label for _, label in called}))
        folders = {run.path.split("/")[0] for run in runs}
        unreadable = tuple(run for run in self.unreadable if run.path.split("/")[0] in folders)
        return replace(self, runs=runs, unreadable=unreadable)

    def without_trials(self) -> Collection:
        """Only the runs of all clips and folds; all of them where there are only trials."""
        whole = tuple(run for run in self.runs if not run.record.is_trial)
        return replace(self, runs=whole, trials_left_out=len(self.runs) - len(whole)) if whole else self


def collect_runs(heads_folder: Path) -> Collection:
    """Reads every run below `heads_folder`; changes nothing there.

    Folders that can't be read (half-written, damaged, of an unknown format, a result.json that disagrees with its
    predictions) stand in `unreadable` with the reason, and so do files of what was measured beside a run: that counts
    as not measured then.

    Raises:
        StoreError: there is no run that can be read.
    """
    heads_folder = Path(heads_folder)
    runs: list[Run] = []
    published: list[PublishedRecord] = []
    unreadable: list[UnreadableRun] = []
    for folder in run_folders(heads_folder):
        if (folder / FitRecord.FILE).exists():
            continue  # it has no score
        path = folder.relative_to(heads_folder).as_posix()
        try:
            if (folder / PublishedRecord.FILE).exists():
                published.append(PublishedRecord.read(folder / PublishedRecord.FILE))
                continue
            run = read_run(folder, heads_folder)
        except StoreError as error:
            unreadable.append(UnreadableRun(f"{path}/{PublishedRecord.FILE}", reason_of(error)))
            continue
        except UnreadableRunError as error:
            unreadable.append(UnreadableRun(path, str(error)))
            continue
        runs.append(run)
        unreadable += [UnreadableRun(f"{path}/{name}", reason) for name, reason in run.unreadable.items()]
    if not runs:
        raise StoreError(_nothing(heads_folder, unreadable))
    return Collection(tuple(runs), tuple(unreadable), tuple(published))


def _nothing(heads_folder: Path, unreadable: list[UnreadableRun]) -> str:
    if not unreadable:
        return f"No runs found in {heads_folder}. {WHAT_TO_RUN}."
    first = unreadable[0]
    return (
        f"No readable runs in {heads_folder}: {len(unreadable)} can't be read, such as {first.path} ({first.reason}). "
        f"{WHAT_TO_RUN}."
    )
