"""The page of `soundprobe view`, in Chromium."""

from __future__ import annotations

import pytest
import soundfile
from browser_trial import made_predictions

from soundprobe.verbs.view import view
from sounds import RATE_HZ, tone


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_view_page_plays_from_disk_with_its_playhead_and_without_overflow(tmp_path, open_page, width):
    soundfile.write(tmp_path / "a rather <b>long name of a recording, with spaces.wav", tone(440, 1.5), RATE_HZ)
    seen = open_page(view(tmp_path).save(tmp_path / "view.html"), width=width, color_scheme="dark")
    page = seen.page
    page.get_by_role("button").click()
    page.wait_for_function("() => document.querySelector('audio').currentTime > 0.3")
    page.get_by_role("button").click()
    shown, heard = page.evaluate(
        """() => {
            const audio = document.querySelector('audio');
            const head = document.querySelector('.playhead').getBoundingClientRect();
            const box = document.querySelector('.spectrogram').getBoundingClientRect();
            return [(head.left + head.width / 2 - box.left) / box.width, audio.currentTime / audio.duration];
        }"""
    )
    assert shown == pytest.approx(heard, abs=0.01)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (seen.errors, seen.requests, seen.dialogs) == ([], [], [])


def test_segments_lie_where_they_sound_and_a_click_in_their_list_plays_from_there(tmp_path, open_page):
    seen = open_page(made_predictions(tmp_path).view().save(tmp_path / "view.html"), width=390)
    page = seen.page
    first, second = page.locator(".clip").nth(0), page.locator(".clip").nth(1)
    box = first.locator(".spectrogram").bounding_box()
    block = first.locator(".lane").nth(1).locator(".block").bounding_box()  # 0.5 to 2 s of 2 s
    assert block["x"] - box["x"] == pytest.approx(0.25 * box["width"], abs=1)
    assert block["width"] == pytest.approx(0.75 * box["width"], abs=1)
    first.get_by_role("button", name="siren").click()
    page.wait_for_function("() => document.querySelector('audio').currentTime > 1.1")
    assert first.get_by_role("button", name="siren").get_attribute("aria-current") == "true"
    assert first.get_by_role("button", name="dog").get_attribute("aria-current") is None
    second.get_by_role("button", name="dog").click()  # one sound at a time
    page.wait_for_function("() => document.querySelectorAll('audio')[0].paused")
    assert page.get_by_text("mean over the whole file").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert (seen.errors, seen.requests, seen.dialogs) == ([], [], [])


@pytest.mark.parametrize("make", [lambda folder: view(folder), made_predictions])
def test_notebook_object_shows_itself_in_a_frame_that_plays(tmp_path, open_page, make):
    soundfile.write(tmp_path / "clip.wav", tone(440, 1.0), RATE_HZ)
    (tmp_path / "notebook.html").write_text(f"<!doctype html>{make(tmp_path)._repr_html_()}")
    seen = open_page(tmp_path / "notebook.html")
    frame = seen.page.frame_locator("iframe")
    frame.locator(".play").first.click()
    frame.locator(".player.playing").wait_for()
    seen.page.frames[1].wait_for_function("() => document.querySelector('audio').currentTime > 0.1")
    assert (seen.errors, seen.requests) == ([], [])
