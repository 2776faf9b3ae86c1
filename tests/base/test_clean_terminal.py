from __future__ import annotations

import io
import json

import pytest
from rich.progress import Progress
from rich.table import Table

from soundprobe.base.clean_terminal import Terminal
from soundprobe.base.errors import (
    LONGEST,
    AudioError,
    Lacking,
    SoundprobeError,
    SoundprobeWarning,
    WeightsError,
    one_line,
)
from soundprobe.base.files import json_text

HOSTILE = "a\x1b[2J\x1b]8;;http://x\x07b\r\x9b31m\u202ec\u2028d\x7f\ud800"
SAID = "a [2J ]8;;http://x b 31mc d"


def is_harmless(text: str) -> bool:
    return text.replace("\n", "").isprintable()


@pytest.mark.parametrize(("text", "expected"), [(HOSTILE, SAID), ("  a \n b ", "a b"), ("é ü", "é ü")])
def test_one_line_of_any_name_is_printable(text: str, expected: str) -> None:
    assert one_line(text) == expected
    assert is_harmless(one_line(text))


@pytest.mark.parametrize("error", [SoundprobeError(HOSTILE), AudioError(HOSTILE, HOSTILE), SoundprobeWarning(HOSTILE)])
def test_errors_and_warnings_with_hostile_names_are_one_line_in_python_too(error: Exception) -> None:
    assert is_harmless(str(error))
    assert "\n" not in str(error)


def test_error_that_tells_a_name_of_a_megabyte_begins_and_ends_as_it_should() -> None:
    told = str(SoundprobeError(f"Unknown name {'a' * 2**20!r}. Available: b."))
    assert len(told) == LONGEST
    assert told.startswith("Unknown name 'aaa")
    assert told.endswith("aaa'. Available: b.")


def test_lacking_several_tells_each_on_a_line_of_its_own() -> None:
    lacking = Lacking()
    for name in ("a\nb", "c", "c"):  # what several lack is told once
        with lacking.noted():
            raise WeightsError(name)
    with pytest.raises(WeightsError, match=r"^a b\nc$"):
        lacking.tell()


def test_terminal_shows_hostile_names_as_text_wherever_they_stand() -> None:
    terminal = Terminal(file=io.StringIO(), force_terminal=True, color_system=None, width=200)
    table = Table(HOSTILE)
    table.add_row(HOSTILE)
    with terminal.capture() as shown:
        terminal.print(table)
        terminal.print(HOSTILE, "[bold]kept[/bold]\nbreak")
    assert is_harmless(shown.get())
    assert "kept\nbreak" in shown.get()
    bars = Progress(console=terminal)
    bars.add_task(HOSTILE, total=1)
    with terminal.capture() as shown:
        terminal.print(bars.get_renderable())
    assert is_harmless(shown.get())


def test_json_text_holds_hostile_names_without_sending_them() -> None:
    text = json_text({HOSTILE: [HOSTILE]})
    assert is_harmless(text)
    assert json.loads(text) == {HOSTILE: [HOSTILE]}
