"""Predictions as a notebook, a terminal and a table show them."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import soundfile

from soundprobe.base.errors import ConfigError
from soundprobe.base.records import EncodedAudio
from soundprobe.predicting.prediction import Prediction, Segment, Timeline
from soundprobe.predicting.prediction_list import Predictions
from sounds import RATE_HZ, tone

CLASSES = ("dog", "<b>siren</b>", "p")


def said(name: str, proba: list[float], source=None, *, windows: int = 0) -> Prediction:
    starts = np.arange(windows) * 1.0
    timeline = Timeline(CLASSES, starts, starts + 1, np.tile(proba, (windows, 1))) if windows else None
    segments = (Segment(0.0, 1.0, "dog", 0.75), Segment(1.0, 2.0, "p", 0.5)) if windows else ()
    return Prediction(name, CLASSES, np.array(proba), 3, 2.0, 2.0, {}, timeline, segments, source=source)


@pytest.fixture
def some(tmp_path) -> Predictions:
    soundfile.write(tmp_path / "a.wav", tone(440, 2.0), RATE_HZ)
    return Predictions(
        [
            said("a.wav", [0.7, 0.2, 0.1], tmp_path / "a.wav", windows=2),
            said("x<i>\x1b[31m\n.wav", [0.1, 0.5, 0.4], EncodedAudio("array 2", partial(bytes, b"gone"))),
        ]
    )


def test_predictions_print_in_three_lines_without_a_strangers_codes(some):
    assert repr(some).splitlines() == [
        "2 clips, 4.0 s, 3 classes, 3 heads",
        "dog 1, <b>siren</b> 1",
        "least sure: x<i> [31m .wav, <b>siren</b> 50.0 %",
    ]
    assert repr(Predictions(some[:1])).splitlines() == [
        "a.wav: dog 70.0 %",
        "then <b>siren</b> 20.0 %, p 10.0 %",
        "2.0 s, 2 segments, 3 heads",
    ]
    one = replace(some[0], segments=some[0].segments[:1])
    assert repr(Predictions([one])).splitlines()[-1] == "2.0 s, 1 segment, 3 heads"
    assert repr(Predictions()) == "no predictions"


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_tables_have_a_row_a_clip_a_segment_and_a_window(some, library):
    def rows(of: str) -> list[dict]:
        table = getattr(some, f"to_{library}")(of)
        return table.to_dict("records") if library == "pandas" else table.to_dicts()

    assert rows("clips")[1] == {
        "clip": "x<i>\x1b[31m\n.wav",
        "class": "<b>siren</b>",
        "probability": 0.5,
        "duration_s": 2.0,
        "heard_s": 2.0,
        "novelty": None,
        "trained_on": False,
        "p_dog": 0.1,
        "p_<b>siren</b>": 0.5,
        "p_p": 0.4,
    }
    assert rows("segments") == [
        {"clip": "a.wav", "start_s": 0.0, "end_s": 1.0, "class": "dog", "probability": 0.75},
        {"clip": "a.wav", "start_s": 1.0, "end_s": 2.0, "class": "p", "probability": 0.5},
    ]
    assert [(row["start_s"], row["p_dog"]) for row in rows("windows")] == [(0.0, 0.7), (1.0, 0.7)]
    with pytest.raises(ConfigError, match="'clip'. Did you mean 'clips'"):
        rows("clip")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_table_of_a_library_that_is_not_installed_names_it(some, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=f"needs {library}, which is not installed: pip install {library}"):
        getattr(some, f"to_{library}")()


def test_predictions_show_a_player_and_a_table_in_a_notebook_with_every_name_escaped(some):
    shown = some._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert shown.count("data:audio/mpeg") == 1  # the other can't be decoded any more, which a note says
    for escaped in ("&amp;lt;b&amp;gt;siren", "x&amp;lt;i&amp;gt; [31m .wav", "array 2: not audio"):
        assert escaped in shown
    assert "<b>" not in shown
    assert "://" not in shown
