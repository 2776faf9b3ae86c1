"""`soundprobe runs`: what was trained, by name; the whole of one; and taking some away."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from soundprobe.base.errors import ConfigError, one_line
from soundprobe.base.files import size_of
from soundprobe.cli.fit import fit_facts, lines_of_fit
from soundprobe.cli.options import Dataset, ExitCode, HeadsFolder, examples, flag
from soundprobe.cli.output import Json, answer, out, print_table
from soundprobe.reporting.wording import on_threads, percent, plural, setting_text

if TYPE_CHECKING:
    from soundprobe.scoring.run_names import NamedRun

app = typer.Typer(no_args_is_help=True, help="List, show or remove runs.", rich_markup_mode=None)

Name = Annotated[
    str, typer.Argument(metavar="RUN", help="best, a name of `runs list`, a key's beginning, or a folder.")
]


@app.command(
    "list",
    epilog=examples("soundprobe runs list", "soundprobe runs list --dataset esc-50", "soundprobe runs list --json"),
)
def list_runs(dataset: Dataset = None, heads: HeadsFolder = Path("heads"), as_json: Json = False) -> None:
    """List every run by name, the best of each data set first."""
    from soundprobe.scoring.run_names import WHAT_TO_RUN, named_runs

    there = named_runs(heads)
    found = there.of(dataset)
    answer(as_json, heads=heads, runs=map(_facts, found), others=there.others)
    if not found and not there.others:
        out.print(f"No runs found in {heads}. {WHAT_TO_RUN}.", markup=False)
    if found:
        table = Table(box=None, pad_edge=False)
        for column in ("name", "data", "accuracy", "folds", "made", "MB", ""):
            right = column in ("accuracy", "folds", "MB")
            table.add_column(
                column, justify="right" if right else "left", no_wrap=right or column == "made", overflow="fold"
            )
        for run in found:
            made = (run.fit or run.record).created.replace("T", " ")[:16]
            score = run.score if run.fit is None else f"({run.score})"
            cells = (score, run.tested, made, _megabytes(run), run.why_not_best)
            table.add_row(
                Text(one_line(run.name)), Text(one_line(run.data)), *cells, style="" if run.contends else "dim"
            )
        print_table(table, "MB", "made")
    for label, place in _places(found).items():
        out.print(f"{one_line(label)} is {one_line(place)}", markup=False)
    for folder, reason in there.others.items():
        out.print(f"no run: {one_line(folder)}: {one_line(reason)}", markup=False)


@app.command(epilog=examples("soundprobe runs show best", "soundprobe runs show mn04-linear --json"))
def show(name: Name, dataset: Dataset = None, heads: HeadsFolder = Path("heads"), as_json: Json = False) -> None:
    """Show a run: settings, folds, commands, folder."""
    from soundprobe.scoring.run_names import find_run

    run = find_run(heads, name, dataset=dataset, option="runs show")
    record, made = run.record, run.fit or run.record
    answer(as_json, **_facts(run), result=made.content)
    whose = "" if run.fit is None else "its recipe's: "
    lines = {
        "name": run.name,
        "data": f"{run.data}, {plural(record.dataset.clips, 'clip')}, {len(record.dataset.class_names)} classes",
        "from": (record.dataset.opened_as or {}).get("data", "given in Python"),
        "accuracy": f"{whose}{run.score} %, mean ± population standard deviation over {run.tested} folds",
        "backbone": f"{record.backbone.title}, {record.backbone.weights_label}",
        "head": f"{record.head.title}, seed {record.head.seed}",
        "settings": setting_text(record.head.settings) or "as usual",
        **({} if run.fit is None else {"fit": "\n".join(lines_of_fit(run.fit))}),
        "made": f"{made.created}, on {made.device or 'cpu'}{on_threads(record.threads)}",
        "again": "\n".join(dict.fromkeys([*record.backbone.commands, record.command, made.command])),
        "folder": f"{run.folder} ({_megabytes(run)} MB)",
    }
    for label, text in lines.items():
        for place, line in enumerate(str(text).split("\n")):
            out.print(f"{label if place == 0 else '':<9} {one_line(line)}", markup=False)
    table = Table(box=None, pad_edge=False)
    for column in ("fold", "trained on", "tested on", "accuracy", "macro-F1"):
        table.add_column(column, justify="right")
    table.add_column("chosen", overflow="fold")
    for fold in record.folds:
        scores = (percent(fold.accuracy), percent(fold.macro_f1))
        counts = (str(fold.fold), str(fold.train_clips), str(fold.test_clips))
        table.add_row(*counts, *scores, Text(one_line(setting_text(fold.chosen))))
    out.print(table)


@app.command(epilog=examples("soundprobe runs rm mn04-knn", "soundprobe runs rm mn04-knn mn04-mlp-seed1 --yes"))
def rm(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN", help="Names of `runs list`, beginnings of keys, or folders.")
    ],
    dataset: Dataset = None,
    heads: HeadsFolder = Path("heads"),
    yes: Annotated[bool, flag("Don't ask.", "--yes", "-y")] = False,
    as_json: Json = False,
) -> None:
    """Remove runs. Embeddings stay.

    Their heads, networks, predictions and results go.
    """
    from soundprobe.scoring.run_names import BEST, named_runs
    from soundprobe.verbs.runs import folder_to_remove, needed_by, remove_folder

    if BEST in names:
        raise ConfigError("runs rm best: say which run by its name, as another may be the best tomorrow.")
    if as_json and not yes:
        raise ConfigError("--json can't ask. Add --yes.")
    folders = list(dict.fromkeys(folder_to_remove(name, heads=heads, dataset=dataset) for name in names))
    whole = {run.folder: run for run in named_runs(heads).found}
    others = [run for folder, run in whole.items() if folder not in folders]
    freed = sum(size_of(folder) for folder in folders)
    for folder in folders:
        run = whole.get(folder)
        what = f"{run.name} on {run.data}, {run.score} %" if run else "no whole run"
        out.print(f"{one_line(what)}: {size_of(folder) / 1e6:.1f} MB in {one_line(folder)}", markup=False)
        if run and (left := needed_by(run, others)):
            out.print(f"  without its networks {', '.join(one.name for one in left)} can't predict", markup=False)
    if not yes and not typer.confirm(f"Remove {'it' if len(folders) == 1 else 'them'}?"):
        raise typer.Exit(ExitCode.ERROR)
    for folder in folders:
        remove_folder(folder)
    out.print(f"removed {plural(len(folders), 'run')}, {freed / 1e6:.1f} MB")
    answer(as_json, removed=folders, freed_bytes=freed)


def _megabytes(run: NamedRun) -> str:
    return f"{size_of(run.folder) / 1e6:.1f}"


def _places(found: Sequence[NamedRun]) -> dict[str, str]:
    """How the clips of each data set were opened whose name several have."""
    labels = {run.data: run.record.dataset for run in found}
    several = [one.name for one in labels.values()]
    opened = {label: one.opened_as for label, one in labels.items() if several.count(one.name) > 1 and one.opened_as}
    return {label: " ".join(filter(None, map(_option, how, how.values()))) for label, how in opened.items()}


def _option(name: str, value: object) -> str:
    from soundprobe.data.catalog import MADE_FOLDS

    if value is None or (name == "folds" and value == MADE_FOLDS):
        return ""
    return f"--{name.replace('_', '-')} {value}"


def _facts(run: NamedRun) -> dict[str, Any]:
    record, made = run.record, run.fit or run.record
    return {
        "name": run.name,
        "data": run.data,
        "fingerprint": record.dataset.fingerprint,
        "opened_as": record.dataset.opened_as,
        "kind": run.kind,
        "backbone": record.backbone.name,
        "weights": record.backbone.weights,
        "head": record.head.name,
        "seed": record.head.seed,
        "settings": record.head.settings,
        "accuracy": None if run.fit else record.content["summary"]["accuracy"],
        "macro_f1": None if run.fit else record.content["summary"]["macro_f1"],
        "folds": record.tested,
        "folds_of_data": record.dataset.folds,
        "trial": record.is_trial,
        "contends": run.contends,
        "created": made.created,
        "size_bytes": size_of(run.folder),
        "keys": {"embeddings": record.backbone.key, "head": run.key},
        "folder": run.folder,
        "command": made.command,
        **({} if run.fit is None else {"fit": fit_facts(run.fit)}),
    }
