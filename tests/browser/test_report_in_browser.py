"""The report as a reader meets it: opened from disk, in Chromium."""

from __future__ import annotations

import base64
import hashlib

import pytest
from browser_trial import HOSTILE

from soundprobe.audio.decode import decode
from soundprobe.viewing.sound import encode_mp3

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
    assert HOSTILE in seen.page.locator(".gallery").inner_text()
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


def test_gallery_shows_the_most_confident_mistakes_first(trial, open_page):
    page = open_page(trial.report.html).page
    shown = page.locator(".gallery .player").evaluate_all("players => players.map(player => player.dataset.clip)")
    assert shown == sorted(trial.confidence, key=trial.confidence.get, reverse=True)
    assert page.locator(".gallery .origin").first.inner_text().startswith(shown[0])


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_playhead_moves_in_step_with_the_sound(trial, open_page, motion):
    page = open_page(trial.report.html, reduced_motion=motion).page
    player = page.locator(".gallery .player").first
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


def test_click_into_the_spectrogram_plays_from_there_and_stops_what_played(trial, open_page):
    page = open_page(trial.report.html).page
    first, second = page.locator(".gallery .player").nth(0), page.locator(".gallery .player").nth(1)
    first.get_by_role("button").click()
    box = second.locator(".spectrogram").bounding_box()
    second.locator(".spectrogram").click(position={"x": 0.6 * box["width"], "y": 20})
    page.wait_for_function("root => !root.querySelector('audio').paused", arg=second.element_handle())
    state = second.evaluate(AT)
    assert 0.57 <= state["heard"] < 1
    assert first.evaluate(AT)["paused"]


def test_keyboard_plays_seeks_and_says_where_it_is(trial, open_page):
    page = open_page(trial.report.html).page
    slider = page.locator(".gallery .spectrogram").first
    player = page.locator(".gallery .player").first
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


def click_point(page, clip: str) -> None:
    """Clicks, with the mouse, where the point of `clip` lies."""
    place = page.evaluate(
        """clip => {
            const map = document.querySelector('.map-of');
            const points = JSON.parse(map.querySelector('.map-data').textContent).points;
            const number = points.findIndex(point => point[0] === clip);
            const point = map.querySelector(`[data-point="${number}"]`);
            point.scrollIntoView({block: 'center', behavior: 'instant'});
            const box = point.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2];
        }""",
        clip,
    )
    page.mouse.click(*place)


def lonely_clips(page) -> list[str]:
    """The clips whose points have no other within 6 px, so that a click can mean no other."""
    return page.evaluate(
        """() => {
            const map = document.querySelector('.map-of');
            const told = JSON.parse(map.querySelector('.map-data').textContent).points;
            const at = [...map.querySelectorAll('.point')].map(point => {
                const box = point.getBoundingClientRect();
                return [told[point.dataset.point][0], box.left + box.width / 2, box.top + box.height / 2];
            });
            return at.filter(([clip, x, y]) =>
                at.every(([other, ox, oy]) => other === clip || Math.hypot(ox - x, oy - y) > 6)).map(([clip]) => clip);
        }"""
    )


def test_click_on_a_point_plays_the_clip_that_lies_there(trial, open_page):
    seen = open_page(trial.report.html)
    page = seen.page
    clips = lonely_clips(page)
    wrong = [clip for clip in clips if clip in trial.confidence]
    right = [clip for clip in clips if clip not in trial.confidence]
    assert wrong
    assert right
    for clip in (wrong[0], right[0]):  # the one's sound stands in the gallery, the other's with the map
        click_point(page, clip)
        page.wait_for_function(
            "() => { const a = document.querySelector('.map-player audio'); return a.currentTime > 0.2; }"
        )
        assert clip in page.locator(".map-said").inner_text()
        heard = page.locator(".map-player audio").get_attribute("src").removeprefix("data:audio/mpeg;base64,")
        (file,) = (trial.root / "clips").glob(f"audio/*/{clip}")
        expected = encode_mp3(decode(file.read_bytes(), sample_rate_hz=22_050, name=clip), 22_050)
        assert hashlib.sha256(base64.b64decode(heard)).digest() == hashlib.sha256(expected).digest()
        state = page.locator(".map-player .player").evaluate(AT)
        assert state["shown"] == pytest.approx(state["heard"], abs=0.06)
        assert page.locator(".map-player img").evaluate("image => image.naturalWidth") > 200
    assert seen.errors == []
    assert seen.requests == []


def test_keyboard_moves_over_the_map_and_enter_plays(trial, open_page):
    page = open_page(trial.report.html).page
    page.locator(".map .point[tabindex]").focus()
    before = page.evaluate("document.activeElement.dataset.point")
    for key in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    assert page.locator(".map .point[tabindex]").count() == 1
    assert page.evaluate("document.activeElement.getAttribute('role')") == "button"
    assert "fold" in page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_function("() => !document.querySelector('.map-player audio').paused")
    assert page.evaluate("document.activeElement.dataset.point") is not None
    assert before is not None


def test_classes_of_the_map_can_be_shown_alone(trial, open_page):
    page = open_page(trial.report.html).page
    shown = "() => [...document.querySelectorAll('.map .point')].filter(p => p.style.display !== 'none').length"
    assert page.evaluate(shown) == 36
    key = page.locator(".map-keys button").nth(1)
    key.click()
    assert page.evaluate(shown) == 12
    page.get_by_label("only mistakes").check()
    assert page.evaluate(shown) < 12
    key.click()
    page.get_by_label("only mistakes").uncheck()
    assert page.evaluate(shown) == 36
