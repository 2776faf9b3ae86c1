"""Results on disk -> report.html, report.md and report.json."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from soundprobe.base.as_one import write_as_one
from soundprobe.base.errors import note
from soundprobe.base.files import json_text, path_name
from soundprobe.base.locks import locked
from soundprobe.base.remote import local, placed
from soundprobe.reporting.compared.baselines import given_models
from soundprobe.reporting.compared.comparison import comparisons_of, with_media
from soundprobe.reporting.compared.media import MAX_AUDIO_MB, MediaOptions
from soundprobe.reporting.compared.media_files import FOLDER, drop_unused
from soundprobe.reporting.content import content_of
from soundprobe.reporting.render.html import render_page
from soundprobe.reporting.render.markdown import render_markdown
from soundprobe.reporting.render.schema import build_document
from soundprobe.reporting.render.suspects_table import write_suspects
from soundprobe.reporting.runs.collect import Collection, collect_runs


@dataclass(frozen=True)
class ReportPaths:
    """The three files of a report, and the runs that it is of."""

    html: Path
    markdown: Path
    json: Path
    collection: Collection = field(repr=False, compare=False)


def write_report(
    heads_folder: str | Path,
    reports_folder: str | Path,
    *,
    dataset: str | None = None,
    baseline: str | None = None,
    title: str | None = None,
    data: str | Path | None = None,
    embeddings: str | Path = "embeddings",
    audio: bool = True,
    max_audio_mb: float = MAX_AUDIO_MB,
    single_file: bool = False,
    map_method: str = "pca",
    trials: bool = False,
) -> ReportPaths:
    """Writes the report of every run below `heads_folder`, or of those on `dataset`; only reads there.

    The files are `report.html` (needs no network) with its sounds in `report-audio/`, `report.md` and `report.json`
    (see docs/json.md): in `reports_folder`, or with `dataset` in the folder of that name below it. They
    change together (see `base.as_one`), and the same runs give the same bytes. A second writer waits. Where labels are
    doubted, `label-suspects.csv` stands beside them; see `write_suspects`.

    Args:
        baseline: the name of the user's own model, which the best run is compared with: an imported one, or any run.
            By default the only one that was imported; on UrbanSound8K, else, the notes' CNN.
        data: where the clips are, to be heard; None takes the place that they were extracted from.
        embeddings: the store that the map of the embeddings is drawn from.
        title: of the page.
        dataset: its name; where several are called so, "<name>@<beginning of the fingerprint>" is one of them.
        trials: also show runs of fewer clips or folds (`--limit`, `--only-fold`) beside those of all.
        audio, max_audio_mb: whether there are sounds, and how many million bytes they and their pictures may take.
        single_file: whether these are inside the page, which is then all that one needs.
        map_method: "pca", or "umap" for a map of either kind.

    Raises:
        ConfigError: `max_audio_mb` or `map_method` is not valid, UMAP's package is not installed, or no run, or
            several, have the name `baseline`.
        StoreError: there are no runs (on `dataset`), or `reports_folder` can't be written.
    """
    collection = replace(collect_runs(local(heads_folder)), baseline=baseline)
    folder = placed(reports_folder)
    several = len({run.record.dataset.identity for run in collection.runs}) > 1
    if dataset is not None:
        collection = collection.of_dataset(dataset)
        folder = folder / path_name(dataset)
    beside = folder / FOLDER
    options = MediaOptions(data, max_audio_mb, audio, local(embeddings), None if single_file else beside, map_method)
    if not trials:
        collection = collection.without_trials()
    compared = comparisons_of(collection.by_dataset(), collection.published, baseline, several=several)
    found = [replace(one, heads=os.fspath(heads_folder), embeddings=os.fspath(embeddings)) for one in compared]
    for one in found:
        names = [own.name for own in given_models(one.rows, one.published)]
        if one.own is None and names:
            note(
                f"{', '.join(names)} were imported on {one.shown_name}; --baseline NAME compares the best run with one."
            )
    paths = ReportPaths(folder / "report.html", folder / "report.md", folder / "report.json", collection)
    with locked(folder, wait=True):
        comparisons = with_media(found, options)
        content = content_of(comparisons, collection.unreadable, title)
        page, text = render_page(content), render_markdown(content)
        document = json_text(build_document(content))
        write_as_one(folder, "report", {paths.html.name: page, paths.markdown.name: text, paths.json.name: document})
        write_suspects(comparisons, folder)
        drop_unused(beside, (name for one in comparisons if one.media for name in one.media.files.used))
    return paths
