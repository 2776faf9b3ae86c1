"""From clips to the page in one go: check, embed with what has to be beaten, train heads, report."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from soundprobe.audio.decode import check_channels
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.spec import PRETRAINED, RANDOM, BackboneSpec
from soundprobe.backbones.weights.verify import fetch, is_cached
from soundprobe.base.config import names_in
from soundprobe.base.display import Shown, ShownList, percent, plural
from soundprobe.base.errors import ConfigError, WeightsError
from soundprobe.base.machine import check_device_name
from soundprobe.base.parallel import NETWORK_ENGINES, check_engine, one_cluster
from soundprobe.base.progress import one_display, progress_bar
from soundprobe.base.records import Clips
from soundprobe.base.remote import placed
from soundprobe.data.audit.file_names import suggest_groups
from soundprobe.data.catalog import DATASETS, MADE_FOLDS, Opening, find_layout, open_data
from soundprobe.data.readers.table import read_table
from soundprobe.embeddings.store import Extraction
from soundprobe.heads.catalog import HEADS
from soundprobe.scoring.protocol_controls import SHUFFLED_LABELS
from soundprobe.scoring.results import FinishedRun
from soundprobe.scoring.run_names import NamedRun, base_name, named_runs
from soundprobe.verbs.extract import Weights, extract
from soundprobe.verbs.import_predictions import check_name, import_predictions
from soundprobe.verbs.probe import probe

if TYPE_CHECKING:
    from soundprobe.reporting.write import ReportPaths

NO_NETWORK = "logmel-stats"
"""What any network has to beat; it is always among what is compared."""
Files = str | Path | Sequence[str | Path] | Mapping[str, str | Path] | None


@dataclass(frozen=True, repr=False)
class Compared(Shown):
    """What a comparison came to.

    Attributes:
        answer: in a sentence; report: the page and its files; best: the run to predict with; predict: the command.
        runs: everything that was trained, or was there before.
        left_out: backbone -> why its pretrained weights can't be had; failures: clip id -> why it can't be used.
    """

    answer: str
    report: ReportPaths
    best: NamedRun
    predict: str
    runs: ShownList[FinishedRun]
    left_out: Mapping[str, str]
    failures: Mapping[str, str]

    def shown_lines(self) -> tuple[str, str, str]:
        """The answer, where the page is, and how to use the best run."""
        return self.answer, f"page: {self.report.html}", f"use it: {self.predict}"

    def shown_table(self) -> Sequence[Sequence[object]]:
        return self.runs.shown_table()


def compare(
    data: str | Path | Clips,
    *,
    backbone: str | Sequence[str] = "mn04",
    weights: Files = None,
    head: str | Sequence[str] = "linear,mlp,knn",
    baseline: str | Path | None = None,
    seed: int | Sequence[int] = 0,
    folds: int = MADE_FOLDS,
    limit: int | None = None,
    channels: str = "mean",
    embeddings: str | Path = "embeddings",
    heads: str | Path = "heads",
    reports: str | Path = "reports",
    device: str = "auto",
    jobs: int | None = None,
    engine: str = "threads",
    address: str | None = None,
    progress: bool = True,
    command: str = "",
    say: Callable[[str], None] = print,
    **opening: Unpack[Opening],
) -> Compared:
    """Compares backbones on clips with what has to be beaten, and writes the report of the data set.

    Each backbone is embedded with its pretrained weights and with random ones; statistics of a spectrogram stand
    beside them, and a run on shuffled labels shows whether the protocol leaks. A backbone whose weights can't be had is
    left out, and said. What is finished is not done again.

    Args:
        data: a data set's name, a path, or `Clips`; folds, limit, opening: see `open_data`; channels: see `extract`.
        backbone, head: one name, several, or several joined by commas.
        weights: files of pretrained weights: of the only backbone, or by backbone ("mn04=FILE", or a mapping); by
            default they are fetched where they aren't in the cache.
        baseline: a file of your own model's out-of-fold predictions, see `import_predictions`, called as the model is.
        seed: of the random weights; several give a run of each.
        embeddings, heads, reports: the folders that results are kept below.
        device: where networks run; jobs: threads that decode.
        engine, address: see `extract`; with "dask" heads are trained on the cluster, too.
        command: kept with results as what was run.
        say: called with a line about each step; progress: show bars.

    Raises:
        SoundprobeError: an unknown name, unreadable data, a file that holds no such weights, a second writer, a full
            disk.
    """
    names = [name for name in names_in(backbone, "backbone", "mn04,panns") if name != NO_NETWORK]
    head_names = names_in(head, "head", "linear,mlp,knn")
    specs = {name: BACKBONES[name] for name in names}
    files = files_of(weights, [name for name, spec in specs.items() if spec.parameters != 0])
    for name, spec in specs.items():
        spec.check_weights(files.get(name))
    for name in head_names:
        HEADS[name]
    check_device_name(device)
    check_channels(channels)
    check_engine(engine, address, NETWORK_ENGINES)
    if baseline is not None:
        check_name(Path(baseline).stem)
        read_table(Path(baseline))
    if not isinstance(data, Clips) and str(data) not in DATASETS:  # what has a name may take minutes to fetch
        find_layout(data)
    left_out = _fetched(specs, files, progress)
    for name, reason in left_out.items():
        say(f"{name} is left out, pretrained: {reason}")
    clips = data if isinstance(data, Clips) else open_data(data, folds=folds, limit=limit, **opening)
    for line in _described(clips):
        say(line)
    seeds = [seed] if isinstance(seed, int) else list(dict.fromkeys(seed))
    asked, alone = _asked(specs, files, left_out)
    sets = sum(len(seeds) if one == RANDOM else 1 for several in asked.values() for one in several) + len(alone)
    steps = sets * (1 + len(head_names)) + max(len(names), 1) + (baseline is not None)
    on_cluster: dict[str, Any] = {"engine": engine, "address": address} if engine == "dask" else {}
    with (
        one_display(shown=progress),
        one_cluster(engine, address, shown=progress),
        progress_bar(f"compare {clips.name}", steps, "", shown=progress) as bar,
    ):

        def told(line: str) -> None:
            say(line)
            bar.advance(1)

        if baseline is not None:
            but_columns: dict[str, Any] = {name: value for name, value in opening.items() if name != "columns"}
            own = import_predictions(
                baseline,
                name=Path(baseline).stem,
                data=data,
                heads=heads,
                folds=folds,
                limit=limit,
                force=True,  # what it replaces is kept
                progress=progress,
                command=command,
                data_columns=opening.get("columns"),
                **but_columns,
            )
            told(_described_run(own))
            if own.verdict:
                say(own.verdict)
        outcomes: list[Extraction] = []
        for wanted in (*alone, asked):
            try:
                outcomes += extract(
                    data,
                    weights=wanted,
                    seed=seeds,
                    folds=folds,
                    limit=limit,
                    channels=channels,
                    embeddings=embeddings,
                    device=device,
                    jobs=jobs,
                    **on_cluster,
                    progress=progress,
                    command=command,
                    on_extraction=lambda outcome: told(_described_set(outcome)),
                    **opening,
                )
            except WeightsError as error:
                if wanted is asked:
                    raise
                (name,) = wanted
                left_out[name] = str(error)
                told(f"{name} is left out, pretrained: {error}")
        runs = _train(outcomes, head_names, clips.name, embeddings, heads, on_cluster, progress, command, told)
        from soundprobe.reporting.compared.comparison import comparisons_of
        from soundprobe.reporting.sections.verdict import verdict_of
        from soundprobe.reporting.write import write_report

        there = named_runs(heads)
        label = next(run.data for run in there.found if run.folder == runs[0].folder)
        own_name = None if baseline is None else Path(baseline).stem
        with progress_bar("report", 1, "", shown=progress):
            report = write_report(
                placed(heads), placed(reports), dataset=label, baseline=own_name, embeddings=embeddings
            )
    found = report.collection
    (comparison,) = comparisons_of(found.by_dataset(), found.published, found.baseline)
    usable = [run for run in there.found if run.data == label and run.kind == "probe" and not run.is_control]
    best = max(usable, key=lambda run: (run.record.complete, run.accuracy))
    return Compared(
        answer=verdict_of(comparison).headline,
        report=report,
        best=best,
        predict=predict_command(there.address(best), best, placed(heads), files),
        runs=ShownList(runs),
        left_out=left_out,
        failures={clip: reason for outcome in outcomes for clip, reason in outcome.failures.items()},
    )


def _train(
    outcomes: Sequence[Extraction],
    head_names: Sequence[str],
    dataset: str,
    embeddings: str | Path,
    heads: str | Path,
    on_cluster: Mapping[str, Any],
    progress: bool,
    command: str,
    told: Callable[[str], None],
) -> list[FinishedRun]:
    """Every head on every set, and one on shuffled labels of those that were pretrained, where there are any."""
    learnt = [one for one in outcomes if one.backbone != NO_NETWORK and not one.weights_label.startswith(RANDOM)]
    shuffled = learnt or [one for one in outcomes if one.backbone == NO_NETWORK]
    plans: list[tuple[Sequence[Extraction], dict[str, Any]]] = [
        (outcomes, {"head": head_names}),
        (shuffled, {"control": SHUFFLED_LABELS}),
    ]
    return [
        run
        for sets, how in plans
        for run in probe(
            backbone=",".join(one.folder.name for one in sets),
            dataset=dataset,
            embeddings=embeddings,
            heads=heads,
            **on_cluster,
            progress=progress,
            command=command,
            on_probe=lambda done: told(_described_run(done)),
            **how,
        )
    ]


def files_of(weights: Files, names: Sequence[str]) -> dict[str, str | Path]:
    """The file of pretrained weights of each backbone that has one of its own.

    Args:
        weights: as for `compare`; names: the backbones that have weights.

    Raises:
        ConfigError: it isn't said of which backbone a file is.
    """
    given: list[tuple[str, str | Path]] = []
    if isinstance(weights, Mapping):
        given += weights.items()
    else:
        for one in [weights] if isinstance(weights, str | Path) else weights or ():
            of, equals, path = str(one).partition("=")
            given.append((of, path) if equals and of in names else ("", one))
    found: dict[str, str | Path] = {}
    for name, file in given:
        if str(file) == RANDOM:
            raise ConfigError("--weights random: untrained networks are compared in any case. Leave it out.")
        if not name and len(names) != 1:
            raise ConfigError(
                f"--weights {file}: whose are they? Give --weights {names[0] if names else 'BACKBONE'}={file}."
            )
        if str(file) != PRETRAINED:
            found[name or names[0]] = file
    unknown = next((name for name in found if name not in names), None)
    if unknown is not None:
        raise ConfigError(f"--weights {unknown}={found[unknown]}: {unknown} is not among the backbones. Add it there.")
    return found


def _fetched(specs: Mapping[str, BackboneSpec], files: Mapping[str, str | Path], progress: bool) -> dict[str, str]:
    """Fetches published weights that aren't here yet; of those that can't be had, why."""
    missing = {}
    for name, spec in specs.items():
        if spec.weights is not None and name not in files and not is_cached(spec.weights):
            try:
                fetch(spec.weights, progress=progress)
            except WeightsError as error:
                missing[name] = str(error)
    return missing


def _asked(
    specs: Mapping[str, BackboneSpec], files: Mapping[str, str | Path], left_out: Mapping[str, str]
) -> tuple[dict[str, list[Weights]], list[dict[str, list[Weights]]]]:
    """What to extract at once, by backbone; and alone, backbones whose own weights may turn out not to be had."""
    asked: dict[str, list[Weights]] = {}
    alone: list[dict[str, list[Weights]]] = []
    for name, spec in specs.items():
        later = spec.loads_own_weights and name not in files
        alone += [{name: [None]}] * later
        own = [] if later or name in left_out else [files.get(name)]
        asked[name] = [*own, *([spec.weights_at_hand] if spec.weights_at_hand else [])]
    return {**asked, NO_NETWORK: [None]}, alone


def _described(clips: Clips) -> list[str]:
    """How much data there is, whose folds, and what is not known of it."""
    lines = [clips.shown_lines()[0]]
    if clips.recordings_known:
        return lines
    found = suggest_groups(clips.ids, clips.labels)
    return (
        [*lines, f"If file names hold the recordings, start again with the option: {found.describe()}"]
        if found
        else lines
    )


def _described_set(outcome: Extraction) -> str:
    before = " (there before)" if outcome.reused == outcome.clips else f" in {outcome.seconds:.1f} s"
    failed = f", {len(outcome.failures)} failed" if outcome.failures else ""
    return f"{outcome.backbone}, {outcome.weights_label}: {outcome.clips} clips{failed}{before}"


def _described_run(done: FinishedRun) -> str:
    score, folds = done.record.summary.accuracy, plural(len(done.record.folds), "fold")
    before = " (there before)" if done.reused else ""
    spread = f" ± {percent(score.std_population)}" if len(done.record.folds) > 1 else ""
    return f"{base_name(done.record)}: {percent(score.mean)}{spread} % over {folds}{before}"


def predict_command(address: str, best: NamedRun, heads: Path, files: Mapping[str, str | Path]) -> str:
    """With the file of weights where `predict` would not find it in the cache."""
    parts = ["soundprobe", "predict", "RECORDING", "--run", address]
    if heads != Path("heads"):
        parts += ["--heads", str(heads)]
    name = best.record.backbone.name
    published = BACKBONES[name].weights
    cached = published is not None and is_cached(published) and best.record.backbone.weights != "file"
    if name in files and not cached:
        parts += ["--weights", str(files[name])]
    return shlex.join(parts)
