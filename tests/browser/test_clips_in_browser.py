"""The clips of a report in a real browser: one selection on map, list, player and matrix, with mouse and keyboard."""

from __future__ import annotations

import shutil

import pytest
from browser_trial import HOSTILE

from result_folders import SAMPLE, write_run
from soundprobe.audio.decode import decode
from soundprobe.reporting.write import write_report
from soundprobe.viewing.sound import encode_mp3

NONE_CHOSEN = "Choose a clip on the map or in the list."
CURRENT = """() => ({
    row: document.querySelector('.clips-list tr[aria-selected=true] th')?.textContent ?? '',
    said: document.querySelector('.said').innerText,
    player: document.querySelector('.clips .player').getAttribute('aria-label'),
    playing: !document.querySelector('.clips audio').paused,
})"""
# Where the clips lie on the map, in pixels of the canvas, by what the page's own data say.
PLACES = """() => {
    const data = JSON.parse(document.querySelector('.clips-data').textContent);
    const canvas = document.querySelector('.map');
    const numbers = text => new Uint16Array(Uint8Array.from(atob(text), char => char.charCodeAt(0)).buffer);
    const [xs, ys] = data.maps[0].map(numbers);
    const [wide, high] = [canvas.clientWidth - 28, canvas.clientHeight - 28];
    return data.clips.map((clip, i) => [clip, 14 + xs[i] / 65534 * wide, 14 + (1 - ys[i] / 65534) * high]);
}"""


@pytest.fixture
def page(trial, open_page):
    seen = open_page(trial.report.html)
    yield seen.page
    assert (seen.errors, seen.requests, seen.dialogs) == ([], [], [])


def current(page) -> dict:
    return page.evaluate(CURRENT)


def listed(page) -> list[str]:
    return page.locator(".clips-list tbody th").all_text_contents()


def inked(page, colour: str) -> int:
    """How many pixels of the map have about the colour of this CSS variable."""
    return page.evaluate(
        """name => {
            const canvas = document.querySelector('.map');
            const hue = getComputedStyle(canvas).getPropertyValue(name).trim();
            const [r, g, b] = [1, 3, 5].map(at => parseInt(hue.slice(at, at + 2), 16));
            const copy = Object.assign(document.createElement('canvas'), {width: canvas.width, height: canvas.height});
            const pen = copy.getContext('2d', {willReadFrequently: true});
            pen.drawImage(canvas, 0, 0);
            const seen = pen.getImageData(0, 0, canvas.width, canvas.height).data;
            let count = 0;
            for (let at = 0; at < seen.length; at += 4) {
                const [dr, dg, db] = [seen[at] - r, seen[at + 1] - g, seen[at + 2] - b];
                if (seen[at + 3] > 200 && Math.abs(dr) + Math.abs(dg) + Math.abs(db) < 12) count += 1;
            }
            return count;
        }""",
        colour,
    )


def test_list_holds_every_clip_the_surest_mistakes_first(trial, page):
    mistakes = sorted(trial.confidence, key=trial.confidence.get, reverse=True)
    assert listed(page)[: len(mistakes)] == mistakes
    assert len(listed(page)) == 36
    page.locator("[name=set]").select_option("the worst mistakes")
    assert set(listed(page)) <= set(mistakes)


def test_click_on_the_map_chooses_and_plays_the_clip_that_lies_there(trial, page):
    page.locator(".clips-map").scroll_into_view_if_needed()
    places = page.evaluate(PLACES)
    alone = [
        one
        for one in places
        if all(other is one or abs(other[1] - one[1]) + abs(other[2] - one[2]) > 9 for other in places)
    ]
    kinds = [[one for one in alone if (one[0] in trial.confidence) is wrong] for wrong in (True, False)]
    assert all(kinds)
    for clip, x, y in (kinds[0][0], kinds[1][0]):
        page.locator(".map").click(position={"x": x, "y": y})
        page.wait_for_function("() => document.querySelector('.clips audio').currentTime > 0.2")
        state = current(page)
        assert state["row"] == clip
        assert clip in state["said"]
        assert state["player"].endswith(clip)
        heard = page.locator(".clips audio").get_attribute("src")
        assert heard.startswith("report-audio/")
        (file,) = (trial.root / "clips").glob(f"audio/*/{clip}")
        expected = encode_mp3(decode(file.read_bytes(), sample_rate_hz=22_050, name=clip), 22_050)
        assert (trial.report.html.parent / heard).read_bytes() == expected
        assert page.locator(".clips .player img").evaluate("image => image.naturalWidth") > 200


def test_selection_of_the_list_is_that_of_map_and_player(trial, page):
    before = inked(page, "--c0")
    assert before > 0
    page.locator(".clips-list tbody tr").first.click()
    assert current(page)["playing"]
    page.locator("[name=true]").select_option(index=2)  # the second class
    assert len(listed(page)) == 12
    assert inked(page, "--c0") == 0
    assert inked(page, "--c1") > 0
    assert page.locator(".keys button[aria-pressed=true]").count() == 1
    state = current(page)
    if state["row"] not in listed(page):  # what isn't chosen any more is neither told nor played
        assert (state["row"], state["said"], state["playing"]) == (
            "",
            "Choose a clip on the map or in the list.",
            False,
        )
    page.locator("[name=set]").select_option("wrong")
    assert set(listed(page)) <= set(trial.confidence)
    assert "mistakes" in page.locator(".clips-chosen .words").inner_text()
    page.keyboard.press("Escape")
    assert len(listed(page)) == 36
    assert inked(page, "--c0") == before
    assert page.locator("[name=true]").input_value() == ""


def test_old_clip_is_gone_when_the_filter_leaves_it_out(page):
    page.locator(".clips-list tbody tr").first.click()
    is_ = page.locator(".clips-list tr[aria-selected=true] td").nth(1).inner_text()
    other = next(i for i in (1, 2, 3) if page.locator(f"[name=true] option >> nth={i}").inner_text() != is_)
    page.locator("[name=true]").select_option(index=other)
    state = current(page)
    assert (state["row"], state["said"]) == ("", NONE_CHOSEN)
    assert page.locator(".heard-here").is_hidden()
    page.wait_for_function("() => document.querySelector('.clips audio').paused")


def test_keyboard_goes_through_the_list_plays_and_clears(page):
    first = page.locator(".clips-list tbody tr").first
    first.focus()
    order = listed(page)
    assert current(page)["row"] == order[0]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert current(page)["row"] == order[1]
    assert page.evaluate("document.activeElement.getAttribute('aria-selected')") == "true"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('.clips audio').currentTime > 0.1")
    page.keyboard.press("ArrowDown")  # while it plays, the next one plays
    page.wait_for_function("() => !document.querySelector('.clips audio').paused")
    assert current(page)["player"].endswith(order[2])
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('.clips audio').paused")
    page.keyboard.press("End")
    assert current(page)["row"] == order[-1]
    page.locator("[name=set]").select_option("wrong")
    page.keyboard.press("Escape")
    assert len(listed(page)) == 36
    assert page.locator(".clips-list tbody tr[tabindex='0']").count() == 1


def test_keyboard_moves_over_the_map(page):
    page.locator(".map").focus()
    seen = set()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
        seen.add(current(page)["row"])
    assert len(seen) > 2
    page.keyboard.press("Enter")
    page.wait_for_function("() => !document.querySelector('.clips audio').paused")
    assert page.evaluate("document.activeElement.className") == "map"


def test_confusion_cell_selects_its_clips_by_mouse_and_keyboard(trial, page):
    figure = page.locator("figure[data-plot='confusion-1']")
    figure.scroll_into_view_if_needed()
    page.wait_for_function("figure => figure.dataset.drawn === 'yes'", arg=figure.element_handle())
    box = figure.locator(".nsewdrag").bounding_box()
    # Row 0, column 1: the first class taken for the second, the only mistake that it makes.
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 6)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 6)
    page.wait_for_function("() => document.querySelectorAll('.clips-list tbody tr').length < 36")
    chosen = listed(page)
    assert chosen
    assert set(chosen) <= set(trial.confidence)
    bar = page.locator(".clips-bar")
    assert "heard as" in bar.inner_text()
    bar.get_by_role("button").click()
    assert len(listed(page)) == 36
    page.locator("details.as-table:has(table.square) summary").click()
    cells = page.locator("table.square .pick")
    assert cells.evaluate_all("all => all.filter(one => one.tabIndex === 0).length") == 1
    cells.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert listed(page) == chosen
    assert page.evaluate("document.activeElement.matches('.clips-list tr')")
    assert page.locator("table.square .pick[aria-pressed=true]").count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".pick[aria-pressed=true]").count() == 0


def test_recording_is_selected_from_its_table_and_from_its_clip(page):
    pick = page.locator("table .pick[data-pick*=recording]").first
    pick.click()
    recording = pick.inner_text()
    rows = page.locator(".clips-list tbody tr")
    assert rows.count() >= 1
    assert set(page.locator(".clips-list tbody td:last-child").all_text_contents()) == {recording}
    rows.first.click()
    page.keyboard.press("Escape")
    assert rows.count() == 36
    page.locator(".said button").click()
    assert set(page.locator(".clips-list tbody td:last-child").all_text_contents()) == {recording}


def test_search_finds_clips_by_their_names(page):
    wanted = listed(page)[7]
    page.get_by_label("Search").fill(wanted.upper())
    assert listed(page) == [wanted]
    page.get_by_label("Search").fill("no clip is called so")
    assert listed(page) == []
    assert page.locator(".said").inner_text() == "No clip is so."


def test_clips_take_few_stops_of_the_tab_key(page):
    stops = page.evaluate(
        """() => [...document.querySelectorAll('.clips :is(a, button, select, input, [tabindex])')]
            .filter(one => one.tabIndex >= 0 && !one.disabled && one.checkVisibility()).length"""
    )
    assert stops <= 12


def test_folder_that_was_not_copied_along_is_said_where_one_would_listen(trial, open_page, tmp_path):
    shutil.copy(trial.report.html, tmp_path / "report.html")
    seen = open_page(tmp_path / "report.html")
    seen.page.locator(".clips-list").scroll_into_view_if_needed()
    seen.page.locator(".clips-list tbody tr").first.click()
    seen.page.locator(".clips .missing").wait_for()
    assert "report-audio" in seen.page.locator(".clips .missing").inner_text()
    seen.page.wait_for_function(
        "() => /No sound: .*report-audio/.test(document.querySelector('.clips .elapsed').textContent)"
    )
    assert seen.requests == []


def test_single_file_plays_alone_and_shows_hostile_names_as_text(trial, open_page, tmp_path):
    report = write_report(
        trial.root / "heads", tmp_path / "reports", embeddings=trial.root / "embeddings", single_file=True
    )
    shutil.copy(report.html, tmp_path / "alone.html")
    seen = open_page(tmp_path / "alone.html", color_scheme="dark", width=390)
    seen.page.locator(".clips-list tbody tr").first.click()
    seen.page.wait_for_function("() => document.querySelector('.clips audio').currentTime > 0.1")
    assert HOSTILE in seen.page.locator(".clips-list").inner_text()
    assert seen.page.locator(".clips [onerror], .clips img[src=x]").count() == 0
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert (seen.errors, seen.requests, seen.dialogs) == ([], [], [])


def test_clip_that_a_run_did_not_test_is_no_mistake_of_it(tmp_path, open_page):
    write_run(tmp_path / "heads", SAMPLE, accuracy=0.8)
    write_run(tmp_path / "heads", SAMPLE, "panns", accuracy=0.8, folds=[1, 2])
    seen = open_page(write_report(tmp_path / "heads", tmp_path / "reports", trials=True).html)
    page = seen.page
    page.locator("[name=run]").select_option(index=1)
    page.locator("[name=set]").select_option("wrong")
    mistakes = listed(page)
    assert mistakes
    assert {clip.split("-")[1] for clip in mistakes} == {"1", "2"}
    page.locator("[name=set]").select_option("")
    page.locator("[name=text]").fill("clip-10-7")
    page.locator(".clips-list tbody tr").first.click()
    assert "not tested by this run" in page.locator(".said").inner_text()
    assert seen.errors == []


def test_class_is_selected_from_its_table(page):
    figure = page.locator("figure[data-plot='classes-1'] + details")
    figure.locator("summary").click()
    figure.locator("tbody .pick").first.click()
    assert len(listed(page)) == 12
    assert page.locator(".keys button[aria-pressed=true]").count() == 1
