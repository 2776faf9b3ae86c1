"""What results print, and what a notebook shows of them."""

from __future__ import annotations

import sys

import pytest

from soundprobe.base.display import ROWS, Shown, ShownList
from soundprobe.base.errors import ConfigError
from soundprobe.base.records import Clips


class Named(Shown):
    def __init__(self, name: str) -> None:
        self.name = name

    def shown_lines(self):
        return self.name, "second"

    def shown_row(self):
        return {"name": self.name, "length": len(self.name)}


def test_what_a_stranger_named_is_one_line_of_text_in_print_and_in_html():
    shown = Named("a<b>\n\x1b[31mc")
    assert repr(shown).splitlines() == ["a<b> [31mc", "second"]
    assert shown._repr_html_() == "<p>a&lt;b&gt; [31mc<br>second</p>"


@pytest.mark.parametrize(("number", "lines"), [(0, ["none"]), (3, ["0", "1", "2"]), (9, ["0", "1", "and 7 more"])])
def test_list_prints_a_line_of_each_and_at_most_three(number, lines):
    assert repr(ShownList(map(Named, map(str, range(number))))).splitlines() == lines


def test_list_shows_a_row_of_each_and_counts_those_beyond_what_a_notebook_keeps():
    shown = ShownList(map(Named, map(str, range(ROWS + 3))))._repr_html_()
    assert shown.count("<td>") == 2 * ROWS
    assert '<th scope="col">name</th><th scope="col">length</th>' in shown
    assert "and 3 more" in shown
    assert ShownList()._repr_html_() == ""


def test_clips_print_in_three_lines_and_are_a_table_of_pandas_with_absolute_paths():
    clips = Clips("toy", ["a", "b"], ["x/a.wav", "x/b.wav"], [1, 0], [1, 2], ["a", "b"], ["dog", "cat"], folds_seed=0)
    assert repr(clips).splitlines() == [
        "toy: 2 clips, 2 classes, 2 folds (made); recordings unknown: every file counts as its own",
        "folds 1, 2",
        "cat 1, dog 1",
    ]
    assert "recordings</th>" not in clips._repr_html_()
    frame = clips.to_pandas()
    assert frame["class"].tolist() == ["cat", "dog"]
    assert [path.endswith("/x/a.wav") and path[0] == "/" for path in frame["path"]] == [True, False]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_table_of_clips_by_a_library_that_is_not_installed_is_one_clear_error(library, monkeypatch):
    clips = Clips("toy", ["a"], ["a.wav"], [0], [1], ["a"], ["dog"])
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=f"pip install {library}"):
        getattr(clips, f"to_{library}")()
