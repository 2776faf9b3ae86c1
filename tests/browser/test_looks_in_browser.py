"""How the pages look and how they are reached: axe, keyboard, overflow cues, axes, the phone, and print."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from browser_trial import made_predictions

from result_folders import SAMPLE, write_result, write_run
from soundprobe.reporting.write import write_report

PRINTED_PX = 688  # an A4 page less its margins of 14 mm
OPEN_ALL = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
TAB_STOPS = """() => [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex]')]
    .filter((one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility({visibilityProperty: true})).length"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs that embed a clip in 10 to 12 ms, the best nearly always right, and a control of two seeds."""
    heads = tmp_path_factory.mktemp("looks") / "heads"
    for number, (backbone, accuracy) in enumerate((("mn04", 0.99), ("panns", 0.93), ("ast", 0.9))):
        folder = write_run(heads, SAMPLE, backbone, accuracy=accuracy)
        info = json.loads((folder / "result.json").read_text())
        info["backbone"]["seconds_per_clip"] = 0.010 + number / 1000
        write_result(folder, info)
    for seed in (0, 1):
        write_run(heads, SAMPLE, "mn04", "linear", 0.4, weights="random", key=f"00000000000{seed}", seed=seed)
    return write_report(heads, heads.parent / "reports").html


@pytest.fixture(scope="session")
def audit_page():
    """What axe finds wrong with a page, a line each. Without the package the tests are skipped; in CI they fail."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ModuleNotFoundError:
        reason = "axe-playwright-python is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    def audit(page) -> list[str]:
        found = Axe().run(page).response["violations"]
        return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]

    return audit


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_wrong_with_the_report(report, trial, open_page, audit_page, width, scheme):
    # Many runs have the most tables and charts, the trial has sounds and a map; each has both widths and schemes.
    path = report if (width, scheme) in ((1280, "light"), (390, "dark")) else trial.report.html
    seen = open_page(path, width=width, color_scheme=scheme)
    seen.page.evaluate(OPEN_ALL)
    assert audit_page(seen.page) == []
    assert (seen.requests, seen.errors) == ([], [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_wrong_with_the_page_of_view(tmp_path, open_page, audit_page, width, scheme):
    seen = open_page(made_predictions(tmp_path).view().save(tmp_path / "view.html"), width=width, color_scheme=scheme)
    assert audit_page(seen.page) == []
    assert (seen.requests, seen.errors) == ([], [])


def test_first_screen_answers_before_anything_is_scrolled(report, open_page):
    page = open_page(report).page
    for part in (".verdict", ".figures", ".checks", ".chart figcaption"):
        assert page.locator(part).bounding_box()["y"] < 900, part
    assert page.locator(".sure").get_attribute("open") is None
    told = page.locator(".dataset > :not(.sure, .chapter)").all_inner_texts()
    assert not any(word in " ".join(told) for word in ("Holm", "population", "p ="))


def test_checks_lead_to_their_place_below_the_contents_and_open_what_is_folded(report, open_page):
    page = open_page(report, reduced_motion="reduce").page
    page.locator(".checks a").first.click()
    page.wait_for_function("() => scrollY > 500")
    target = page.locator(page.locator(".checks a").first.get_attribute("href")).bounding_box()
    contents = page.locator(".contents").bounding_box()
    assert contents["y"] == pytest.approx(0, abs=1)
    assert target["y"] >= contents["height"] - 1
    page.wait_for_function("() => document.querySelector('.contents [aria-current]')?.textContent === 'Method'")
    page.evaluate("location.hash = '#cost-1'")
    page.wait_for_function("() => document.querySelector('#cost-1').open")


def test_keyboard_stops_once_at_each_table_and_the_arrows_go_along_its_headings(report, open_page):
    page = open_page(report).page
    assert page.evaluate(TAB_STOPS) <= 60
    page.evaluate(OPEN_ALL)
    stops = "(table) => [...table.querySelectorAll('thead button')].filter((one) => one.tabIndex >= 0).length"
    tables = page.locator("table.sortable").all()
    assert len(tables) >= 4
    assert all(table.evaluate(stops) == 1 for table in tables)
    headings = page.locator("#ranking-1 thead button")
    headings.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert headings.nth(2).evaluate("one => one === document.activeElement")
    page.keyboard.press("Enter")
    assert page.locator("#ranking-1 thead th").nth(2).get_attribute("aria-sort") == "descending"


def test_table_that_goes_on_beyond_its_frame_shows_it_and_can_be_reached(report, open_page):
    page = open_page(report, width=390).page
    frame = page.locator("#ranking-1 .scroll")
    frame.scroll_into_view_if_needed()
    assert "goes-on" in frame.get_attribute("class")
    assert frame.evaluate("one => getComputedStyle(one).maskImage") != "none"
    assert frame.get_attribute("tabindex") == "0"
    frame.evaluate("one => { one.scrollLeft = one.scrollWidth; }")
    page.wait_for_function("one => !one.classList.contains('goes-on')", arg=frame.element_handle())
    wide = open_page(report).page
    assert wide.locator("#ranking-1 .scroll").get_attribute("tabindex") is None
    assert wide.locator("#ranking-1 .scroll").evaluate("one => one.scrollWidth <= one.clientWidth")


def test_axes_in_percent_end_at_100_and_near_costs_lie_near_each_other_with_labels(report, open_page):
    page = open_page(report).page
    page.evaluate(OPEN_ALL)
    for figure in page.locator("figure.plotted").all():
        figure.scroll_into_view_if_needed()
        page.wait_for_function("figure => figure.dataset.drawn === 'yes'", arg=figure.element_handle())
        for said in figure.locator(".xtick text, .ytick text").all_text_contents():
            if said.endswith(" %"):
                assert 0 <= float(said.removesuffix(" %")) <= 100, said
    cost = page.locator("figure[data-plot='cost-1']")
    labels = [float(said) for said in cost.locator(".xtick text").all_text_contents()]
    assert len(labels) >= 3
    places = cost.evaluate("one => [...one.querySelectorAll('.point')].map((p) => p.getBoundingClientRect().x)")
    assert max(places) - min(places) < 0.2 * cost.bounding_box()["width"]


def test_choices_of_clips_stand_two_beside_each_other_on_a_phone(trial, open_page):
    page = open_page(trial.report.html, width=390).page
    first, second = (page.locator(".clips-choice label").nth(number).bounding_box() for number in (0, 1))
    assert first["y"] == pytest.approx(second["y"], abs=1)
    assert first["width"] == pytest.approx(second["width"], abs=1)
    assert page.locator(".clips-list img").first.bounding_box()["width"] > 100


def test_printed_page_holds_every_table_and_shows_what_is_folded(report, open_page):
    page = open_page(report, width=PRINTED_PX).page
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    cut = page.evaluate(
        """width => [...document.querySelectorAll('table, .chart .value')]
            .map((one) => one.getBoundingClientRect().right).filter((right) => right > width + 1)""",
        PRINTED_PX,
    )
    assert cut == []
    assert page.locator("#cost-1 table").is_visible()
    assert not page.locator(".contents").is_visible()
    assert page.locator(".checks .mark").first.evaluate("one => getComputedStyle(one).color") == "rgb(0, 0, 0)"
    size = page.locator(".part p").first.evaluate("one => parseFloat(getComputedStyle(one).fontSize)")
    assert size < 13  # 9.5 pt are 12.7 px
