"""Makes the figures of the marked tables of README and docs, by the commands of docs/figures.toml.

.venv/bin/python docs/figures.py run [quick | NAME ...]    run what is not there yet, then check; hours for all of it
.venv/bin/python docs/figures.py check [quick | NAME ...]  compare what is there with docs/figures.json
.venv/bin/python docs/figures.py record [NAME ...]         write docs/figures.json from what is there
.venv/bin/python docs/figures.py tables [--check]          write the tables of README and docs, and what recipes in
                                                           configs/ say to expect, from docs/figures.json

NAME is the beginning of a figure's name, such as schedule/. Clips and weights lie below the folder that the environment
variable SOUNDPROBE_SHARED names (by default ../shared, as for the tests); what is made goes to figures/. Each run has
one thread, because the number of threads changes what a network that is trained from scratch comes to.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from soundprobe.base.machine import versions
from soundprobe.embeddings.head_plan import with_copies_joined
from soundprobe.embeddings.sets import find_feature_sets, read_features
from soundprobe.heads.catalog import load_head
from soundprobe.heads.novelty import Novelty, out_of_fold
from soundprobe.scoring.bootstrap import Predictions, Scores, resample
from soundprobe.scoring.fits import FitRecord, part, read_fit
from soundprobe.scoring.out_of_fold import read_predictions
from soundprobe.scoring.paired_tests import average, kfold_ratio, paired
from soundprobe.scoring.results import read_result
from soundprobe.scoring.run_records import RunRecord
from soundprobe.training.log import read_history

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
MADE = ROOT / "figures"
RECORDED = DOCS / "figures.json"
PLAN = tomllib.loads((DOCS / "figures.toml").read_text())
SHARED = Path(os.environ.get("SOUNDPROBE_SHARED", ROOT.parent / "shared"))
WEIGHTS = SHARED / "weights" / "mn04_as_mAP_432.pt"
FROZEN_TOLERANCE = 0.005  # heads on stored embeddings: another processor's rounding moves a clip or two
TRAINED_TOLERANCE = 0.01  # at least; see `tolerance`
SURE = 0.9  # a probability that people take for certainty
Seeds = dict[str, list[float]]
"""A run's accuracy in each fold, by the seed of its weights or its training."""


def wanted(names: Sequence[str]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """(figure, data set) for those of the plan that `names` mean; all of them where there are none."""
    for figure in PLAN["figure"]:
        for data in figure["data"]:
            if (
                not names
                or figure["name"].startswith(tuple(names))
                or ("quick" in names and data in figure.get("quick", ()))
            ):
                yield figure, data


def seeds_of(figure: Mapping[str, Any], data: str) -> list[int]:
    """Those that a step with {seed} is run with; empty where there is none. `seeds` may differ by data set."""
    seeds = figure.get("seeds", [])
    return list(seeds[data] if isinstance(seeds, Mapping) else seeds)


def commands(figure: Mapping[str, Any], data: str) -> Iterator[list[str]]:
    """The figure's commands, once for each seed, with {data} and {mn04} as they stand."""
    for step in figure["steps"]:
        for seed in seeds_of(figure, data) if "{seed}" in step else [0]:
            yield shlex.split(step.replace("{seed}", str(seed)))


def make(figure: Mapping[str, Any], data: str) -> None:
    """Runs the figure's commands on one data set; soundprobe itself leaves out what is there."""
    folder = MADE / data / figure["name"]
    folder.mkdir(parents=True, exist_ok=True)
    places = {"{data}": str(SHARED / PLAN["data"][data]), "{mn04}": str(WEIGHTS)}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "SOUNDPROBE_OFFLINE": "1"}
    for command in commands(figure, data):
        argv = [sys.executable, "-m", "soundprobe", *(places.get(word, word) for word in command), "--quiet"]
        done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True)  # noqa: S603
        print(f"{data} {figure['name']}: {' '.join(command)}\n{done.stdout}", end="", flush=True)
        if done.returncode:
            raise SystemExit(f"{shlex.join(argv)} failed:\n{done.stderr}")


def finished(figure: Mapping[str, Any], data: str) -> Iterator[tuple[str, str, Path, RunRecord]]:
    """(head, seed, folder, record) of each run below the figure's folder."""
    for path in sorted((MADE / data / figure["name"] / "heads").glob("*/*/*/result.json")):
        record = read_result(path.parent)
        label = record.backbone.weights_label
        seed = re.search(r"seed (\d+)", label) if record.kind == "probe" else None
        head = record.head.name if record.kind == "probe" else "finetune"
        if control := record.head.settings.get("control"):
            head = f"{head}, {control}"
        yield head, seed[1] if seed else str(record.head.seed), path.parent, record


def measured(figure: Mapping[str, Any], data: str) -> dict[str, Seeds]:
    """Head -> seed -> accuracy in each fold, in the folds' order."""
    found: dict[str, Seeds] = {}
    for head, seed, _, record in finished(figure, data):
        found.setdefault(head, {})[seed] = [round(fold.accuracy, 4) for fold in record.folds]
    return {head: dict(sorted(seeds.items())) for head, seeds in sorted(found.items())}


def mean(seeds: Seeds) -> float:
    return float(np.mean(list(seeds.values())))


def between_folds(seeds: Seeds) -> float:
    """Population standard deviation of the folds' scores, each the mean over seeds."""
    return float(np.mean(list(seeds.values()), axis=0).std())


def between_seeds(seeds: Seeds) -> float | None:
    """Sample standard deviation of the seeds' means; None for one seed."""
    return float(np.mean(list(seeds.values()), axis=1).std(ddof=1)) if len(seeds) > 1 else None


def tolerance(figure: Mapping[str, Any], seeds: Seeds) -> float:
    """How far the mean over seeds may lie from the recorded one: three standard errors of a difference of such means.

    On another processor, a network from scratch comes out as with another seed; on this one to the digit.
    """
    if not any("finetune" in step for step in figure["steps"]):
        return FROZEN_TOLERANCE
    spread = between_seeds(seeds) or TRAINED_TOLERANCE
    return max(TRAINED_TOLERANCE, 3 * float(np.sqrt(2 / len(seeds))) * spread)


def check(names: Sequence[str]) -> list[str]:
    """A line for each figure that is off or missing."""
    recorded, wrong = json.loads(RECORDED.read_text())["runs"], []
    for figure, data in wanted(names):
        now, then = measured(figure, data), recorded.get(f"{data} {figure['name']}", {})
        if not then:
            wrong.append(f"{data} {figure['name']}: not in {RECORDED.name}")
        for head, seeds in then.items():
            if head not in now or set(now[head]) != set(seeds):
                wrong.append(f"{data} {figure['name']}, {head}: not all of it has been run")
            elif abs(mean(now[head]) - mean(seeds)) > tolerance(figure, seeds):
                wrong.append(f"{data} {figure['name']}, {head}: {mean(now[head]):.4f}, recorded {mean(seeds):.4f}")
    if wrong:
        return wrong
    content = json.loads(RECORDED.read_text())
    for data, other, shared in PLAN["unheard"] if not names else ():
        now, then = unheard(data, other, shared)["auroc"], content["unheard"][f"{data} {other}"]["auroc"]
        if abs(now - then) > FROZEN_TOLERANCE:
            wrong.append(f"{data} against {other}: AUROC {now:.3f}, recorded {then:.3f}")
    return wrong


def scores(data: str, name: str, head: str | None) -> Scores:
    """The scores of a figure's runs, as those of one run: the mean over its seeds."""
    (figure,) = (figure for figure in PLAN["figure"] if figure["name"] == name)
    found = []
    for one, seed, folder, record in finished(figure, data):
        if head in (None, one):
            table = read_predictions(folder, len(record.dataset.class_names))
            columns = (table[column] for column in ("clip_id", "label", "predicted", "fold", "group"))
            found.append(resample(Predictions(f"{name} {seed}", *columns, len(record.dataset.class_names))))
    return average(found, name)


def compare(comparison: Mapping[str, Any], data: str) -> dict[str, Any]:
    """`run` less `reference`, in points, with both tests of docs/protocol.md."""
    one, other = (scores(data, *split(comparison[side])) for side in ("run", "reference"))
    found = paired(one, other, test_train_ratio=kfold_ratio(len(one.folds)))
    return {
        "points": round(100 * found.mean.value, 1),
        "interval": [round(100 * end, 1) for end in (found.interval.low, found.interval.high)],
        "p": None if found.t_test.p is None else round(found.t_test.p, 3),
        "clear": found.is_clear,
        "detectable": None if found.detectable is None else round(100 * found.detectable, 1),
    }


def split(name: str) -> tuple[str, str | None]:
    """ "frozen/mn04:linear" -> the figure's name and the head's."""
    figure, _, head = name.partition(":")
    return figure, head or None


def salience(data: str, name: str, head: str | None) -> dict[str, Any]:
    """Accuracy on foreground less background clips, in points: pooled, and within class.

    Within class: the mean over the classes that have 5 clips of each kind.
    """
    (figure,) = (figure for figure in PLAN["figure"] if figure["name"] == name)
    pooled, within = [], []
    for one, _, folder, record in finished(figure, data):
        if head not in (None, one):
            continue
        table = read_predictions(folder, len(record.dataset.class_names))
        right, front = table["predicted"] == table["label"], table["clip.salience"] == 1
        pooled.append(right[front].mean() - right[~front].mean())
        of_class = [
            (right[mine & front], right[mine & ~front])
            for mine in (table["label"] == c for c in np.unique(table["label"]))
        ]
        within.append(np.mean([a.mean() - b.mean() for a, b in of_class if min(len(a), len(b)) >= 5]))
    return {"pooled": round(100 * float(np.mean(pooled)), 1), "within_class": round(100 * float(np.mean(within)), 1)}


def last_epoch(name: str) -> dict[str, float]:
    """Means over the folds of the run with seed 0 at the last epoch that all of them had, on UrbanSound8K's sample."""
    (figure,) = (figure for figure in PLAN["figure"] if figure["name"] == name)
    (folder,) = (folder for _, seed, folder, _ in finished(figure, "urbansound8k") if seed == "0")
    folds = [read_history(path) for path in sorted(folder.glob("fold-*-history.csv"))]
    last = min(len(fold) for fold in folds) - 1
    columns = ("train_loss", "train_loss_eval", "validation_loss", "validation_accuracy")
    return {column: float(np.mean([float(fold[last][column]) for fold in folds])) for column in columns}


def fit_of(data: str) -> Path:
    """The folder of the fit of mn04's linear head on a data set."""
    (path,) = (MADE / data / "frozen/mn04/heads").glob(f"*/*/*/{FitRecord.FILE}")
    return path.parent


def unheard(data: str, other: str, shared: str) -> dict[str, float]:
    """What a fit on `data` makes of the classes of `other` but the `shared` one, none of which it was trained on."""
    told, arrays = read_fit(fit_of(data))
    assert told.novelty
    head = load_head(told.about.head, part(arrays, "head."), told.params)
    novelty = Novelty.from_arrays(part(arrays, "novelty."), told.novelty.threshold)
    own, strange = (
        read_features(find_feature_sets(MADE / one / "frozen/mn04/embeddings")[0])[0] for one in (data, other)
    )
    rows = np.asarray(strange.features)[strange.labels != strange.class_names.index(shared)]
    joined = with_copies_joined(own).groups
    mine = out_of_fold(np.asarray(own.features), own.labels, own.folds, joined, np.unique(own.folds).tolist())
    theirs, sure = novelty.score(rows), head.predict_proba(rows).max(axis=1) >= SURE
    auroc = roc_auc_score(np.repeat([0, 1], [len(mine), len(theirs)]), np.concatenate([mine, theirs]))
    passing = ~novelty.is_unknown(theirs)
    return {
        "auroc": round(float(auroc), 3),
        "sure": round(float(sure.mean()), 3),
        "called": round(float(passing.mean()), 3),
        "called_sure": round(float((sure & passing).mean()), 3),
        "passed": round(told.novelty.passed, 3),
    }


def precision(data: str) -> dict[str, float | None]:
    """What the thresholds of a fit reach, each fold judged by those of the others."""
    told = read_fit(fit_of(data))[0]
    asked = told.thresholds
    assert asked
    share = sum(one.told for one in asked.classes.values()) / sum(one.clips for one in asked.classes.values())
    reached = None if asked.reached is None else round(asked.reached, 3)
    return {"told": round(share, 3), "reached": reached, "without": round(told.run.summary.accuracy.mean, 3)}


def unheard_cells(found: Mapping[str, float] | None) -> list[str]:
    if found is None:
        return ["–"] * 6
    shares = (1.0, *(found[name] for name in ("sure", "called", "called_sure", "passed")))
    return [number(found["auroc"]), *(f"{100 * share:.1f} %" for share in shares)]


def precision_cells(found: Mapping[str, float | None] | None) -> list[str]:
    shares = [None] * 3 if found is None else [found[name] for name in ("told", "reached", "without")]
    return ["–" if share is None else f"{100 * share:.1f} %" for share in shares]


def record(names: Sequence[str]) -> None:
    """Writes what is there to docs/figures.json; what `names` do not mean stays as it was recorded."""
    before = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    runs = dict(before.get("runs", {}))
    for figure, data in wanted(names):
        if found := measured(figure, data):
            runs[f"{data} {figure['name']}"] = found

    def there(data: str, *figures: str) -> bool:
        return all((MADE / data / split(one)[0] / "heads").exists() for one in figures)

    mn04 = "frozen/mn04"
    found: dict[str, dict[str, Any]] = {
        "comparisons": {
            f"{data} {one['run']} - {one['reference']}": compare(one, data)
            for one in PLAN["comparison"]
            for data in one["data"]
            if there(data, one["run"], one["reference"])
        },
        "salience": {
            f"{data} {name}": salience(data, *split(name)) for data, name in PLAN["salience"] if there(data, name)
        },
        "overfitting": {name: last_epoch(name) for name in PLAN["overfitting"] if there("urbansound8k", name)},
        "unheard": {
            f"{data} {other}": unheard(data, other, shared)
            for data, other, shared in PLAN["unheard"]
            if there(data, mn04) and there(other, mn04)
        },
        "precision": {data: precision(data) for data in PLAN["data"] if there(data, mn04)},
    }
    machine = {"processor": processor(), "threads": 1, "versions": versions()}
    kept = {name: {**before.get(name, {}), **new} for name, new in found.items()}
    content = {"machine": machine, "runs": runs, **kept}
    RECORDED.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def number(value: float) -> str:
    """.481, as the field writes accuracies; 1.000 keeps its 1."""
    return f"{value:.3f}".removeprefix("0")


def accuracy_cell(seeds: Seeds | None) -> str:
    """ ".481 ± .040; ± .020 (5 seeds)": mean, population deviation over folds, sample deviation over seeds."""
    if not seeds:
        return "–"
    spread = between_seeds(seeds)
    told = "" if spread is None else f"; ± {number(spread)} ({len(seeds)} seeds)"
    return f"{number(mean(seeds))} ± {number(between_folds(seeds))}{told}"


def comparison_cell(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"
    low, high = (f"{end:+.1f}" for end in found["interval"])
    p = "–" if found["p"] is None else "< .001" if found["p"] < 0.001 else number(found["p"])
    power = "" if found["clear"] or found["detectable"] is None else f" (could have shown {found['detectable']:.1f})"
    return f"{found['points']:+.1f} [{low}, {high}], p {p}: {'clear' if found['clear'] else 'not clear'}{power}"


def salience_cell(found: Mapping[str, float] | None) -> str:
    return "–" if found is None else f"{found['within_class']:+.1f} within class, {found['pooled']:+.1f} pooled"


def history_cells(last: Mapping[str, float] | None) -> list[str]:
    """Losses, accuracy, and the notes' metric in percent, as trained and with the training loss measured again."""
    if last is None:
        return ["–"] * 6
    trained, again, validation = last["train_loss"], last["train_loss_eval"], last["validation_loss"]
    metric = [f"{100 * (validation - loss) / loss:+,.0f} %" for loss in (trained, again)]
    return [*(f"{loss:.3f}" for loss in (trained, again, validation)), number(last["validation_accuracy"]), *metric]


def table(spec: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    """A Markdown table of the plan from what was recorded."""

    def cell(data: str, row: Sequence[str]) -> str:
        if spec["kind"] == "comparison":
            return comparison_cell(content["comparisons"].get(f"{data} {row[1]} - {row[2]}"))
        if spec["kind"] == "salience":
            return salience_cell(content["salience"].get(f"{data} {row[1]}"))
        figure, head = split(row[1])
        runs = content["runs"].get(f"{data} {figure}", {})
        return accuracy_cell(runs.get(head) if head else next(iter(runs.values()), None))

    lines = [["", *(TITLES.get(data, data) for data in spec["data"])]]
    for row in spec["rows"]:
        cells = CELLS.get(spec["kind"])
        whole = cells[1](content[cells[0]].get(row[1])) if cells else None
        lines.append([row[0], *(whole or (cell(data, row) for data in spec["data"]))])
    lines = [line for line in lines if any(text != "–" for text in line[1:])]
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([rows[0], "|---" * (1 + len(spec["data"])) + "|", *rows[1:]])


CELLS: dict[str, tuple[str, Callable[[Any], list[str]]]] = {
    "history": ("overfitting", history_cells),
    "unheard": ("unheard", unheard_cells),
    "precision": ("precision", precision_cells),
}
"""Of the tables whose rows are measured whole: where that stands in docs/figures.json, and how it is shown."""
TITLES = {"urbansound8k": "UrbanSound8K, 397 clips", "esc10": "ESC-10, 400 clips", "plus": "UrbanSound8K, 1,185 clips"}


def tables(*, only_check: bool) -> list[str]:
    """Puts the tables between their marks in README and docs; a line for each page that is not as recorded."""
    content, wrong = json.loads(RECORDED.read_text()), []
    made = {spec["name"]: table(spec, content) for spec in PLAN["table"]}

    def put(match: re.Match[str]) -> str:
        return f"{match[1]}\n{made[match[2]]}\n{match[3]}"

    def expected(match: re.Match[str]) -> str:
        figure, head = split(match[2])
        told = {data: content["runs"].get(f"{data} {figure}", {}) for data in PLAN["data"]}
        one = {data: runs.get(head) if head else next(iter(runs.values()), None) for data, runs in told.items()}
        lines = (f"#   {TITLES[data]}: {accuracy_cell(seeds)}\n" for data, seeds in one.items() if seeds)
        return f"{match[1]}{''.join(lines)}"

    for page in (ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted((ROOT / "configs").glob("*.toml"))):
        text = page.read_text()
        told = re.sub(r"(<!-- figures: ([\w-]+) -->)\n.*?(<!-- /figures -->)", put, text, flags=re.DOTALL)
        told = re.sub(r"(# figures: ([\w/:-]+).*\n)(?:#   .*\n)*", expected, told)
        if told != text and only_check:
            wrong.append(f"{page.name}: a figure is not what docs/figures.json says; run docs/figures.py tables")
        elif told != text:
            page.write_text(told)
    return wrong


def main() -> None:
    verb, *names = sys.argv[1:] or ["--help"]
    if verb == "run":
        with ThreadPoolExecutor(int(os.environ.get("FIGURE_JOBS", os.cpu_count() or 1))) as pool:
            list(pool.map(lambda work: make(*work), wanted(names)))
    if verb in ("run", "check"):
        wrong = check(names)
    elif verb == "record":
        wrong = record(names) or []
    elif verb == "tables":
        wrong = tables(only_check="--check" in names)
    else:
        raise SystemExit(__doc__)
    print("\n".join(wrong) or "Every figure is as recorded.")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
