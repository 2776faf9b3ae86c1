"""The report as a reader meets it: opened from disk, in Chromium."""

from __future__ import annotations

import pytest
import soundfile
from browser_trial import HOSTILE

from soundprobe.verbs.view import view
from sounds import RATE_HZ, tone

AT = """root => {
    const [audio, head] = [root.querySelector('audio'), root.querySelector('.playhead').getBoundingClientRect()];
    const box = root.querySelector('.spectrogram').getBoundingClientRect();
    return {
        shown: (head.left + head.width / 2 - box.left) / box.width,
        heard: audio.currentTime / audio.duration,
        paused: audio.paused,
        duration: audio.duration,
    };
}"""


def test_page_opens_from_disk_without_network_or_error(trial, open_page):
    seen = open_page(trial.report.html)
    seen.page.wait_for_load_state("load")
    assert seen.page.locator("h1").inner_text().startswith("Sound embeddings")
    assert seen.requests == []
    assert seen.errors == []
    assert seen.dialogs == []


def test_hostile_class_name_is_shown_as_text(trial, open_page):
    seen = open_page(trial.report.html)
    assert HOSTILE in seen.page.locator("body").inner_text()
    assert seen.page.evaluate("document.querySelectorAll('[onerror], img[src=x]').length") == 0
    assert HOSTILE in seen.page.locator(".clips-list").inner_text()
    assert seen.dialogs == []


def test_click_on_a_heading_sorts_and_a_second_one_turns_it_round(trial, open_page):
    page = open_page(trial.report.html).page
    table = page.locator("#ranking-1 table.sortable")
    body = table.locator("tbody").first
    page.evaluate(  # one run alone can't be out of order: stand a copy with other figures beside it
        """table => {
            const body = table.tBodies[0], copy = body.rows[0].cloneNode(true);
            for (const cell of copy.cells) {
                if (cell.dataset.value && !isNaN(cell.dataset.value)) cell.dataset.value = 2 * cell.dataset.value + 1;
            }
            body.append(copy);
        }""",
        table.element_handle(),
    )
    heading = table.locator("th[data-kind=number]").nth(1)
    column = heading.evaluate("cell => cell.cellIndex")
    orders = []
    for _ in range(2):
        heading.locator("button").click()
        orders.append(
            [
                float(row.locator(":scope > *").nth(column).get_attribute("data-value"))
                for row in body.locator("tr").all()
            ]
        )
    assert len(orders[0]) >= 2
    assert orders[0] == sorted(orders[0], reverse=True)
    assert orders[1] == sorted(orders[1])
    assert orders[0] != orders[1]
    assert heading.get_attribute("aria-sort") == "ascending"


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_playhead_moves_in_step_with_the_sound(trial, open_page, motion):
    page = open_page(trial.report.html, reduced_motion=motion).page
    player = page.locator(".clips .player")
    page.locator(".clips-list tbody tr").first.focus()
    assert player.locator(".playhead").evaluate("head => getComputedStyle(head).opacity") == "0"
    player.get_by_role("button").click()
    seen = []
    for share in (0.15, 0.4, 0.7):
        page.wait_for_function(
            "([root, share]) => { const a = root.querySelector('audio'); return a.currentTime / a.duration >= share; }",
            arg=[player.element_handle(), share],
        )
        seen.append(player.evaluate(AT))
    # The sound goes on between a frame, or an event of the sound, and the look at both.
    lag = 0.06 if motion == "no-preference" else 0.2
    for state in seen:
        assert state["shown"] == pytest.approx(state["heard"], abs=lag)
    assert seen[0]["shown"] < seen[1]["shown"] < seen[2]["shown"]
    assert seen[0]["duration"] == pytest.approx(2.0, abs=0.03)
    player.get_by_role("button").click()
    # The browser tells the page of a pause a little later; from then on both must agree.
    page.wait_for_function(
        f"root => {{ const at = ({AT})(root); return at.paused && Math.abs(at.shown - at.heard) < 0.005; }}",
        arg=player.element_handle(),
    )


def test_click_into_the_spectrogram_plays_from_there_and_stops_what_played(tmp_path, open_page):
    for name in ("one.wav", "two.wav"):
        soundfile.write(tmp_path / name, tone(440, 2.0), RATE_HZ)
    page = open_page(view(tmp_path).save(tmp_path / "view.html")).page
    first, second = page.locator(".player").nth(0), page.locator(".player").nth(1)
    first.get_by_role("button").click()
    box = second.locator(".spectrogram").bounding_box()
    second.locator(".spectrogram").click(position={"x": 0.6 * box["width"], "y": 20})
    page.wait_for_function("root => !root.querySelector('audio').paused", arg=second.element_handle())
    state = second.evaluate(AT)
    assert 0.57 <= state["heard"] < 1
    assert first.evaluate(AT)["paused"]


def test_keyboard_plays_seeks_and_says_where_it_is(trial, open_page):
    page = open_page(trial.report.html).page
    player = page.locator(".clips .player")
    page.locator(".clips-list tbody tr").first.focus()
    slider = player.locator(".spectrogram")
    assert slider.get_attribute("role") == "slider"
    slider.focus()
    page.keyboard.press("End")
    assert float(slider.get_attribute("aria-valuenow")) == pytest.approx(2.0, abs=0.02)
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert float(slider.get_attribute("aria-valuenow")) == pytest.approx(0.05, abs=0.01)
    assert "0.1 of 2.0 seconds" in slider.get_attribute("aria-valuetext")
    page.keyboard.press("Space")
    page.wait_for_function("root => !root.querySelector('audio').paused", arg=player.element_handle())
    assert player.get_by_role("button").get_attribute("aria-label").startswith("Pause ")
    page.keyboard.press("Space")
    assert player.evaluate(AT)["paused"]


@pytest.mark.parametrize("width", [1280, 390, 320])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_layout_has_no_overflow(trial, open_page, width, scheme):
    page = open_page(trial.report.html, width=width, color_scheme=scheme).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = page.evaluate(
        """width => [...document.querySelectorAll('main *')].filter(part => {
            const box = part.getBoundingClientRect();
            return box.width && box.right > width + 1 && !part.closest('.scroll, .heard, svg');
        }).map(part => part.outerHTML.slice(0, 80))""",
        width,
    )
    assert outside == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    lightness = sum(int(part) for part in dark.removeprefix("rgb(").removesuffix(")").split(",")[:3])
    assert (lightness < 200) == (scheme == "dark")
