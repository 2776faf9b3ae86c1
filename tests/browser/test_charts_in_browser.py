"""The report's charts in a real browser: drawn when seen, without a request, in the page's colours, names as text."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from soundprobe.reporting.write import write_report

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "reporting"))
from result_folders import Data, write_run

HOSTILE = ("<img src=x onerror=alert(1)>", "<b>bold</b>", "a&amp;b", "%{x}", "</script><script>alert(1)</script>")


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two contenders and a control on classes of hostile names."""
    heads = tmp_path_factory.mktemp("charts") / "heads"
    data = Data("hostile", {1: 60, 2: 60, 3: 60}, HOSTILE)
    write_run(heads, data, "mn04", "linear", 0.8)
    write_run(heads, data, "mn04", "knn", 0.6)
    write_run(heads, data, "mn04", "linear", 0.3, weights="random")
    return write_report(heads, heads.parent / "reports").html


def draw_all(page) -> int:
    """Opens what is folded, scrolls to every chart and waits for it; how many there are."""
    page.evaluate("document.querySelectorAll('details.part').forEach((part) => { part.open = true; })")
    figures = page.locator("figure.plotted").all()
    for figure in figures:
        figure.scroll_into_view_if_needed()
        page.wait_for_function("figure => figure.dataset.drawn === 'yes'", arg=figure.element_handle())
    return len(figures)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_charts_are_drawn_without_requests_errors_or_overflow(open_page, charts, scheme, width):
    seen = open_page(charts, width=width, color_scheme=scheme)
    assert draw_all(seen.page) >= 7
    assert (seen.requests, seen.errors, seen.dialogs) == ([], [], [])
    assert seen.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_charts_are_drawn_only_when_they_come_into_view(open_page, charts):
    page = open_page(charts).page
    assert page.locator("figure.plotted").last.get_attribute("data-drawn") is None


def test_charts_show_hostile_class_names_as_text(open_page, charts):
    seen = open_page(charts)
    draw_all(seen.page)
    ticks = seen.page.locator("figure[data-plot='classes-1'] .ytick text").all_text_contents()
    assert sorted(ticks) == sorted(HOSTILE)
    assert seen.page.locator("figure.plotted img").count() == 0
    assert seen.dialogs == []


def test_choosing_another_run_draws_its_confusions(open_page, charts):
    page = open_page(charts).page
    figure = page.locator("figure[data-plot='confusion-1']")
    figure.scroll_into_view_if_needed()
    page.wait_for_function("figure => figure.dataset.drawn === 'yes'", arg=figure.element_handle())
    shown = "figure => figure.querySelector('.canvas').data[0].z"
    before = figure.evaluate(shown)
    figure.locator("select").select_option(index=1)
    page.wait_for_function(
        "([figure, before]) => figure.querySelector('.canvas').data[0].z[0][0] !== before",
        arg=[figure.element_handle(), before[0][0]],
    )
    assert figure.evaluate(shown) != before


def test_charts_follow_the_systems_change_to_dark(open_page, charts):
    page = open_page(charts, color_scheme="light").page
    draw_all(page)
    font = "document.querySelector('figure.plotted .canvas').layout.font.color"
    light = page.evaluate(font)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"before => {font} !== before", arg=light)
    assert page.evaluate(font) == page.evaluate(
        "getComputedStyle(document.documentElement).getPropertyValue('--text').trim()"
    )


def test_tables_stand_in_for_charts_without_scripts_and_in_print(open_page, charts):
    page = open_page(charts, java_script_enabled=False).page
    assert page.locator("figure.plotted").first.is_hidden()
    assert page.locator("details.as-table table").first.is_visible()
    printed = open_page(charts).page
    draw_all(printed)
    printed.emulate_media(media="print")
    assert printed.locator("figure.plotted").first.is_hidden()
