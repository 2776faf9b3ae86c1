"""The rows of one data set, and what may be compared with what."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from soundprobe.base.errors import ConfigError
from soundprobe.base.files import path_name
from soundprobe.base.places import told
from soundprobe.base.stored import Identity
from soundprobe.data.audit.audit import Audit
from soundprobe.data.catalog import MADE_FOLDS
from soundprobe.reporting.compared.audited import audit_runs
from soundprobe.reporting.compared.baselines import (
    Baseline,
    OwnLead,
    OwnModel,
    PublishedHere,
    Standing,
    baselines_of,
    own_model,
)
from soundprobe.reporting.compared.grouping import rows_of
from soundprobe.reporting.compared.media import BYTES_OF_MB, Media, MediaOptions, Opened
from soundprobe.reporting.compared.media_files import MediaFiles
from soundprobe.reporting.compared.pairs import Pair, pair_all, pair_of, with_holm
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.compared.suspects import Suspects, suspects_of
from soundprobe.reporting.runs import marks
from soundprobe.reporting.runs.marks import is_finetuned_in_folds, leaves_leaks_out, weights_of
from soundprobe.reporting.runs.run import Run
from soundprobe.reporting.wording import one_line, plural
from soundprobe.scoring import notes
from soundprobe.scoring.published import Published, PublishedRecord
from soundprobe.scoring.run_names import data_labels, long_label

SOUND = "audio_sha256"
"""The column of clips that tells their bytes."""
HEADS, EMBEDDINGS = "heads", "embeddings"
"""Where commands look for these by themselves."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """One data set's rows, ranked.

    Attributes:
        rows: best mean accuracy first; then those without a rank, those that did not test every fold last.
        media: where the clips can be heard; None where nobody looked.
        published: fold scores without predictions, of this data or of the data that it is a sample of.
        own: the user's own model, which the best run is compared with.
        suspects_file: the table of its label suspects beside the report, see `suspects_files`.
        label: what to call the data set where others are called alike; "" for its name.
        several: whether there are results on others, so that a command must say which it means.
        heads, embeddings: where the report was told that these are, so that a command must say so.
    """

    rows: tuple[Row, ...]
    media: Media | None = None
    published: tuple[PublishedHere, ...] = ()
    own: OwnModel | None = None
    suspects_file: str = "label-suspects.csv"
    label: str = ""
    several: bool = False
    heads: str = HEADS
    embeddings: str = EMBEDDINGS

    @property
    def name(self) -> str:
        return str(self.rows[0].first.dataset["name"])

    @property
    def shown_name(self) -> str:
        """The data set's name as people read it, which no other of the report has."""
        return one_line(self.label or self.name)

    @property
    def fingerprint(self) -> str:
        return str(self.rows[0].first.dataset["fingerprint"])

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.rows[0].first.class_names

    @property
    def identity(self) -> Identity:
        return self.rows[0].first.record.dataset.identity

    @property
    def folds(self) -> tuple[int, ...]:
        return tuple(sorted(self.rows[0].first.dataset["folds"]))

    @property
    def clips(self) -> int:
        return int(max(row.first.dataset["clips"] for row in self.rows))

    @property
    def failed(self) -> int:
        return int(max(row.first.dataset["failed"] for row in self.rows))

    @property
    def has_seeds(self) -> bool:
        """Whether any row is of several seeds."""
        return any(len(row.runs) > 1 for row in self.rows)

    @property
    def ranked(self) -> tuple[Row, ...]:
        """The rows that tested every fold, best first; not shuffled labels or folds and carried-over networks.

        Nor has a run without leaks beside the same run with them: it is that run once more.
        """
        return tuple(row for row in self.rows if row.is_ranked and self._with_leaks(row) is None)

    def rank_of(self, row: Row) -> int | None:
        """The row's place among the contenders, from 1, shared by rows that are level; None for every control."""
        if not any(other is row for other in self.contenders):
            return None
        return next(place for place, other in enumerate(self.contenders, start=1) if _level(other, row))

    @property
    def why_unranked(self) -> str:
        """Why nothing is ranked, where nothing is: no row tested every fold, or those that did are no tests."""
        if not any(row.complete for row in self.rows):
            return "no run has tested every fold"
        return (
            "the runs that tested every fold are no test results (controls, carried-over networks, other folds, "
            "missing clips)"
        )

    @property
    def partial(self) -> tuple[Row, ...]:
        """The rows that did not test every fold; their means are of other clips and have no rank."""
        return tuple(row for row in self.rows if not row.complete)

    @property
    def best(self) -> Row | None:
        """The best ranked row that is no control; the best control where there is nothing else."""
        return next((row for row in self.ranked if not row.is_control), next(iter(self.ranked), None))

    @property
    def contenders(self) -> tuple[Row, ...]:
        """The ranked rows that are no controls, best first."""
        return tuple(row for row in self.ranked if not row.is_control)

    @cached_property
    def front(self) -> tuple[Row, ...]:
        """The contenders that no test tells from the best one, which comes first."""
        behind = [pair.row for pair in self.against_best if pair.verdict == "behind"]
        return tuple(row for row in self.contenders if row not in behind)

    @property
    def controls(self) -> tuple[Row, ...]:
        """The rows that are controls of any kind and tested every fold."""
        return tuple(row for row in self.rows if row.is_control and row.complete)

    @property
    def field(self) -> str:
        """How many contenders there are, and how many controls besides: "3 set-ups, besides 2 controls"."""
        besides = f", besides {plural(len(self.controls), 'control')}" if self.controls else ""
        return plural(len(self.contenders), "set-up") + besides

    @cached_property
    def against_best(self) -> tuple[Pair, ...]:
        """Every other contender against the best one, in the order of the ranking, with Holm's correction."""
        return with_holm(pair_all((row, self.contenders[0]) for row in self.contenders[1:]))

    @property
    def marked_folds(self) -> tuple[Published, ...]:
        """What was published of which some folds alone are test results: runs are shown on these, too."""
        return tuple(one.published for one in self.published if one.published.contamination)

    @property
    def pretrained(self) -> Row | None:
        """The best contender whose frozen network was pretrained."""
        return next((row for row in self.contenders if row.is_frozen_pretrained), None)

    @cached_property
    def baselines(self) -> tuple[Baseline, ...]:
        """The best row of each kind that does without pretraining, the best of them first."""
        return baselines_of(self.ranked, self.own)

    @cached_property
    def over_baselines(self) -> tuple[Pair, ...]:
        """The best pretrained row less each of `baselines`, in their order, with Holm's correction."""
        return (
            () if self.pretrained is None else with_holm(pair_all((self.pretrained, one.row) for one in self.baselines))
        )

    @cached_property
    def over_own(self) -> tuple[Pair, ...]:
        """Each contender less the user's own model, Holm-corrected; empty where its predictions aren't known."""
        own = self.own.row if self.own else None
        return with_holm(pair_all((row, own) for row in self.contenders if row is not own))

    @cached_property
    def lead_over_own(self) -> OwnLead | None:
        """The best run less the user's own model; None where there is no such model, or no run."""
        partial = (row for row in self.rows if not (row.is_ranked or row.is_control or marks.is_imported(row.first)))
        row = self.best or next(partial, None)
        if self.own is None or row is None:
            return None
        against = self.own.published.against(row) if self.own.published else None
        return OwnLead(self.own, row, pair_of(row, self.over_own), against)

    @cached_property
    def over_control(self) -> tuple[Pair, ...]:
        """Each row against its control, where it has one; every p as if it were the only one."""
        return pair_all((row, self.control_of(row)) for row in self.rows)

    @cached_property
    def against_controls(self) -> tuple[Pair, ...]:
        """Each contender against its control, with Holm's correction."""
        return with_holm([pair for pair in self.over_control if pair.row in self.contenders])

    @cached_property
    def without_leaks(self) -> tuple[Pair, ...]:
        """Each row that left leaking training clips out, against the row that is otherwise the same and kept them."""
        return with_holm(pair_all((row, self._with_leaks(row)) for row in self.rows))

    @cached_property
    def audit(self) -> Audit | None:
        """What its clips' folds share and hold; None where no run says the clips' recordings."""
        runs = [run for row in self.rows for run in row.runs]
        return audit_runs(runs, None if self.media is None else self.media.options.embeddings)

    @cached_property
    def suspects(self) -> Suspects | None:
        """The clips that may be labelled wrongly; None where no contender gives probabilities."""
        return suspects_of(self.contenders)

    def _with_leaks(self, row: Row) -> Row | None:
        """The row that is as `row`, which leaves leaks out, but for keeping them."""
        return self.without_setting(row, "exclude_leaks") if leaves_leaks_out(row.first) else None

    def without_setting(self, row: Row, name: str) -> Row | None:
        """The row that is as `row` but for its head's setting `name`, which it does not have."""
        mine = row.first
        settings = {other: value for other, value in mine.head["settings"].items() if other != name}
        return next(
            (
                other
                for other in self.rows
                if other is not row
                and mine.backbone["key"] == other.first.backbone["key"]
                and mine.info["kind"] == other.first.info["kind"]
                and (mine.head["name"] == other.first.head["name"] or mine.info["kind"] == "finetune")
                and settings == other.first.head["settings"]
            ),
            None,
        )

    @property
    def data_options(self) -> str:
        """The options by which a command opens these clips again, such as " --data UrbanSound8K/"; "" by default."""
        opened_as = (run.dataset.get("opened_as") for row in self.rows for run in row.runs)
        opened: Mapping[str, object] = next(filter(None, opened_as), {})
        usual = {"data": notes.DATASET, "folds": MADE_FOLDS}
        given = {name: value for name, value in opened.items() if value is not None and value != usual.get(name)}
        return "".join(f" --{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in given.items())

    @property
    def heads_option(self) -> str:
        """The option by which a command finds and keeps these runs; "" for its default."""
        return "" if self.heads == HEADS else f" --heads {shlex.quote(told(self.heads))}"

    @property
    def embeddings_option(self) -> str:
        """The option by which a command finds and keeps these embeddings; "" for its default."""
        return "" if self.embeddings == EMBEDDINGS else f" --embeddings {shlex.quote(told(self.embeddings))}"

    def probe_command(self, how: str = "", which: str = "") -> str:
        """`probe` on these clips' embeddings, `which` of them and of the heads, and `how`: options, or ""."""
        dataset = f"--dataset {shlex.quote(one_line(self.name))}" if self.several else ""
        asked = filter(None, ("soundprobe probe", which, dataset, how))
        return " ".join(asked) + self.embeddings_option + self.heads_option

    def control_of(self, row: Row) -> Row | None:
        """The best control with `row`'s backbone and kind of run: of the same head and settings, else of the same head.

        None for what has nothing pretrained about it, as a network trained from scratch or a baseline without weights,
        for what was fine-tuned before it was probed, whose lead would be the fine-tuning's as well, and where only
        other heads or other kinds of run were tried with random weights: more than the weights would differ.
        """
        mine = row.first
        if row.is_control or row.is_baseline or "random" in weights_of(mine) or is_finetuned_in_folds(mine):
            return None
        controls = [
            other
            for other in self.ranked
            if other.control == "random weights"
            and other.first.backbone["name"] == mine.backbone["name"]
            and other.first.info["kind"] == mine.info["kind"]
            and other.first.head["name"] == mine.head["name"]
        ]
        return max(controls, key=row.matches, default=None)


def _level(row: Row, other: Row) -> bool:
    """Whether both have the same mean accuracy, up to the rounding of a sum."""
    return math.isclose(row.accuracy.mean, other.accuracy.mean, rel_tol=1e-12)


def comparisons_of(
    datasets: Sequence[Sequence[Run]],
    published: Sequence[PublishedRecord] = (),
    baseline: str | None = None,
    *,
    several: bool = False,
) -> tuple[Comparison, ...]:
    """One comparison a data set, those of which fold scores were published first, then in the given order.

    Args:
        published: imported fold scores; baseline: the name of the user's own model, see `own_model`;
            several: whether there are results on other data sets as well.

    Raises:
        ConfigError: no run on any of the data sets has that name, or several have.
    """
    order = list(Standing)
    labels = data_labels(run.record for runs in datasets for run in runs)
    several = several or len(datasets) > 1
    found, missed = [], []
    for runs, file in zip(datasets, suspects_files(datasets), strict=True):
        data = runs[0].record.dataset
        label = labels[data.name, data.fingerprint]
        comparison = Comparison(tuple(rows_of(with_recordings(runs))), suspects_file=file, label=label, several=several)
        told = [one for one in published if one.dataset.identity == comparison.identity]
        here = (*known_before(comparison), *(PublishedHere(one.published, Standing.SAME) for one in told))
        try:
            own = own_model(comparison.rows, here, baseline)
        except ConfigError as error:
            missed.append(str(error) if len(datasets) == 1 else f"On {comparison.shown_name}, {error}")
            own = own_model(comparison.rows, here, None)
        found.append(replace(comparison, published=here, own=own))
    if missed and len(missed) == len(found):
        raise ConfigError(" ".join(missed))

    def standing(comparison: Comparison) -> int:
        return min((order.index(one.standing) for one in comparison.published), default=len(order))

    return tuple(sorted(found, key=standing))


def suspects_files(datasets: Sequence[Sequence[Run]]) -> list[str]:
    """The table of each data set's label suspects: by its name where there are several, and with the beginning of its
    fingerprint where others are called so.

    Data sets of one name whose clips sound the same share a table: their labels alone differ, some being corrected.
    """
    firsts = [runs[0] for runs in datasets]
    table: list[Run] = []
    for run in firsts:
        table.append(next((first for first, other in zip(table, firsts, strict=False) if same_sounds(other, run)), run))
    several = {run.path: run.record.dataset for run in table}.values()
    called = Counter(dataset.name for dataset in several)
    files = []
    for dataset in (run.record.dataset for run in table):
        label = dataset.name if called[dataset.name] == 1 else long_label(dataset.name, dataset.fingerprint)
        files.append(f"label-suspects{f'-{path_name(label)}' if len(several) > 1 else ''}.csv")
    return files


def same_sounds(run: Run, other: Run) -> bool:
    """Whether both are of a data set of one name and share clips, none of which is another sound in each."""
    _, mine, theirs = np.intersect1d(run.ids, other.ids, return_indices=True)
    if run.record.dataset.name != other.record.dataset.name or not len(mine):
        return False
    if not (SOUND in run.columns and SOUND in other.columns):  # older versions didn't keep it
        return True
    return bool((run.columns[SOUND][mine] == other.columns[SOUND][theirs]).all())


def known_before(comparison: Comparison) -> tuple[PublishedHere, ...]:
    """The notes' CNN, on UrbanSound8K: the only fold scores that nobody needs to import."""
    if not comparison.name.lower().startswith(notes.DATASET):
        return ()
    official = comparison.folds == tuple(notes.PUBLISHED.clips)
    whole = notes.DATASET_CLIPS in (comparison.clips, comparison.clips + comparison.failed)
    return (PublishedHere(notes.PUBLISHED, Standing.SAME if official and whole else Standing.SAMPLE),)


def with_media(comparisons: Sequence[Comparison], options: MediaOptions) -> tuple[Comparison, ...]:
    """The comparisons, each with its `media`; they share the room for clips equally."""
    opened: Opened = {}
    files = MediaFiles(options.folder)
    room = options.max_audio_mb * BYTES_OF_MB / max(len(comparisons), 1)
    return tuple(
        replace(one, media=Media(options, [run for row in one.rows for run in row.runs], room, opened, files))
        for one in comparisons
    )


def with_recordings(runs: Sequence[Run]) -> list[Run]:
    """The runs; one whose file does not say the clips' recordings takes them from another run on the same clips."""
    known = next((run for run in runs if run.groups is not None), None)
    if known is None or known.groups is None:
        return list(runs)
    recording = dict(zip(known.ids.tolist(), known.groups.tolist(), strict=True))
    return [
        replace(run, groups=np.array([recording[clip] for clip in run.ids.tolist()]))
        if run.groups is None and all(clip in recording for clip in run.ids.tolist())
        else run
        for run in runs
    ]
