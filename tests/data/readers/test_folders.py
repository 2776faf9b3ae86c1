"""A folder for each class: classes, made folds, groups by prefix, and odd names."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from soundprobe.base.errors import DataError, SoundprobeWarning
from soundprobe.data.readers.assemble import fold_number
from soundprobe.data.readers.folders import read_folders
from soundprobe.data.readers.made_folds import make_folds


def fill(root: Path, names: Iterable[str]) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def two_classes(recordings: int = 6, takes: int = 3) -> list[str]:
    return [f"{kind}/{kind}{r}-{t}.wav" for kind in ("cat", "dog") for r in range(recordings) for t in range(takes)]


def test_read_folders_any_order_of_files_gives_the_same_clips(tmp_path: Path) -> None:
    names = two_classes()
    first = read_folders(fill(tmp_path / "one", names), folds=3)
    random.Random(1).shuffle(names)
    second = read_folders(fill(tmp_path / "two", names), folds=3)
    assert first.ids.tolist() == second.ids.tolist() == sorted(names)
    assert first.folds.tolist() == second.folds.tolist()
    assert (first.name, first.class_names) == ("one", ("cat", "dog"))
    assert first.sources[0] == str(tmp_path / "one" / "cat" / "cat0-0.wav")


def test_read_folders_without_prefix_stratifies_each_class(tmp_path: Path) -> None:
    clips = read_folders(fill(tmp_path, two_classes()), folds=6, seed=3)
    for label in (0, 1):
        assert np.bincount(clips.folds[clips.labels == label]).tolist() == [0, 3, 3, 3, 3, 3, 3]
    assert clips.groups.tolist() == clips.ids.tolist()


def test_read_folders_another_seed_gives_other_folds(tmp_path: Path) -> None:
    root = fill(tmp_path, two_classes())
    assert read_folders(root, folds=3, seed=0).folds.tolist() != read_folders(root, folds=3, seed=1).folds.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_read_folders_with_prefix_keeps_a_recording_in_one_fold(tmp_path: Path, seed: int) -> None:
    clips = read_folders(fill(tmp_path, two_classes()), folds=3, group_prefix="-", seed=seed)
    assert len(set(clips.groups)) == 12
    assert sorted(set(clips.folds.tolist())) == [1, 2, 3]
    for group in set(clips.groups):
        assert len(set(clips.folds[clips.groups == group])) == 1


def test_read_folders_odd_names_are_kept(tmp_path: Path) -> None:
    names = [f"Hündin & <script>/{n} ü.WAV" for n in range(2)] + [f"x/sub/deeper/{n}.flac" for n in range(2)]
    clips = read_folders(fill(tmp_path, [*names, "x/.hidden.wav", ".git/a.wav"]), folds=2)
    assert sorted(clips.ids.tolist()) == sorted(names)
    assert clips.class_names == ("Hündin & <script>", "x")


def test_read_folders_other_files_are_counted_in_a_warning(tmp_path: Path) -> None:
    fill(tmp_path, [*two_classes(2, 1), "cat/notes.txt", "cat/a.mid", "dog/b.mid", "dog/README"])
    with pytest.warns(SoundprobeWarning, match=r"4 files below .* left out, .*\(\.mid: 2, \.txt: 1, no ending: 1\)"):
        assert len(read_folders(tmp_path, folds=2)) == 4


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["a.wav"], {}, "has no class folders"),
        (["cat/a.wav", "dog/b.txt"], {}, "Folder .*dog has no audio file"),
        (
            ["cat/a.wav", "cat/b.wav", "dog/c.wav"],
            {"folds": 2},
            "Class 'dog' has 1 clip, too few for 2 folds. Add clips",
        ),
        (
            ["cat/a.wav", "cat/b.wav", "cat/c.wav", "dog/d.wav", "dog/e.wav"],
            {"folds": 5},
            "Class 'dog' has 2 clips, too few for 5 folds. Give --folds 2",  # 3, as of cat, would be too many again
        ),
        (
            two_classes(3, 4),
            {"folds": 5, "group_prefix": "-"},
            "'cat' has 3 recordings, too few for 5 folds. Give --folds 3",
        ),
        (two_classes(), {"folds": 1}, "--folds 1 is not valid"),
        (two_classes(), {"folds": 2, "group_prefix": ""}, "--group-prefix is empty"),
        (["cat/-a.wav", "dog/b-a.wav"], {"folds": 2, "group_prefix": "-"}, "cat/-a.wav begins with '-'"),
    ],
)
def test_read_folders_unusable_says_what_to_do(
    tmp_path: Path, names: list[str], options: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_folders(fill(tmp_path, names), **options)


def test_read_folders_name_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, two_classes())
    with open(os.fsencode(tmp_path / "cat") + b"/\xff.wav", "wb"):
        pass
    with pytest.raises(DataError, match="is not UTF-8. Rename it"):
        read_folders(tmp_path, folds=2)


def test_read_folders_linked_class_folder_is_read_and_a_link_to_the_root_is_no_class(tmp_path: Path) -> None:
    fill(tmp_path, ["root/cat/1.wav", "root/cat/2.wav", "other/3.wav", "other/4.wav"])
    (tmp_path / "root" / "dog").symlink_to(tmp_path / "other")
    (tmp_path / "root" / "again").symlink_to(tmp_path / "root")
    with pytest.warns(SoundprobeWarning, match=r"again is left out: it leads to .*root, whose files are listed"):
        clips = read_folders(tmp_path / "root", folds=2)
    assert clips.ids.tolist() == ["cat/1.wav", "cat/2.wav", "dog/3.wav", "dog/4.wav"]


def test_read_folders_file_in_two_classes_by_a_link_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, ["cat/1.wav", "cat/2.wav", "dog/3.wav"])
    (tmp_path / "dog" / "4.wav").symlink_to("../cat/2.wav")
    with pytest.raises(DataError, match=r"cat/2\.wav and dog/4\.wav are one file"):
        read_folders(tmp_path, folds=2)


def test_read_folders_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Can't read .*gone: No such file"):
        read_folders(tmp_path / "gone")


@pytest.mark.parametrize(
    "names",
    [
        "train-clean-100 dev-clean test-clean",
        "train-clean-100 train-clean-360",
        "nsynth-train nsynth-test dog",
        "X_trainset X_testset",
        "fold1_train fold1_test",
        "fold1of10 fold2of10",
        "audio_kfold1 audio_kfold2",
        "1_fold 2_fold",
        "foldA foldB",
        "fold_one fold_two",
        "set1 set2",
        "trn tst",
        "FSD50K.dev_audio FSD50K.eval_audio",
    ],
)
def test_read_folders_that_are_called_like_splits_or_folds_are_no_classes(tmp_path: Path, names: str) -> None:
    root = fill(tmp_path, [f"{name}/{n}.wav" for name in names.split() for n in range(4)])
    with pytest.raises(DataError, match=f"{sorted(set(names.split()) - {'dog'})[0]}.* no class"):
        read_folders(root, folds=2)


@pytest.mark.parametrize(
    ("names", "options"),
    [
        ("train_horn dog", {}),
        ("train_horn train_whistle dog", {}),
        ("train_horn test_tone dog", {"splits": "ignore"}),
        ("folding_paper unfolded", {}),
        ("latest_hit contest", {}),
    ],
)
def test_read_folders_whose_names_only_hold_such_a_word_are_classes(
    tmp_path: Path, names: str, options: dict[str, str]
) -> None:
    root = fill(tmp_path, [f"{name}/{n}.wav" for name in names.split() for n in range(4)])
    assert read_folders(root, folds=2, **options).class_names == tuple(sorted(names.split()))


@pytest.mark.parametrize(
    "places",
    ["spk1/dog spk2/cat spk3/dog", "1/dog 1/cat 1/rain 2/dog 2/cat 3/rain 3/horn", "audio/1/dog audio/2/cat"],
)
def test_read_folders_of_speakers_with_folders_in_them_are_refused_with_both_commands(
    tmp_path: Path, places: str
) -> None:
    root = fill(tmp_path, [f"{place}/{n}.wav" for place in places.split() for n in range(4)])
    with pytest.raises(DataError, match="either may be the classes") as caught:
        read_folders(root, folds=2)
    for regex, inner in zip(re.findall("--label-regex '(.*?)'", str(caught.value)), (False, True), strict=True):
        found = read_folders(root, folds=2, label_regex=regex).class_names
        assert ("dog" in found) is inner


@pytest.mark.parametrize("places", ["01 02 03", "Actor_01 Actor_02", "dog/x cat/x"])
def test_read_folders_that_may_be_speakers_are_noted(tmp_path: Path, places: str) -> None:
    root = fill(tmp_path, [f"{place}/{n}.wav" for place in places.split() for n in range(4)])
    with pytest.warns(SoundprobeWarning, match=r"are taken for the classes\. Where they are speakers.*--label-regex"):
        assert len(read_folders(root, folds=2).class_names) == len(places.split())


def test_read_folders_with_splits_in_folds_asks_which(tmp_path: Path) -> None:
    names = [f"fold{n}/{split}/{kind}" for n in (1, 2) for split in ("train", "test") for kind in ("cat", "dog")]
    root = fill(tmp_path, [f"{name}/{n}.wav" for name in names for n in range(2)])
    with pytest.raises(DataError, match="has folds and the splits test, train. Say which: --splits ignore"):
        read_folders(root)
    assert read_folders(root, splits="ignore").folds.tolist() == [1] * 8 + [2] * 8
    with pytest.warns(SoundprobeWarning, match="only the split test is tested"):
        assert read_folders(root, splits="test").tested_folds == (2,)


@pytest.mark.parametrize("digits", [20, 5000])
def test_fold_of_more_digits_than_a_number_holds_is_no_fold(digits: int) -> None:
    assert fold_number("fold" + "9" * digits) is None


@pytest.mark.parametrize("regex", ["a{99999999999}", "(" * 2000 + "a" + ")" * 2000, "("])
def test_regular_expression_that_cannot_be_compiled_is_one_line(tmp_path: Path, regex: str) -> None:
    with pytest.raises(DataError, match="is no regular expression"):
        read_folders(fill(tmp_path, two_classes()), group_regex=regex)


def test_make_folds_clips_in_another_order_keep_their_folds() -> None:
    rng = np.random.default_rng(0)
    ids = np.array([f"clip {n}" for n in range(60)])
    labels, groups = np.arange(60) % 3, np.array([f"{n // 2}" for n in range(60)])
    order = rng.permutation(60)
    for grouping in (None, groups):
        made = make_folds(ids, labels, grouping, "abc", 4, 7)
        shuffled = make_folds(ids[order], labels[order], None if grouping is None else grouping[order], "abc", 4, 7)
        assert shuffled.tolist() == made[order].tolist()
