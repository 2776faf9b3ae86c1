"""Runs below a heads folder by names that people type: "mn04-linear", "panns-finetuned", or the beginning of a key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

from soundprobe.base.display import Shown, percent, plural
from soundprobe.base.errors import ConfigError, StoreError, unknown
from soundprobe.base.files import path_name
from soundprobe.base.remote import local, local_if_url
from soundprobe.base.stored import ScoredModelRecord
from soundprobe.scoring.fits import FitRecord, read_fit
from soundprobe.scoring.published import PublishedRecord
from soundprobe.scoring.results import read_result
from soundprobe.scoring.run_records import RunRecord

BEST = "best"
WHAT_TO_RUN = (
    "Run `soundprobe compare DATA`, or `soundprobe extract` and then `soundprobe probe`, or name another folder"
)
LEAST_OF_KEY = 4
LEAST_OF_FINGERPRINT = 6
MOST_LISTED = 12
LONGEST_SETTING = 24
SEED = re.compile(r"\(seed (\d+)\)")
WHY_NOT = {
    "probe": "is the run of a probe, which trains no network",
    "finetune": "holds fine-tuned networks, not heads on frozen embeddings",
    "import": "was imported: it holds predictions, and neither heads nor networks",
    "fit": "is one head on all clips, fitted to be used: it has no score and no network",
}
"""Why a run of a kind can't be used where another kind is needed."""


@dataclass(frozen=True, repr=False)
class NamedRun(Shown):
    """A run and what it is called.

    Attributes:
        name: unique among the runs on its data; data: its data set's name, with the beginning of the fingerprint where
            several are called so.
        record: what was scored; of a fit, the run whose recipe it is.
        fit: of a head that was fitted on all clips, else None.
    """

    name: str
    data: str
    folder: Path
    record: RunRecord
    fit: FitRecord | None = None

    @property
    def kind(self) -> str:
        """ "probe", "finetune", "import" or "fit"."""
        return "fit" if self.fit is not None else self.record.kind

    @property
    def key(self) -> str:
        """Of its head."""
        return self.record.head.key if self.fit is None else self.fit.key

    @property
    def accuracy(self) -> float:
        """Mean over the tested folds; of a fit, its recipe's."""
        return self.record.summary.accuracy.mean

    @property
    def is_control(self) -> bool:
        """Whether its labels, folds or weights are not what they should be, to show what that does."""
        settings, untrained = self.record.head.settings, "random" in self.record.backbone.weights.split("+")
        return bool(
            settings.get("control") or settings.get("carry_over") or (untrained and self.record.kind == "probe")
        )

    @property
    def contends(self) -> bool:
        """Whether it may be the best: it tested every fold of all clips, and is no control, import or fit."""
        return self.kind in ("probe", "finetune") and not (self.record.is_trial or self.is_control)

    @property
    def why_not_best(self) -> str:
        """Why it can't be the best; empty where it can."""
        if self.fit is not None:
            return f"on all clips; the score is that of {self.fit.recipe_name}"
        if self.record.is_of_fewer_clips:
            return f"trial of {plural(self.record.dataset.clips, 'clip')}"
        if self.record.is_trial:
            return "trial"
        return "" if self.contends else "imported" if self.kind == "import" else "control"

    @property
    def score(self) -> str:
        """Accuracy in percent: mean ± population standard deviation over the tested folds."""
        score = self.record.summary.accuracy
        spread = f" ± {percent(score.std_population)}" if len(self.record.folds) > 1 else ""
        return f"{percent(score.mean)}{spread}"

    @property
    def tested(self) -> str:
        """How many folds were tested, and of how many where it's not all."""
        tested, every = len(self.record.folds), len(self.record.dataset.folds)
        return str(tested) if self.record.complete else f"{tested} of {every}"

    def shown_lines(self) -> Sequence[str]:
        mark = f"; {self.why_not_best}" if self.why_not_best else ""
        return f"{self.name} on {self.data}: {self.score} % over {self.tested} folds{mark}", str(self.folder)

    def shown_table(self) -> Sequence[Sequence[object]]:
        return list(self.shown_row()), list(self.shown_row().values())

    def shown_row(self) -> Mapping[str, object]:
        return {
            "name": self.name,
            "data": self.data,
            "accuracy, %": self.score,
            "folds": self.tested,
            "": self.why_not_best,
            "folder": self.folder,
        }


@dataclass(frozen=True)
class Runs:
    """Every run below a heads folder, the best of each data set first, and why other folders hold none."""

    heads: Path
    found: Sequence[NamedRun]
    others: Mapping[Path, str]

    def of(self, dataset: str | None) -> list[NamedRun]:
        """Those on the data set of that name; all of them where it is None.

        Raises:
            ConfigError: there is none.
        """
        if dataset is None:
            return list(self.found)
        called = [(run, run.record.dataset) for run in self.found]
        chosen = [run for run, of in called if dataset in (run.data, of.name, long_label(of.name, of.fingerprint))]
        if not chosen:
            raise ConfigError(unknown("data set with results", dataset, {run.data for run in self.found}))
        return chosen

    def address(self, run: NamedRun) -> str:
        """What names `run` and no other: its name, or data set and name."""
        alone = sum(other.name == run.name for other in self.found) == 1
        return run.name if alone else f"{run.data}/{run.name}"


def run_folders(heads: Path) -> Iterator[Path]:
    """The folders `<dataset>/<backbone>-<key>/<head>-<key>/` below `heads`, sorted.

    Hidden ones are left out, and links to what lies below `heads` as well: no run counts twice.

    Raises:
        StoreError: a folder can't be listed.
    """
    for dataset in _subfolders(heads, heads):
        for backbone in _subfolders(dataset, heads):
            yield from _subfolders(backbone, heads)


def _subfolders(folder: Path, heads: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    try:
        found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        return [one for one in found if not (one.is_symlink() and one.resolve().is_relative_to(heads.resolve()))]
    except OSError as error:
        raise StoreError(
            f"Can't read folder {folder}: {error.strerror}. Allow it or name another with --heads."
        ) from error


def named_runs(heads: str | Path = "heads") -> Runs:
    """Every run below the folder `heads` by its name; changes nothing there.

    Raises:
        StoreError: a folder can't be listed.
    """
    heads = local(heads)
    records: dict[Path, RunRecord] = {}
    fits: dict[Path, FitRecord] = {}
    others: dict[Path, str] = {}
    for folder in run_folders(heads):
        if (folder / FitRecord.FILE).exists():
            try:
                fits[folder] = read_fit(folder)[0]
                records[folder] = fits[folder].run
            except StoreError as error:
                others[folder] = str(error)
            continue
        if not (folder / "result.json").exists():
            published = (folder / PublishedRecord.FILE).exists()
            others[folder] = "fold scores as published" if published else "still being made, or stopped before its end"
            continue
        try:
            records[folder] = read_result(folder)
        except StoreError as error:
            others[folder] = str(error)
    labels = data_labels(records.values())
    named = [
        NamedRun(fit_name(fits[folder]) if folder in fits else base_name(one), labels[_data_of(one)], folder, one, fit)
        for folder, one in records.items()
        for fit in [fits.get(folder)]
    ]
    alike: dict[tuple[str, str], list[NamedRun]] = {}
    for run in named:
        alike.setdefault((run.name, run.data), []).append(run)
    found = [
        replace(run, name=run.name + _key(run, same)) if len(same := alike[run.name, run.data]) > 1 else run
        for run in named
    ]
    found.sort(key=lambda run: (run.data, run.record.is_trial, not run.contends, -run.accuracy, run.name))
    return Runs(heads, found, others)


def _data_of(record: RunRecord) -> tuple[str, str]:
    return record.dataset.name, record.dataset.fingerprint


def data_labels(records: Iterable[RunRecord]) -> dict[tuple[str, str], str]:
    """What to call each data set, by its name and fingerprint: "esc-10"; "esc-10@3f2a91" where several are called so.

    One of which only a part was used in a trial leaves the whole one its plain name.
    """
    whole: dict[tuple[str, str], bool] = {}
    for record in records:
        whole[_data_of(record)] = not record.is_of_fewer_clips
    labels = {}
    for name, fingerprint in whole:
        others = [(other, all_) for (other, digest), all_ in whole.items() if other == name and digest != fingerprint]
        plain = not others or (whole[name, fingerprint] and not any(all_ for _, all_ in others))
        labels[name, fingerprint] = name if plain else long_label(name, fingerprint)
    return labels


def long_label(name: str, fingerprint: str) -> str:
    """What a data set can always be called by."""
    return f"{name}@{fingerprint[:LEAST_OF_FINGERPRINT]}"


def base_name(record: RunRecord) -> str:
    """What a run is called by what it was made of: everything that is not as usual stands in it.

    It depends on the run alone, so a name never comes to mean another run.
    """
    head, backbone = record.head, record.backbone
    if record.kind == "probe":
        parts = [_backbone_name(backbone), head.name, *_settings_of_head(head.settings)]
    elif record.kind == "finetune":
        parts = _finetune_name(record)
    else:
        parts = [backbone.name]
    seed = [f"seed{head.seed}"] if head.seed else []
    return "-".join(path_name(part) for part in [*parts, *seed])


def _backbone_name(backbone: ScoredModelRecord) -> str:
    """With what is unusual about its weights, precision and layers: "mn04-untrained", "mn04+ast-int8"."""
    names, kinds = backbone.name.split("+"), backbone.weights.split("+")
    labels = backbone.weights_label.split("+")
    several = len(names) > 1
    parts = []
    for place, name in enumerate(names):
        kind = kinds[place] if place < len(kinds) else ""
        drawn = SEED.search(labels[place]) if place < len(labels) else None
        settings = backbone.settings.get(name) if several else backbone.settings
        told = settings if isinstance(settings, dict) else {}
        more = [f"-untrained{f'-seed{drawn[1]}' if drawn and drawn[1] != '0' else ''}"] if kind == "random" else []
        usual = {"precision": "fp32", "layers": "last", "pool": None, "channels": "mean"}
        more += [f"-{told[field]}" for field, value in usual.items() if told.get(field, value) != value]
        more += ["-frames"] if "frames" in told else []
        parts.append(name.rpartition(":")[2] + "".join(more))
    return "+".join(parts)


def _settings_of_head(settings: Mapping[str, object]) -> list[str]:
    """What a probe was told of its head; of a control only which it is, as that settles the rest."""
    if control := settings.get("control"):
        return [str(control)]
    leaks = ["without-leaks"] if settings.get("exclude_leaks") else []
    given = (f"{name}-{path_name(str(value))}" for name, value in settings.items() if name != "exclude_leaks")
    return [*(text for text in given if len(text) <= LONGEST_SETTING), *leaks]


def _finetune_name(record: RunRecord) -> list[str]:
    settings, backbone = record.head.settings, record.backbone.name.rpartition(":")[2]
    recipe = str(settings.get("recipe") or "")
    how = "trained" if record.backbone.weights == "random" else "finetuned"
    carried = ["carried-over"] if settings.get("carry_over") else []
    if recipe in ("", f"finetune-{backbone}", "finetune-timm"):
        return [backbone, how, *carried]
    return [recipe, *carried] if backbone in recipe else [backbone, how, recipe, *carried]


def fit_name(record: FitRecord) -> str:
    """What a fit is called: as the run whose recipe it is, and what is not as usual."""
    asked = record.thresholds
    return f"{base_name(record.run)}-fit" + (f"-precision-{asked.precision:g}" if asked else "")


def _key(run: NamedRun, alike: Sequence[NamedRun]) -> str:
    """The beginning of the key that tells runs of one name apart: the head's, else that of its embeddings."""
    for key_of in (attrgetter("key"), attrgetter("record.backbone.key")):
        keys = {key_of(one) for one in alike}
        if len(keys) == len(alike):
            own = key_of(run)
            lengths = range(LEAST_OF_KEY, len(own))
            return "-" + own[: next((n for n in lengths if len({key[:n] for key in keys}) == len(keys)), len(own))]
    return f"-{run.record.backbone.key}-{run.key}"


def find_run(
    heads: str | Path,
    text: str | Path | None,
    *,
    dataset: str | None = None,
    kinds: Collection[str] = (),
    option: str = "--run",
    whole: bool = True,
) -> NamedRun:
    """The run that `text` names below the folder `heads`.

    Args:
        text: "best", a name, "<data set>/<name>", the unique beginning of a key, or a run's folder. The best is the
            complete run with the highest mean accuracy that is no control, of those with --exclude-leaks only where
            there are no others. The folder may be a URL.
        dataset: only runs on that data set.
        kinds: of runs that will do ("probe", "finetune", "fit"); any by default.
        option: how messages name where `text` was given.
        whole: whether of several the only one that is no trial is meant.

    Raises:
        ConfigError: no run, or several, are named so, or the one that is is of another kind; with what there is.
        StoreError: the named folder holds no result, or a folder can't be listed.
    """
    runs = named_runs(heads)
    if not runs.found:
        given = "" if text is None else f"{option} {text}: there is no such run. "
        raise ConfigError(f"{given}No runs found in {heads}. {WHAT_TO_RUN} with --heads.")
    of_data = runs.of(dataset)
    usable = [run for run in of_data if not kinds or run.kind in kinds]
    if text is None:
        raise ConfigError(f"{option} is missing. {_there_are(runs, usable, '')}")
    wanted = str(local_if_url(text))
    if wanted == BEST:
        return _best(runs, usable, option)
    found = (
        _named(runs, wanted) if dataset is None else [run for run in _named(runs, wanted) if run in runs.of(dataset)]
    )
    if len(found) > 1:
        fitting = [run for run in found if run in usable]
        no_trials = [run for run in fitting if not run.record.is_trial]
        found = no_trials if whole and len(no_trials) == 1 else fitting or found
    if not found:
        raise ConfigError(f"{option} {wanted}: there is no such run. {_there_are(runs, usable, wanted)}")
    if len(found) > 1:
        several = "; ".join(runs.address(run) for run in found[:MOST_LISTED])
        raise ConfigError(f"{option} {wanted} fits {len(found)} runs: {several}. Say which.")
    if kinds and found[0].kind not in kinds:
        raise ConfigError(
            f"{option} {wanted}: {found[0].name} {WHY_NOT[found[0].kind]}. {_there_are(runs, usable, wanted)}"
        )
    return found[0]


def _best(runs: Runs, usable: Sequence[NamedRun], option: str) -> NamedRun:
    able = [run for run in usable if run.contends]
    if not able:
        why = "; ".join(f"{runs.address(run)}: {run.why_not_best}" for run in usable[:MOST_LISTED])
        raise ConfigError(
            f"{option} {BEST}: none that will do here tested every fold of all clips and is no control. "
            + (f"Name one ({why})." if usable else _there_are(runs, usable, ""))
        )
    data = sorted({run.data for run in able})
    if len(data) > 1:
        raise ConfigError(f"{option} {BEST}: there are runs on {', '.join(data)}. Say which with --dataset {data[0]}.")
    usual = [run for run in able if not run.record.head.settings.get("exclude_leaks")]
    return max(usual or able, key=lambda run: run.accuracy)


def _named(runs: Runs, wanted: str) -> list[NamedRun]:
    """Every run that `wanted` may mean, by the first way of naming it that fits any."""
    if by_name := [run for run in runs.found if wanted in (run.name, f"{run.data}/{run.name}")]:
        return by_name
    for place in (Path(wanted), runs.heads / wanted):
        if at_place := [run for run in runs.found if same_folder(run.folder, place)]:
            return at_place
    if len(wanted) < LEAST_OF_KEY:
        return []
    keys = [run for run in runs.found if run.key.startswith(wanted)]
    return keys or [run for run in runs.found if run.record.backbone.key.startswith(wanted)]


def same_folder(folder: Path, other: Path) -> bool:
    """Whether `other` is there and leads to `folder`."""
    try:
        return other.is_dir() and folder.samefile(other)
    except (OSError, ValueError):
        return False


def _there_are(runs: Runs, usable: Sequence[NamedRun], wanted: str) -> str:
    """What can be named instead, the nearest names first."""
    if not usable:
        return f"None in {runs.heads} will do; see soundprobe runs list."
    called = {runs.address(run): run.name for run in usable}
    names = list(called)
    alike = difflib.get_close_matches(wanted, [*names, *called.values()], n=3) if wanted else []
    near = [address for text in alike for address, name in called.items() if text in (address, name)]
    ordered = list(dict.fromkeys([*near, *names]))
    more = f" and {len(ordered) - MOST_LISTED} more (soundprobe runs list)" if len(ordered) > MOST_LISTED else ""
    hint = f"Did you mean {near[0]!r}? " if near else ""
    best = f"; or {BEST}" if any(run.contends for run in usable) else ""
    return f"{hint}There are: {', '.join(ordered[:MOST_LISTED])}{more}{best}."


def run_folder(
    heads: str | Path,
    text: str | Path | None,
    *,
    dataset: str | None = None,
    kinds: Collection[str] = (),
    option: str = "--run",
) -> Path:
    """The folder of the run that `text` names, as `find_run` does; an existing path that names none as it is.

    Raises:
        ConfigError, StoreError: see `find_run`.
    """
    text = local_if_url(text)
    known = isinstance(text, str) and (text == BEST or bool(_named(named_runs(heads), text)))
    if text is None or known or not Path(text).exists():
        return find_run(heads, text, dataset=dataset, kinds=kinds, option=option).folder
    folder = Path(text).parent if Path(text).is_file() else Path(text)
    is_fit, has_result = (folder / FitRecord.FILE).exists(), (folder / "result.json").exists()
    kind = "fit" if is_fit else read_result(folder).kind if has_result else ""
    if kind and kinds and kind not in kinds:
        raise ConfigError(f"{option} {text} {WHY_NOT[kind]}. See soundprobe runs list.")
    return Path(text)
