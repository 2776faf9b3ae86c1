from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

import soundprobe
from soundprobe.base.errors import AudioError, ConfigError, DataError, SoundprobeWarning
from soundprobe.base.records import Segment
from soundprobe.viewing.player import clock, time_ticks
from soundprobe.viewing.strip import strip_of
from sounds import RATE_HZ, tone


def write(path: Path, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(440, seconds), RATE_HZ)
    return path


def tags(text: str) -> list[tuple[str, dict[str, str | None]]]:
    found = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.append((tag, dict(attrs)))

    Parser().feed(text)
    return found


def test_view_of_a_clip_is_one_page_with_sound_picture_and_facts(tmp_path):
    page = soundprobe.view(write(tmp_path / "a clip.flac")).save(tmp_path / "out" / "page.html")
    text = page.read_text(encoding="utf-8")
    assert "0.50 s, 22,050 Hz, mono" in text
    (audio,) = [attributes for tag, attributes in tags(text) if tag == "audio"]
    assert audio["src"].startswith("data:audio/mpeg;base64,")
    for tag, attributes in tags(text):
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)


def test_view_of_a_folder_has_each_clip_and_says_what_is_left_out(tmp_path):
    for number in range(5):
        write(tmp_path / "clips" / "sub" / f"clip-{number}.wav")
    (tmp_path / "clips" / "bad.wav").write_bytes(b"")
    (tmp_path / "clips" / "notes.txt").write_text("no sound")
    (tmp_path / "clips" / "._hidden.wav").write_bytes(b"AppleDouble")
    with pytest.warns(SoundprobeWarning, match=r"1 file below .* is left out, .* \(\.txt: 1\)"):
        shown = soundprobe.view(tmp_path / "clips", limit=4)
    assert [clip.name for clip in shown.clips] == ["clip-0.wav", "clip-1.wav", "clip-2.wav"]
    assert any("bad.wav is not shown: empty file." in note for note in shown.notes)
    assert any("first 4 of 6 clips" in note for note in shown.notes)


def test_hostile_name_is_text_on_the_page_and_in_the_notebook(tmp_path):
    shown = soundprobe.view(write(tmp_path / '"><img src=x onerror=alert(1)>\x1b[2J\u202e.wav'))
    assert shown.html().replace("\n", "").isprintable()
    assert not [tag for tag in tags(shown.html()) if "onerror" in tag[1]]
    framed = tags(shown._repr_html_())
    assert [tag for tag, _ in framed] == ["iframe"]
    assert framed[0][1]["sandbox"] == "allow-scripts"
    assert framed[0][1]["srcdoc"] == shown.html()


def test_view_of_a_name_that_is_not_utf8_is_written_with_escapes(tmp_path):
    clip = write(tmp_path / "clips" / "a.wav")
    try:
        os.rename(os.fsencode(clip), os.fsencode(clip.parent) + b"/\xe9.wav")
    except OSError:
        pytest.skip("this file system takes no such name")
    page = soundprobe.view(tmp_path / "clips").save(tmp_path / "page.html")
    assert r"\udce9.wav" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda folder: folder / "none.wav", AudioError, "missing file"),
        (lambda folder: folder, DataError, "holds no audio files"),
        (lambda folder: [], DataError, "No clip given"),
    ],
)
def test_nothing_to_view_is_one_clear_line(tmp_path, make, error, message):
    with pytest.raises(error, match=message):
        soundprobe.view(make(tmp_path))


def test_clip_with_nan_is_one_clear_line(tmp_path):
    soundfile.write(tmp_path / "nan.wav", np.full(1000, np.nan, dtype=np.float32), RATE_HZ, subtype="FLOAT")
    with pytest.raises(AudioError, match="NaN or infinite samples"):
        soundprobe.view(tmp_path / "nan.wav")
    with pytest.raises(DataError, match="None of the 1 clips"):
        soundprobe.view(tmp_path)


def test_limit_below_1_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--limit 0"):
        soundprobe.view(write(tmp_path / "a.wav"), limit=0)


def test_clip_beyond_the_size_of_the_page_is_named_and_left_out(tmp_path):
    for name, seconds in (("a.wav", 0.5), ("b.wav", 20.0), ("c.wav", 0.5)):
        write(tmp_path / name, seconds)
    whole = soundprobe.view(tmp_path)
    short, long, _ = (clip.page_bytes for clip in whole.clips)
    shown = soundprobe.view(tmp_path, max_mb=2.5 * short / 1e6)
    assert long > 2 * short
    assert [clip.name for clip in shown.clips] == ["a.wav", "c.wav"]
    (note,) = shown.notes
    assert "b.wav; --max-mb" in note
    enough = float(note.split("--max-mb ")[1].split()[0])
    assert len(soundprobe.view(tmp_path, max_mb=enough).clips) == 3
    with pytest.raises(DataError, match=r"fits on the page.*b\.wav"):
        soundprobe.view(tmp_path / "b.wav", max_mb=short / 1e6)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_size_of_the_page_that_is_none_is_refused(tmp_path, value):
    with pytest.raises(ConfigError, match="--max-mb"):
        soundprobe.view(write(tmp_path / "a.wav"), max_mb=value)


def test_command_writes_the_page_and_imports_no_torch(tmp_path):
    write(tmp_path / "a.wav")
    script = (
        "import sys; sys.argv = ['soundprobe', 'view', 'a.wav', '--to', 'a.html']\n"
        "from soundprobe.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "view -> a.html" in done.stdout
    assert (tmp_path / "a.html").stat().st_size > 5000


def test_command_on_a_folder_with_a_bad_clip_writes_the_page_and_exits_3(tmp_path):
    write(tmp_path / "clips" / "a.wav")
    (tmp_path / "clips" / "bad.wav").write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "-m", "soundprobe", "view", "clips", "--to", "a.html"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3, done.stderr
    assert "bad.wav is not shown: empty file." in done.stdout
    assert (tmp_path / "a.html").exists()


def test_ticks_are_few_and_round():
    assert [text for _, text in time_ticks(4.0)] == ["0 s", "0.5 s", "1 s", "1.5 s", "2 s", "2.5 s", "3 s", "3.5 s"]
    assert all(len(time_ticks(seconds)) <= 9 for seconds in (0.05, 1, 61, 599, 3600))
    assert clock(125) == "2:05"


def test_view_of_channels_that_cancel_says_so_and_shows_the_channel_that_is_asked_for(tmp_path):
    wave = tone(440, 0.5)
    soundfile.write(tmp_path / "apart.wav", np.stack([wave, -wave], axis=1), RATE_HZ)
    said = "1 clip is all but silent when the channels are mixed (apart.wav): --channels first, or loudest."
    assert said in soundprobe.view(tmp_path / "apart.wav").notes
    assert said not in soundprobe.view(tmp_path / "apart.wav", channels="loudest").notes
    with pytest.raises(ConfigError, match="'both'"):
        soundprobe.view(tmp_path / "apart.wav", channels="both")


LABELS = {
    "csv": "start,end,label,probability\n0,0.2,dog,0.75\n0.1,0.4,<b>cat</b>,\n",
    "semicolons": "clip;onset;offset;event_label\nx\\a.wav;0;0,2;dog\nb.wav;0;1;owl\n/x/a.wav;0.1;0.4;<b>cat</b>\n",
    "jsonl": '{"clip": "a.wav", "start_s": 0, "end_s": 0.2, "label": "dog", "probability": 0.75}\n'
    '{"clip": "a.wav", "start_s": 0.1, "end_s": 0.4, "label": "<b>cat</b>"}\n',
    "audacity": "0.000000\t0.200000\tdog\n\\\t100.0\t2000.0\n0.1\t0.4\t<b>cat</b>\n",
    "raven": "Selection\tView\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tSpecies\tConfidence\n"
    "1\tWaveform 1\t60.0\t60.2\ta.wav\t0.0\tdog\t0.75\n1\tSpectrogram 1\t60.0\t60.2\ta.wav\t0.0\tdog\t0.75\n"
    "2\tWaveform 1\t60.1\t60.4\ta.wav\t0.1\t<b>cat</b>\t\n",
}


@pytest.mark.parametrize("kind", LABELS)
def test_segments_of_anybodys_file_lie_under_the_spectrogram_and_stand_in_a_list(tmp_path, kind):
    (tmp_path / "labels.txt").write_text("\ufeff" + LABELS[kind], encoding="utf-8")
    shown = soundprobe.view(write(tmp_path / "a.wav", 0.5), segments=tmp_path / "labels.txt")
    (clip,) = shown.clips
    assert [(one.label, one.start_s, one.end_s) for one in clip.segments.listed] == [
        ("dog", 0.0, pytest.approx(0.2)),
        ("<b>cat</b>", pytest.approx(0.1), pytest.approx(0.4)),
    ]
    assert [one.share for one in clip.segments.listed] == ["75\u00a0%" if kind in ("csv", "jsonl", "raven") else "", ""]
    assert len(clip.segments.lanes) == 2  # they overlap
    assert (clip.segments.lanes[1][0].left, clip.segments.lanes[1][0].width) == (20.0, 60.0)
    text = shown.html()
    assert "<b>cat" not in text
    assert [found["data-from"] for tag, found in tags(text) if "data-from" in found] == ["0.0", "0.1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no segments"),
        ("start,end,label\n", "has no segments"),
        ("from,until,what\n0,1,dog\n", "has no column start or end or label .*from, until, what"),
        ("start,end,label\n0,one,dog\n", r"line 2: '0' to 'one' is no stretch of time"),
        ("start,end,label\n2,1,dog\n", r"line 2: '2' to '1' is no stretch"),
        ("start,end,label\nnan,1,dog\n", "line 2: 'nan' to '1'"),
        ("start,end,label,score\n0,1,dog,75\n", "line 2: '75' is no probability"),
        ("start,end,label,clip\n0,1,dog,other.wav\n", "of other.wav, and none of the clips is called so"),
        ('{"start": 0}\n', "has no column end or label"),
        ('{"start": 0, "end": 1, "label": "dog"}\n[]\n', "line 2 is no JSON object"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (None, "Can't read the segments"),
    ],
)
def test_segments_that_are_none_are_one_clear_line(tmp_path, text, message):
    if text is not None:
        (tmp_path / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        soundprobe.view(write(tmp_path / "a.wav"), segments=tmp_path / "labels.csv")


def test_segments_of_recordings_of_one_name_go_to_those_of_their_folders(tmp_path):
    clips = [write(tmp_path / folder / "x.wav", 0.5) for folder in ("p", "q", "r")]
    (tmp_path / "labels.csv").write_text("clip,start,end,label\np/x.wav,0,0.2,dog\nother\\q\\x.wav,0,0.2,cat\n")
    shown = soundprobe.view(clips, segments=tmp_path / "labels.csv")
    told = [[one.label for one in clip.segments.listed] if clip.segments else [] for clip in shown.clips]
    assert told == [["dog"], ["cat"], []]


def test_json_lines_with_a_line_separator_of_unicode_in_a_name_are_read(tmp_path):
    clip = write(tmp_path / "u\u2028x.wav", 0.5)
    line = {"clip": str(clip), "start_s": 0, "end_s": 0.2, "label": "dog"}
    (tmp_path / "labels.jsonl").write_text(json.dumps(line, ensure_ascii=False) + "\n", encoding="utf-8")
    (shown,) = soundprobe.view(clip, segments=tmp_path / "labels.jsonl").clips
    assert [one.label for one in shown.segments.listed] == ["dog"]


def test_segments_without_a_clips_name_are_refused_for_several_clips(tmp_path):
    write(tmp_path / "clips" / "a.wav")
    write(tmp_path / "clips" / "b.wav")
    with pytest.raises(DataError, match="don't say of which of the 2 clips"):
        soundprobe.view(tmp_path / "clips", segments=[Segment(0, 1, "dog", 0.5)])


def test_segments_beyond_the_clip_and_beyond_the_list_are_counted():
    many = [Segment(0.01 * number, 0.01 * number + 0.005, "dog", 0.5) for number in range(250)]
    strip = strip_of([Segment(0, 1e308, "long", 0.5), *many, Segment(3.0, 4.0, "late", 0.5)], 2.6)
    assert (len(strip.listed), strip.unlisted, len(strip.lanes)) == (200, 52, 2)
    assert [one.when for one in strip.listed[:2]] == ["0:00.0\u20130:00.0", "0:00.0\u20130:02.6"]


def test_view_of_an_array_shows_it(tmp_path):
    (clip,) = soundprobe.view(tone(440, 0.5), sample_rate_hz=RATE_HZ).clips
    assert (clip.name, clip.facts) == ("array", "0.50 s, 22,050 Hz, mono")
