from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pages import Page
from rich.console import Console

from result_folders import ESC10, SAMPLE, URBAN_CLASSES, Data, macro_f1_by_hand, write_result, write_run
from soundprobe.base.errors import StoreError
from soundprobe.reporting.render.html import plotly_script
from soundprobe.reporting.render.markdown import code, escape
from soundprobe.reporting.render.terminal import format_summary
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.reporting.wording import duration, lead_in_folds, one_line, percent, points
from soundprobe.reporting.write import ReportPaths, write_report
from soundprobe.scoring.paired_tests import sign_test

HOSTILE = "<img src=x onerror=alert(1)>"
FORBIDDEN = re.compile(r"\.9354|93\.54|93\.5|\.9400|94\.0")


def terminal(report: ReportPaths, width: int = 400) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(format_summary(report))
    return capture.get()


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> ReportPaths:
    """Names that would break out of HTML, Markdown and terminals, wherever a name may come from."""
    heads = tmp_path_factory.mktemp("hostile") / "heads"
    classes = (HOSTILE, "a|b\nc", "`*_[x](http://evil.example)_*`", "\u202eevil\x1b[31m", '"><script>alert(1)</script>')
    data = Data("hostile", {1: 30, 2: 30}, classes, fingerprint='"><script>alert(2)</script>')
    write_run(
        heads,
        data,
        "ast",
        accuracy=0.6,
        command='soundprobe probe --data "</code><script>alert(3)</script>" ```',
        head_settings={"<svg onload=alert(4)>": "</dd>|x"},
    )
    folder = heads / "hostile" / "<b>x" / "[red]y"
    folder.mkdir(parents=True)
    return write_report(heads, heads.parent / "reports", title="<i>title</i> | *x*")


def test_json_loads_and_holds_the_figures_by_hand(urban_report, urban_heads):
    document = json.loads(urban_report.json.read_text(encoding="utf-8"))
    (data,) = document["datasets"]
    assert (data["name"], data["clips"]) == ("urbansound8k", 8732)
    (published,) = data["published"]
    assert (published["name"], published["standing"], published["tests"]) == ("the notes' CNN", "same clips", [1])
    row = next(row for row in data["rows"] if row["name"] == "mn04 · linear")
    table = pq.read_table(urban_heads / row["runs"][0]["path"] / "predictions.parquet").to_pandas()
    by_fold = [part for _, part in table.groupby("fold")]
    accuracies = [float((part["label"] == part["predicted"]).mean()) for part in by_fold]
    f1s = [macro_f1_by_hand(part["label"].to_numpy(), part["predicted"].to_numpy()) for part in by_fold]
    assert [fold["accuracy"] for fold in row["folds"]] == pytest.approx(accuracies)
    assert [fold["macro_f1"] for fold in row["folds"]] == pytest.approx(f1s)
    for name, values in (("accuracy", accuracies), ("macro_f1", f1s)):
        assert row[name]["mean"] == pytest.approx(np.mean(values))
        assert row[name]["std_population"] == pytest.approx(np.std(values))
        assert row[name]["std_sample"] == pytest.approx(np.std(values, ddof=1))
    assert data["best"] == 0
    assert row["control"] is None  # the only control of its backbone has another head
    assert data["rows"][data["rows"][0]["control"]]["is_control"]
    assert document["unreadable"][0]["reason"].startswith("no predictions.parquet beside result.json; run again: ")
    assert [fold["contaminated"] for fold in document["notes"]["folds"]] == [False] + [True] * 9


def test_json_has_null_where_a_figure_does_not_exist(tmp_path):
    write_run(tmp_path / "heads", SAMPLE, folds=[3])
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    row = json.loads(report.json.read_text(), parse_constant=pytest.fail)["datasets"][0]["rows"][0]
    assert row["accuracy"]["std_sample"] is None
    assert row["rank"] is None


def test_page_shows_every_run_fold_by_fold_with_both_spreads(urban_report):
    document = json.loads(urban_report.json.read_text(encoding="utf-8"))
    page = Page(urban_report.html)
    for row in document["datasets"][0]["rows"]:
        folds = " ".join(percent(fold["accuracy"]) for fold in row["folds"])
        assert any(row["name"] in block and folds in block for block in page.blocks), row["name"]
        ends = row["intervals"]["accuracy"]
        spread = " / ".join(percent(row["accuracy"][name]) for name in ("std_population", "std_sample"))
        stats = f"{percent(row['accuracy']['mean'])} {percent(ends['low'])} to {percent(ends['high'])} {spread}"
        assert any(row["name"] in block and stats in block for block in page.blocks), row["name"]
    for name in URBAN_CLASSES:
        assert name in page.text


def test_page_is_well_formed_and_its_anchors_lead_somewhere(urban_report, sample_report, hostile_report):
    for report in (urban_report, sample_report, hostile_report):
        page = Page(report.html)  # the parser asserts that every tag is closed in its turn
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        named = [(attributes.get("aria-labelledby") or "") for _, attributes in page.tags]
        targets = [link["href"][1:] for link in page.of("a")] + [name for name in named if name]
        assert set(targets) <= set(ids)
        for heading in page.of("th"):
            assert "scope" in heading or "colspan" in heading or heading == {}


def test_page_asks_no_network(urban_report, hostile_report):
    for report in (urban_report, hostile_report):
        page = Page(report.html)
        for tag, attributes in page.tags:
            for name in ("src", "href", "srcset", "poster", "action", "data", "xlink:href"):
                value = attributes.get(name) or ""
                assert value.startswith(("#", "data:", "report-audio/")) or value == "", (tag, name, value)
            assert "url(" not in (attributes.get("style") or "")
        for style in page.styles:
            if style == plotly_script():
                continue  # it names addresses, none of which a drawn chart asks for; the policy would refuse it
            assert "url(" not in style
            assert "@import" not in style
            if not style.startswith("{"):  # the figures of charts hold names from data, which may be addresses
                assert "http" not in style
        policy = next(meta["content"] for meta in page.of("meta") if meta.get("http-equiv"))
        assert policy.startswith("default-src 'none'")


def test_page_shows_hostile_names_as_text(hostile_report):
    page = Page(hostile_report.html)
    assert HOSTILE in page.text
    assert "<i>title</i> | *x*" in hostile_report.html.read_text().replace("&lt;", "<").replace("&gt;", ">")
    assert page.of("img") == page.of("i") == []
    kinds = [attributes.get("type") for attributes in page.of("script")]
    assert set(kinds) == {None, "application/json"}
    assert kinds.count(None) == 2
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "\x1b" not in hostile_report.html.read_text()
    assert "\u202e" not in hostile_report.html.read_text()


def test_markdown_shows_hostile_names_as_text_and_keeps_its_tables(hostile_report):
    text = hostile_report.markdown.read_text(encoding="utf-8")
    outside_code = re.sub(r"(`+) .*? \1(?!`)|`[^`\n]*`", "", text)
    assert not re.search(r"<(img|script|i|b|svg)\b", outside_code)
    assert "](http" not in outside_code.replace("\\]", "")
    assert "\x1b" not in text
    for block in text.strip().split("\n\n"):
        rows = block.split("\n")
        if rows[0].startswith("| "):
            widths = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
            assert len(widths) == 1, block


def test_terminal_shows_hostile_names_as_text(hostile_report):
    text = terminal(hostile_report)
    assert "\x1b" not in text
    assert "[red]y" in text


def test_contamination_stands_wherever_the_notes_mean_does(urban_report, sample_report):
    for report in (urban_report, sample_report):
        page = Page(report.html)
        assert any(FORBIDDEN.search(block) for block in page.blocks)
        for block in page.blocks:
            if "notes" in block and FORBIDDEN.search(block):
                assert "contaminated" in block, block
        for path_text in (report.markdown.read_text(encoding="utf-8"), terminal(report)):
            lines = [line for line in path_text.splitlines() if "notes" in line and FORBIDDEN.search(line)]
            assert lines
            for line in lines:
                assert "contaminated" in line, line
            assert "only fold 1 counts" in path_text
        document = json.loads(report.json.read_text(encoding="utf-8"))
        assert "contaminated" in document["notes"]["contamination"]
        assert set(document["notes"]) >= {"contaminated_mean", "clean_fold"}


def test_nothing_is_said_of_the_notes_on_other_data(tmp_path):
    write_run(tmp_path / "heads", ESC10, accuracy=0.8)
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    page = Page(report.html)
    for text in (page.text, report.markdown.read_text(), terminal(report)):
        assert not re.search("notes|contaminated", text)
    assert json.loads(report.json.read_text())["notes"] is None


def test_controls_are_marked_in_every_table_and_chart(urban_report):
    page = Page(urban_report.html)
    rows = [block for block in page.blocks if "mn04 · mlp" in block]
    document = json.loads(urban_report.json.read_text(encoding="utf-8"))
    control = next(row for row in document["datasets"][0]["rows"] if row["tag"] == "random weights: control")
    # Chart, ranking, two fold tables, classes, settings and cost: the control's row is marked in each of the seven.
    assert len([block for block in rows if "random weights: control" in block]) >= 7
    mean = percent(control["accuracy"]["mean"])
    for text in (*rows, *urban_report.markdown.read_text().splitlines(), *terminal(urban_report).splitlines()):
        if "mn04 · mlp" in text and re.search(rf"\b{mean}\b", text) and "points" not in text:
            assert "random weights: control" in text, text


def test_seeds_are_one_row_with_their_number_and_spread(urban_report):
    document = json.loads(urban_report.json.read_text(encoding="utf-8"))
    row = document["datasets"][0]["rows"][0]
    assert [run["seed"] for run in row["runs"]] == [0, 1, 2]
    spread = percent(float(np.std([run["accuracy"]["mean"] for run in row["runs"]])))
    page = Page(urban_report.html)
    assert any(block.startswith("1 mn04 · mlp") and f" ± {spread} of 3 " in block for block in page.blocks)
    assert f"± {spread} (of 3)" in urban_report.markdown.read_text()
    assert f"[3 seeds, ± {spread} between them]" in terminal(urban_report)
    folds = f"± {percent(row['accuracy']['std_population'])} points between folds (population standard deviation)"
    assert f"{folds}, ± {spread} between its 3 seeds" in page.text


def test_contaminated_mean_stands_in_no_table_of_the_terminal_where_it_can_t_be_struck_out(urban_report, sample_report):
    for report in (urban_report, sample_report):
        (line,) = [line for line in terminal(report).splitlines() if FORBIDDEN.search(line)]
        assert line.startswith("The mean of the notes' CNN, 93.5 %, is contaminated")


def test_set_ups_are_counted_in_the_list_of_data_sets(tmp_path):
    for data in (ESC10, SAMPLE):
        write_run(tmp_path / "heads", data, accuracy=0.8)
        write_run(tmp_path / "heads", data, head="knn", accuracy=0.7)
        write_run(tmp_path / "heads", data, accuracy=0.4, weights="random")
    page = write_report(tmp_path / "heads", tmp_path / "reports").html.read_text()
    assert page.count("<small>2 set-ups, besides 1 control</small>") == 2
    assert "3 set-ups" not in page


def test_weights_whose_label_says_their_kind_are_named_once(sample_report, tmp_path):
    folder = write_run(tmp_path / "heads", SAMPLE, accuracy=0.8)
    info = json.loads((folder / "result.json").read_text())
    info["backbone"]["weights_label"] = "pretrained (resnet18.a1_in1k)"
    write_result(folder, info)
    text = write_report(tmp_path / "heads", tmp_path / "reports").markdown.read_text()
    assert "- **Weights**: pretrained (resnet18.a1_in1k) (sha256" in text
    assert "pretrained: pretrained" not in text
    assert "- **Weights**: pretrained: AudioSet (sha256" in sample_report.markdown.read_text()


def test_clips_that_are_all_right_are_said_to_be_at_least_so_many_percent_everywhere(tmp_path):
    """36 clips of as many recordings; no interval of any output is without width."""
    data = Data("mine", dict.fromkeys((1, 2, 3, 4), 9), ("a", "b", "c"), fingerprint="36")
    for backbone in ("mn04", "panns"):
        write_run(tmp_path / "heads", data, backbone, accuracy=2.0, recordings=False)
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    page, markdown = Page(report.html).text, report.markdown.read_text()
    for text in (page, markdown, terminal(report)):
        assert "at least 90.4" in text
        assert not re.search(r"\b(\d+\.\d) to \1\b", text), "an interval without width"
    assert "level with it, equal in all 4 folds: not a clear difference (95 % interval −9.6 to +9.6; p = 1)" in page
    intervals = list(intervals_in(json.loads(report.json.read_text())))
    assert len(intervals) > 20
    assert all(one["low"] is None or one["high"] - one["low"] > 0.01 for one in intervals)


def intervals_in(value: object) -> Iterator[dict]:
    """Whatever in a document has both ends of an interval."""
    if isinstance(value, dict) and {"low", "high", "level"} <= set(value):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from intervals_in(item)


@pytest.mark.parametrize(
    ("differences", "said"),
    [
        ([0.1] * 10, "ahead in all 10 folds"),
        ([0.0] * 10, "equal in all 10 folds"),
        ([-0.1] * 4, "behind in all 4 folds"),
        ([0.1], "ahead in 1 fold"),
        ([0.1, 0.1, 0.1, 0.0, 0.0, -0.1], "ahead in 3, equal in 2 of 6 folds"),
        ([0.1, -0.1, -0.2], "ahead in 1 of 3 folds"),
        ([0.0, -0.1, -0.2], "equal in 1, behind in 2 of 3 folds"),
    ],
)
def test_lead_in_folds_names_ties(differences, said):
    assert lead_in_folds(sign_test(differences)) == said


def test_damaged_run_is_listed_with_its_reason_everywhere(urban_report):
    for text in (Page(urban_report.html).text, urban_report.markdown.read_text(), terminal(urban_report)):
        assert re.search(r"urbansound8k/ast-\w+/linear-\w+\W+[Nn]o predictions", text.replace("`", "")), text[-400:]


def test_report_is_the_same_for_the_same_runs(urban_heads, urban_report, tmp_path):
    again = write_report(urban_heads, tmp_path)
    for name in ("html", "markdown", "json"):
        assert getattr(again, name).read_bytes() == getattr(urban_report, name).read_bytes()
    shown = [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert sorted(shown) == ["report.html", "report.json", "report.md"]


def test_report_of_two_data_sets_has_a_part_for_each_and_can_be_of_one(tmp_path):
    write_run(tmp_path / "heads", ESC10)
    write_run(tmp_path / "heads", SAMPLE)
    both = write_report(tmp_path / "heads", tmp_path / "reports")
    assert [data["name"] for data in json.loads(both.json.read_text())["datasets"]] == ["urbansound8k", "esc10"]
    one = write_report(tmp_path / "heads", tmp_path / "reports", dataset="esc10", title="Only ten")
    assert one.html == tmp_path / "reports" / "esc10" / "report.html"
    assert "urbansound8k" not in one.html.read_text()
    assert "<h1>Only ten</h1>" in one.html.read_text()
    with pytest.raises(StoreError, match="Did you mean 'esc10'"):
        write_report(tmp_path / "heads", tmp_path / "reports", dataset="esc1o")


def test_report_into_a_place_that_is_a_file_is_one_clear_line(tmp_path):
    write_run(tmp_path / "heads", SAMPLE)
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(StoreError, match="Can't write"):
        write_report(tmp_path / "heads", tmp_path / "reports")


def test_report_without_runs_writes_nothing(tmp_path):
    with pytest.raises(StoreError, match="soundprobe probe"):
        write_report(tmp_path / "heads", tmp_path / "reports")
    assert list(tmp_path.iterdir()) == []


def test_report_of_forty_runs_shows_all_of_them(tmp_path):
    small = Data("many", {1: 40, 2: 40}, URBAN_CLASSES)
    for number in range(40):
        write_run(
            tmp_path / "heads", small, f"timm:a_backbone_with_a_long_name_{number:02d}", accuracy=0.3 + number / 60
        )
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    text = Page(report.html).text
    assert all(text.count(f"timm:a_backbone_with_a_long_name_{number:02d} · linear") >= 6 for number in range(40))


def test_summary_prints_plainly_without_rich(sample_report):
    text = str(format_summary(sample_report))
    assert "mn04 · linear" in text
    assert "[random weights: control]" in text
    assert text == str(format_summary(sample_report.collection))
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("air_conditioner", "air_conditioner"),
        ("_a_", "\\_a\\_"),
        ("a|b", "a\\|b"),
        ("<b>", "&lt;b&gt;"),
        ("a\nb", "a b"),
        ("&lt;", "&amp;lt;"),
        ("[x](y)", "\\[x\\](y)"),
    ],
)
def test_escape_shows_markdown_literally(raw, shown):
    assert escape(raw) == shown


def test_code_span_outlasts_backticks_in_its_text():
    assert code("a") == "`a`"
    assert code("a ``b`` `c`") == "``` a ``b`` `c` ```"


def test_wording_of_numbers():
    assert (percent(0.83125), percent(float("nan")), percent(None), percent(0.5, 0)) == ("83.1", "–", "–", "50")
    assert (f"{0.5475:.3f}", percent(0.5475), points(0.5475)) == ("0.547", "54.7", "+54.7")  # below .5475 in binary
    assert (points(0.104), points(-0.104), points(-0.0001)) == ("+10.4", "−10.4", "0.0")
    times = (0.0123, 0.421, 12.3, 200, 7500)
    assert [duration(seconds) for seconds in times] == ["12 ms", "0.42 s", "12 s", "3 min 20 s", "2 h 5 min"]
    assert one_line("a\u2028b\x00\u202ec\td") == "a b c d"


def test_collection_of_urban_runs_counts_them(urban_heads: Path):
    collection = collect_runs(urban_heads)
    assert (len(collection.runs), len(collection.unreadable)) == (8, 1)
