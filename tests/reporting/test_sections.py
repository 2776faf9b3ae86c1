"""The report's sections: each says once what every format shows, and a new one is a file and its name in a list."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from importlib import resources
from pathlib import Path

import pytest
from pages import Page

from result_folders import SAMPLE, Data, write_run
from soundprobe.embeddings.store import set_folder
from soundprobe.reporting import sections
from soundprobe.reporting.compared.comparison import Comparison, comparisons_of, with_media
from soundprobe.reporting.compared.media import MediaOptions
from soundprobe.reporting.content import Content, Shown, content_of
from soundprobe.reporting.elements import (
    BREAK,
    Beside,
    Bullets,
    Cell,
    Column,
    Definitions,
    Element,
    Fold,
    Heading,
    Interactive,
    Line,
    Plotted,
    Span,
    Table,
    Text,
    code,
    joined,
    lead,
    name,
    on_page,
    struck,
)
from soundprobe.reporting.plots import Plot, Variant
from soundprobe.reporting.render.html import render_page, words_html
from soundprobe.reporting.render.markdown import render_markdown, words_markdown
from soundprobe.reporting.render.schema import DATASET_ORDER, ROW_ORDER, build_document
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.reporting.write import write_report

HOSTILE = "</td><script>alert(1)</script> | *x*"
NEW_SECTION = """
from soundprobe.reporting.elements import Column, Table, Text, name
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import run_name


def _show(comparison):
    yield Text("Names by their length, ", name("longest <first>"), ".")
    columns = [
        Column("Run", run_name, text=True),
        Column("Letters of its name", lambda row: len(row.name)),
    ]
    yield Table(columns, comparison.rows)


SECTION = Section("names", "How long names are", _show, lambda comparison: {"longest_name": comparison.rows[0].name})
"""


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """One data set on which every section has something to show, in words and figures of all kinds."""
    heads = tmp_path_factory.mktemp("sections") / "heads"
    history = [{"epoch": 1, "train_loss": 0.8, "train_loss_eval": 0.5, "validation_loss": 1.0}]
    first = write_run(heads, SAMPLE, "mn04", "linear", 0.83)
    write_run(heads, SAMPLE, "mn04", "linear", 0.43, weights="random")
    shuffled = {"control": "shuffled-labels", "shuffled_by": "recording"}
    write_run(heads, SAMPLE, "mn04", "knn", 0.1, head_settings=shuffled)
    write_run(heads, SAMPLE, "simplecnn", "finetune", 0.6, kind="finetune", weights="random", history=history)
    point = {"share": 1.0, "recordings": 20, "clips": 99, "accuracy": 0.8, "macro_f1": 0.7}
    curve = {"format": 1, "shares": [1.0], "folds": [{"fold": 1, "points": [point]}]}
    (first / "learning-curve.json").write_text(json.dumps(curve))
    del point["share"]
    few = {"format": 1, "shots": [1], "draws": 1, "folds": [{"fold": 1, "points": [{"shots": 1, "draw": 0, **point}]}]}
    (first / "shots.json").write_text(json.dumps(few))
    found = comparisons_of(collect_runs(heads).by_dataset())
    best = found[0].ranked[0].first.backbone
    folder = set_folder(heads.parent / "embeddings", found[0].name, str(best["name"]), str(best["key"]))
    folder.mkdir(parents=True)
    tags = [{"name": "Bark <b>", "mean": 0.5, "elsewhere": 0.1}, {"name": "Speech", "mean": 0.2, "elsewhere": 0.2}]
    heard = [{"name": "dog_bark", "clips": 9, "tags": tags}]
    (folder / "tags.json").write_text(json.dumps({"format": 1, "backbone": "mn04", "title": "mn04", "classes": heard}))
    (one,) = with_media(found, MediaOptions(embeddings=heads.parent / "embeddings"))
    return one


def test_a_new_section_is_one_file_and_its_name_in_the_list(tmp_path, monkeypatch):
    (tmp_path / "name_lengths.py").write_text(NEW_SECTION)  # the file
    monkeypatch.setattr(sections, "__path__", [*sections.__path__, str(tmp_path)])
    monkeypatch.setattr(sections, "ORDER", (*sections.ORDER, "name_lengths"))  # the line
    write_run(tmp_path / "heads", SAMPLE, accuracy=0.8)
    try:
        report = write_report(tmp_path / "heads", tmp_path / "reports")
    finally:
        sys.modules.pop("soundprobe.reporting.sections.name_lengths", None)
    page = Page(report.html)
    assert "names-1" in [attributes.get("id") for _, attributes in page.tags]
    assert "Names by their length, longest <first>." in page.blocks
    assert "mn04 · linear 13" in page.blocks
    text = report.markdown.read_text()
    assert "#### How long names are\n\nNames by their length, longest &lt;first&gt;.\n\n| Run | Letters" in text
    assert "| mn04 · linear | 13 |" in text
    (data,) = json.loads(report.json.read_text())["datasets"]
    assert data["longest_name"] == "mn04 · linear"


def test_keys_and_titles_of_sections_are_all_different():
    found = sections.sections()
    assert len(found) == len(sections.ORDER)
    for values in ([one.key for one in found], [one.title for one in found]):
        assert len(set(values)) == len(values)
    assert all(re.fullmatch("[a-z]+", one.key) for one in found)
    assert not {one.key for one in found} & {"notes", "unreadable", "unmeasured", "main", "data"}, (
        "taken by the page itself"
    )


def test_every_file_of_a_section_is_in_the_list():
    folder = resources.files(sections)
    files = {Path(str(one)).stem for one in folder.iterdir() if "\nSECTION = " in _text(one)}
    assert files == set(sections.ORDER)


def _text(file) -> str:
    return file.read_text(encoding="utf-8") if file.name.endswith(".py") else ""


@pytest.mark.parametrize("file", sections.ORDER)
def test_section_shows_something_in_every_format(file, comparison):
    (section,) = [one for one in sections.sections() if one.show.__module__.endswith(f".{file}")]
    elements = list(section.show(comparison))
    assert elements, "the fixture should have something for it"
    page, text = rendered(section.title, elements)
    card = re.search(r'<section class="part" id="tested".*?</section>', page, re.DOTALL)[0]
    assert len(re.sub(r"<script.*?</script>|<[^>]*>|\s", "", card, flags=re.DOTALL)) > len(section.title) + 20
    for one in _flat(elements):
        if isinstance(one, Table):
            assert one.lines
            assert all(one.placed(line) for line in (*one.lines, *one.lines_below))
    # A map that can't be drawn says so on the page only; what can is a line in Markdown.
    assert f"## {section.title}" in text or file == "embedding_map"


def test_facts_of_all_sections_are_the_documented_fields(comparison):
    content = content_of([comparison], ())
    (data,) = build_document(content)["datasets"]
    assert list(data) == DATASET_ORDER.split()
    assert all(list(row) == ROW_ORDER.split() for row in data["rows"])
    described = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    for field in (*DATASET_ORDER.split(), *ROW_ORDER.split()):
        assert f'"{field}"' in described, field


def test_two_sections_with_a_fact_of_one_name_are_refused(comparison, monkeypatch):
    monkeypatch.setattr(sections, "ORDER", (*sections.ORDER, "cost"))
    with pytest.raises(ValueError, match=r"'seconds'.*two sections"):
        build_document(content_of([comparison], ()))


def test_section_that_does_not_apply_has_no_heading_and_no_link(tmp_path):
    write_run(tmp_path / "heads", Data("bare", {1: 30, 2: 30}), accuracy=0.8, recordings=False)
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    shown = {attributes.get("id") for _, attributes in Page(report.html).tags}
    assert "ranking-1" in shown
    assert not shown & {"controls-1", "recordings-1", "learning-1", "training-1", "conditions-1"}
    assert "Training curves" not in report.markdown.read_text()


NO_CLIPS = {"symbols": [], "maps": [], "runs": [], "sets": [], "with_sound": False, "data": {"recordings": None}}
EVERY_KIND = [
    Text("Read ", name(HOSTILE), on_page(" on the page"), ".", role="how"),
    Heading(("Of ", name(HOSTILE))),
    Bullets([HOSTILE, ("a", BREAK, "b")], "caveats"),
    Definitions([("Term", (code(HOSTILE), Span("below", HOSTILE)))]),
    Table(
        [
            Column(HOSTILE, lambda one: one, name, text=True, sort="text"),
            Column("mean", lambda _: 1.0, group="Accuracy", sort="number", lead=True),
            Column(HOSTILE, lambda one: Cell(struck("2.0"), one, title=one, tint="7"), group="Accuracy", turned=True),
        ],
        [HOSTILE],
        label=HOSTILE,
        below=[[Span("tag", HOSTILE, style="notes"), Cell("", span=2)]],
    ),
    Plotted(Plot("key", HOSTILE, [Variant(HOSTILE, [{"name": HOSTILE}])], {}), [Text("the same")]),
    Fold(name(HOSTILE), [Text("folded")]),
    Beside([Text("left")], [Text("right")]),
    Interactive("clips.html", "It is in report.html.", NO_CLIPS),
]


def test_every_kind_of_element_is_rendered_in_both_formats_with_what_it_holds_escaped(tmp_path):
    assert {type(one) for one in EVERY_KIND} == set(Element.__subclasses__())
    page, text = rendered("Tested", EVERY_KIND)
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    parsed = Page(tmp_path / "page.html")  # it fails on tags that a name opened or closed
    assert len([one for one in parsed.of("script") if one.get("type") != "application/json"]) == 2
    assert "Read </td><script>alert(1)</script> | *x* on the page." in parsed.blocks
    assert "<script" not in re.sub(r"`[^`]*`", "", text)
    assert "on the page" not in text
    assert "It is in report.html." in text
    assert "- a; b" in text
    (start,) = [place for place, line in enumerate(text.split("\n")) if "Accuracy: mean" in line]
    table = text.split("\n")[start : start + 4]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {4}
    assert table[1] == "| --- | ---: | ---: |"
    assert "| 1.0 | ~~2.0~~ |" in table[2]


def test_words_keep_the_spaces_between_them():
    words = ("a ", name("b"), " c", joined([lead("1"), lead("2")]), Span("quiet", ""))
    assert words_markdown(words) == "a b c1, 2"
    assert words_html(words) == 'a <span class="name">b</span> c<b>1</b>, <b>2</b><span class="quiet"></span>'
    assert words_html(name("hear:a/<b>")) == '<span class="name">hear:<wbr>a/&lt;b&gt;</span>'


def test_cells_show_values_as_their_column_says_and_a_dash_for_none():
    table = Table(
        [
            Column("Run", str.upper, text=True),
            Column("Clips", len, "{:.1f}".format, sort="number", lead=True),
            Column("p", lambda _: None, sort="least"),
        ],
        ["abc"],
    )
    (line,) = table.lines
    assert line.cells == [Cell("ABC"), Cell(lead("3.0"), 3), Cell("–", "")]
    assert (table.sortable, table.naming, table.groups) == (True, 0, [])


def test_line_with_too_few_cells_is_no_table():
    table = Table([Column("a", str, text=True), Column("b", str)], [])
    with pytest.raises(AssertionError, match="1 cells for 2 columns"):
        table.placed(Line([Cell("x")]))


def test_plotly_is_the_recorded_file_and_draws_all_kinds_of_traces_that_the_page_has(comparison):
    static = resources.files("soundprobe.reporting") / "static"
    told = json.loads((static / "plotly.json").read_text(encoding="utf-8"))
    script = (static / told["file"]).read_bytes()
    assert hashlib.sha256(script).hexdigest() == told["sha256"]
    assert script.startswith(f"/* plotly.js v{told['packages']['plotly.js']}: scatter, heatmap */".encode())
    assert "MIT License" in (static / told["licence"]).read_text(encoding="utf-8")
    elements = [one for section in sections.sections() for one in _flat(section.show(comparison))]
    kinds = {
        trace["type"]
        for one in elements
        if isinstance(one, Plotted)
        for view in one.plot.variants
        for trace in view.data
    }
    assert kinds == {"scatter", *told["traces"]}, "the bundle has what the page draws, and no more"


def rendered(title: str, elements: list[Element]) -> tuple[str, str]:
    """A page and Markdown of one section, whose anchor is "tested"."""
    content = Content("A report", [], [Shown("tested", title, elements)], ())
    return render_page(content), render_markdown(content)


def _flat(elements) -> list[Element]:
    """The elements and those inside them."""
    found: list[Element] = []
    for one in elements:
        inside = [getattr(one, field, ()) for field in ("figures", "elements", "main", "margin")]
        found += [one, *(inner for some in inside for inner in _flat(some))]
    return found
