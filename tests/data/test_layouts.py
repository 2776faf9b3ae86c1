"""Every row of docs/data.md's tables, run: what is recognised, and what is refused with which words."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from soundprobe.audio.decode import decode
from soundprobe.audio.encoded import read_bytes, source_name
from soundprobe.base.errors import DataError, SoundprobeWarning
from soundprobe.base.records import Clips
from soundprobe.data.catalog import open_data

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
CLASSES = ("dog", "horn", "rain")


def wav(seconds: float = 0.1, rate_hz: int = 8000, seed: int = 0) -> bytes:
    file = io.BytesIO()
    wave = np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate_hz)).astype(np.float32)
    soundfile.write(file, wave, rate_hz, format="WAV")
    return file.getvalue()


def fill(root: Path, names: Iterable[str]) -> Path:
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(wav(seed=seed))
    return root


def table(file: Path, header: str, rows: Iterable[Iterable[object]], separator: str = ",") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened, delimiter=separator).writerows([header.split(","), *rows])
    return file


def opened(path: Path, **how: Any) -> tuple[Clips, str]:
    """The clips, and what was noted."""
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", SoundprobeWarning)
        clips = open_data(path, **how)
    return clips, " | ".join(str(one.message) for one in noted if issubclass(one.category, SoundprobeWarning))


def refused(path: Path, **how: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SoundprobeWarning)
        with pytest.raises(DataError) as caught:
            open_data(path, **how)
    assert "\n" not in str(caught.value)
    return str(caught.value)


US8K = [
    (f"{100 + 3 * fold + label}-{label}-0-0.wav", 100 + 3 * fold + label, 0, 0.1, 1, fold, label, name)
    for fold in (1, 2, 3)
    for label, name in enumerate(CLASSES)
]
US8K_HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"
ESC50 = [
    (f"{fold}-{100 + fold}-A-{label}.wav", fold, label, name, True, 100 + fold, "A")
    for fold in (1, 2)
    for label, name in enumerate(CLASSES)
]
ESC50_HEADER = "filename,fold,target,category,esc10,src_file,take"


def urbansound8k(root: Path, metadata: str = "metadata/UrbanSound8K.csv", audio: str = "audio/") -> Path:
    table(root / metadata, US8K_HEADER, US8K)
    return fill(root, [f"{audio}fold{row[5]}/{row[0]}" for row in US8K])


def esc50(root: Path, metadata: str = "meta/esc50.csv", audio: str = "audio/") -> Path:
    table(root / metadata, ESC50_HEADER, ESC50)
    return fill(root, [f"{audio}{row[0]}" for row in ESC50])


def is_urbansound8k(clips: Clips) -> None:
    assert clips.class_names == CLASSES
    assert sorted(set(clips.folds.tolist())) == [1, 2, 3]
    assert clips.groups.tolist() == [str(row[1]) for row in US8K]
    assert clips.recordings_known
    all_there(clips)


def is_esc50(clips: Clips) -> None:
    assert clips.class_names == CLASSES
    assert clips.folds.tolist() == [row[1] for row in ESC50]
    assert clips.groups.tolist() == [str(row[5]) for row in ESC50]
    all_there(clips)


def all_there(clips: Clips) -> None:
    for source in clips.sources:
        decode(read_bytes(source), sample_rate_hz=8000, name=source_name(source))


def tree(*folders: str, clips: int = 4) -> list[str]:
    return [f"{folder}/{folder.replace('/', '-')}{n}.wav" for folder in folders for n in range(clips)]


def classes_of(clips: Clips) -> list[str]:
    return [clips.class_names[label] for label in clips.labels]


def parquet(file: Path, columns: dict[str, Any], metadata: dict[bytes, bytes] | None = None) -> Path:
    count = len(next(iter(columns.values())))
    audio = [{"bytes": wav(seed=n), "path": None} for n in range(count)]
    made = pa.table({"audio": pa.array(audio, pa.struct([("bytes", pa.binary()), ("path", pa.string())])), **columns})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(made.replace_schema_metadata(metadata), file)
    return file


# ---- Layouts ----


def own_layout(root: Path) -> None:
    clips, noted = opened(urbansound8k(root))
    is_urbansound8k(clips)
    assert noted == ""


def kaggles(root: Path) -> None:
    is_urbansound8k(opened(urbansound8k(root, "UrbanSound8K.csv", ""))[0])


def deeper(root: Path) -> None:
    urbansound8k(root / "UrbanSound8K")
    clips, noted = opened(root)
    is_urbansound8k(clips)
    assert str(root / "UrbanSound8K") in noted


def inner_folder(root: Path) -> None:
    urbansound8k(root)
    for name in ("audio", "metadata"):
        clips, noted = opened(root / name)
        is_urbansound8k(clips)
        assert str(root) in noted
    esc50(root / "esc")
    is_esc50(opened(root / "esc" / "audio")[0])


def esc50s_own(root: Path) -> None:
    is_esc50(opened(esc50(root))[0])


def esc50_of_kaggle(root: Path) -> None:
    is_esc50(opened(esc50(root, "esc50.csv", "audio/audio/"))[0])
    is_esc50(opened(root / "esc50.csv")[0])


def metadata_alone(root: Path) -> None:
    clips, _ = opened(table(root / "UrbanSound8K.csv", US8K_HEADER, US8K))
    assert len(clips) == 9
    is_urbansound8k(opened(urbansound8k(root / "k", "UrbanSound8K.csv", "") / "UrbanSound8K.csv")[0])


def audiofolder(root: Path) -> None:
    for split in ("train", "test"):
        fill(root / "a" / split, [f"{split}{n}.wav" for n in range(6)])
        rows = [(f"{split}{n}.wav", CLASSES[n % 3]) for n in range(6)]
        table(root / "a" / split / "metadata.csv", "file_name,label", rows)
    clips, noted = opened(root / "a")
    assert (len(clips), clips.class_names, clips.tested_folds) == (12, CLASSES, (2,))
    assert "only the split test is tested" in noted
    all_there(clips)
    fill(root / "b", [f"{n}.wav" for n in range(6)])
    lines = [f'{{"file_name": "{n}.wav", "label": "{CLASSES[n % 3]}"}}' for n in range(6)]
    (root / "b" / "metadata.jsonl").write_text("\n".join(lines))
    clips, _ = opened(root / "b", folds=2)
    assert clips.class_names == CLASSES
    assert len(clips.tested_folds) == 2


def speech_commands(root: Path) -> None:
    fill(root, [f"{name}/{speaker}_nohash_{n}.wav" for name in CLASSES for speaker in "abcd" for n in range(2)])
    fill(root, ["_background_noise_/noise.wav"])
    (root / "testing_list.txt").write_text("".join(f"{name}/d_nohash_{n}.wav\n" for name in CLASSES for n in range(2)))
    (root / "validation_list.txt").write_text("dog/c_nohash_0.wav\n")
    clips, noted = opened(root)
    assert clips.class_names == CLASSES
    assert "_background_noise_ is left out" in noted
    assert "testing_list.txt" in noted
    assert set(clips.groups) == set("abcd")
    assert set(clips.groups[np.isin(clips.folds, clips.tested_folds)]) == {"d"}
    ignoring, _ = opened(root, splits="ignore", folds=4)
    assert all(len(set(ignoring.folds[ignoring.groups == speaker])) == 1 for speaker in "abcd")


def any_parquet(root: Path) -> None:
    names = {"names": ["rain", "dog", "horn"], "_type": "ClassLabel"}
    schema = json.dumps({"info": {"features": {"audio": {"_type": "Audio"}, "label": names}}}).encode()
    named, _ = opened(
        parquet(root / "b.parquet", {"label": [n % 3 for n in range(12)]}, {b"huggingface": schema}), folds=2
    )
    assert named.class_names == ("rain", "dog", "horn")
    assert classes_of(named)[:3] == ["rain", "dog", "horn"]
    all_there(named)
    words, _ = opened(parquet(root / "c.parquet", {"category": [CLASSES[n % 3] for n in range(12)]}), folds=2)
    assert words.class_names == CLASSES
    for split in ("train", "test"):
        parquet(root / "d" / f"{split}-00000-of-00001.parquet", {"label": [n % 3 for n in range(6)]})
    assert opened(root / "d")[0].tested_folds == (2,)


def splits_of_parquet(root: Path) -> None:
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test"):
        parquet(root / f"{name}.parquet", {"label": [CLASSES[n % 3] for n in range(6)]})
    clips, noted = opened(root)
    assert (len(clips), clips.tested_folds) == (18, (2,))
    assert "has the splits train (12 clips, fold 1), test (6 clips, fold 2)" in noted
    (root / "test.parquet").rename(root / "more.parquet")
    assert "some files are named for a split, and more.parquet isn't" in refused(root)


def some_shards(root: Path) -> None:
    parquet(root / "train-00001-of-00003.parquet", {"label": [CLASSES[n % 3] for n in range(6)]})
    clips, noted = opened(root, folds=2)
    assert len(clips) == 6
    assert "missing: train-00000-of-00003, train-00002-of-00003." in noted


def numbers_as_labels(root: Path) -> None:
    clips, noted = opened(parquet(root / "a.parquet", {"label": [n % 3 for n in range(12)]}), folds=2)
    assert clips.class_names == ("0", "1", "2")
    assert "by the numbers in label only (0, 1, 2)" in noted
    rows = [(path, CLASSES.index(name), name) for path, name in ROWS]
    named = table(clips_below(root) / "m.csv", "path,label,kind", rows)
    assert "--columns label=NAME" in opened(named, folds=2)[1]
    clips, noted = opened(named, columns="label=kind", folds=2)
    assert (clips.class_names, noted) == (CLASSES, "")


def known_parquet(root: Path) -> None:
    columns = {name: [row[at] for row in US8K] for at, name in enumerate(US8K_HEADER.split(","))}
    is_urbansound8k(opened(parquet(root / "u.parquet", columns))[0])
    columns = {name: [row[at] for row in ESC50] for at, name in enumerate(ESC50_HEADER.split(","))}
    is_esc50(opened(parquet(root / "e.parquet", columns))[0])


def saved_to_disk(root: Path) -> None:
    import datasets

    audio = {
        "audio": [{"bytes": wav(seed=n), "path": None} for n in range(6)],
        "label": [CLASSES[n % 3] for n in range(6)],
    }
    part = datasets.Dataset.from_dict(audio)
    part.save_to_disk(str(root / "one"))
    assert opened(root / "one", folds=2)[0].class_names == CLASSES
    datasets.DatasetDict({"train": part, "validation": part}).save_to_disk(str(root / "two"))
    assert "--splits validation" in refused(root / "two")
    assert opened(root / "two", splits="as-folds")[0].tested_folds == (1, 2)


def class_folders(root: Path) -> None:
    clips, noted = opened(fill(root, tree(*CLASSES)), folds=2)
    assert clips.class_names == CLASSES
    assert (noted, clips.recordings_known) == ("", False)


def fold_folders(root: Path) -> None:
    clips, _ = opened(fill(root, tree(*(f"fold{fold}/{name}" for fold in (1, 2) for name in CLASSES))))
    assert clips.class_names == CLASSES
    assert clips.folds.tolist() == [int(clip[4]) for clip in clips.ids]


def split_folders(root: Path) -> None:
    fill(root / "a", tree(*(f"{split}/{name}" for split in ("train", "test", "val") for name in CLASSES)))
    clips, noted = opened(root / "a")
    assert clips.class_names == CLASSES
    assert clips.tested_folds == (3,)
    assert set(clips.columns["split"][clips.folds == 3]) == {"test"}
    assert all(word in noted for word in ("train (12 clips", "validation (12", "test (12", "--splits as-folds"))
    assert opened(root / "a", splits="as-folds")[0].tested_folds == (1, 2, 3)
    assert opened(root / "a", splits="val")[0].tested_folds == (2,)
    assert opened(root / "a", splits="ignore", folds=4)[0].class_names == CLASSES
    fill(root / "b", tree(*(f"{name}/{split}" for split in ("train", "test") for name in CLASSES)))
    assert opened(root / "b")[0].class_names == CLASSES
    fill(root / "d", tree(*(f"{split}/{name}" for split in ("training_set", "audio-Test2") for name in CLASSES)))
    assert opened(root / "d")[0].class_names == CLASSES
    fill(root / "c", tree(*(f"{split}/{name}" for split in ("train", "valid") for name in CLASSES)))
    assert "--splits validation; --splits as-folds" in refused(root / "c")
    assert "has the splits train" in refused(root / "a", splits="holdout")
    fill(root / "a", ["test/cow/1.wav"])
    assert "the tested split alone has clips of 'cow', so nothing is trained on that" in opened(root / "a")[1]


def held_folders(root: Path) -> None:
    assert opened(fill(root, tree(*(f"audio/{name}" for name in CLASSES))), folds=2)[0].class_names == CLASSES


def named_files(root: Path) -> None:
    clips, _ = opened(
        fill(root, [f"{name}_{n}.wav" for name in CLASSES for n in range(4)]), label_regex="^([^_]+)_", folds=2
    )
    assert clips.class_names == CLASSES
    assert "finds no class in 4 of 12 file names, such as 'dog_0.wav'" in refused(root, label_regex="^([hr].*?)_")
    assert "is no regular expression" in refused(root, label_regex="(")


def table_beside(root: Path) -> None:
    fill(root, tree(*CLASSES))
    table(root / "labels.csv", "path,label", [(clip, clip.split("/")[0].title()) for clip in tree(*CLASSES)])
    clips, noted = opened(root, folds=2)
    assert clips.class_names == CLASSES
    assert f"--data {root / 'labels.csv'} reads it" in noted


def other_classes_beside(root: Path) -> None:
    clips = fill(root, tree(*CLASSES))
    table(clips / "labels.csv", "file,category", [(Path(clip).name, "x") for clip in tree(*CLASSES)])
    assert f"its folder is {CLASSES[0]}. --data {root / 'labels.csv'} takes" in refused(root, folds=2)


def folds_without_classes(root: Path) -> None:
    said = refused(fill(root, tree("fold1", "fold2", "fold3")))
    assert "UrbanSound8K.csv" in said
    assert "fold1, fold2, fold3 are no class" in said
    assert "--label-regex" in said


def splits_without_classes(root: Path) -> None:
    for how in ({}, {"splits": "ignore"}):
        assert "test, train are no class" in refused(fill(root, tree("train", "test")), **how)


def some_in_splits(root: Path) -> None:
    fill(root, tree("train", "dog", "plane"))
    assert "--splits ignore" in refused(root)
    assert opened(root, splits="ignore", folds=2)[0].class_names == ("dog", "plane", "train")
    assert "are in folds" in refused(fill(root / "f", tree("fold1/dog", "cat/x")))


def two_levels(root: Path) -> None:
    said = refused(fill(root, tree(*(f"{fold}/{name}" for fold in (1, 2) for name in CLASSES))))
    assert "folders dog, horn, rain are in 1, 2, so either may be the classes" in said
    inner, outer = "^[^/]+/([^/]+)/", "^([^/]+)/"
    assert f"--label-regex '{outer}' for 1, or --label-regex '{inner}' for dog" in said
    assert opened(root, label_regex=inner, folds=2)[0].class_names == CLASSES
    assert opened(root, label_regex=outer, folds=2)[0].class_names == ("1", "2")


def one_class(root: Path) -> None:
    fill(root, tree(*(f"genres/{name}" for name in CLASSES)))
    assert f"--data {root / 'genres'}" in refused(root)


def classes_deeper(root: Path) -> None:
    """GTZAN's layout."""
    fill(root, tree(*(f"genres_original/{name}" for name in CLASSES)))
    table(root / "features.csv", "filename,label", [("dog0.wav", "dog")])
    (root / "images_original" / "dog").mkdir(parents=True)
    (root / "images_original" / "dog" / "dog0.png").touch()
    said = refused(root)
    assert "images_original has no audio file" in said
    assert f"genres_original is the only one that has any. The classes may be in it: --data {root}/genres_ori" in said
    assert opened(root / "genres_original", folds=2)[0].class_names == CLASSES
    (root / "Data").mkdir()
    for name in ("genres_original", "images_original"):
        (root / name).rename(root / "Data" / name)
    assert f"--data {root}/Data/genres_original" in refused(root)


def loose_files(root: Path) -> None:
    assert "has no class folders: it holds 3 audio files" in refused(fill(root, ["a.wav", "b.wav", "c.wav"]))
    assert "give that" in refused(fill(root / "fold1", ["a.wav"]))
    assert "it is one clip, and a data set has several" in refused(root / "a.wav")
    (root / "w" / "dog").mkdir(parents=True)
    (root / "w" / "dog" / "1.wave").touch()
    assert "in its folders, but .wave: 1." in refused(root / "w")
    (root / "z").mkdir()
    (root / "z" / "clips.zip").touch()
    assert "is not a data set that soundprobe can read: it holds .zip: 1; `soundprobe data list` shows" in refused(
        root / "z"
    )


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "`metadata/UrbanSound8K.csv` beside `audio/fold1` ...": own_layout,
    "`UrbanSound8K.csv` beside `fold1` ... (Kaggle)": kaggles,
    "a known data set one folder deeper (`UrbanSound8K/UrbanSound8K`)": deeper,
    "`audio`, `meta` or `metadata` of a known data set": inner_folder,
    "`meta/esc50.csv` beside `audio`": esc50s_own,
    "`esc50.csv` in front of `audio/audio` (Kaggle)": esc50_of_kaggle,
    "`UrbanSound8K.csv` alone": metadata_alone,
    "`metadata.csv` or `.jsonl` with `file_name`, in a folder or in `train`, `test` ...": audiofolder,
    "class folders with `testing_list.txt`, `validation_list.txt`": speech_commands,
    "Parquet with a column of audio and a label": any_parquet,
    "Parquet files with a split in their names (`train-00000-of-00002.parquet`, `test.parquet`)": splits_of_parquet,
    "some of the files `train-*-of-00005.parquet`": some_shards,
    "labels that are numbers without names": numbers_as_labels,
    "Parquet with the columns of UrbanSound8K or ESC-50 and audio": known_parquet,
    "what `save_to_disk` wrote": saved_to_disk,
    "class folders": class_folders,
    "`fold1`, `fold2` ... with class folders in them": fold_folders,
    "`train`, `test` ... with class folders in them": split_folders,
    "class folders in `audio`, `wav`, `data`, `recordings` ...": held_folders,
    "files that have their class in their name": named_files,
    "class folders with a table beside them": table_beside,
    "class folders with a table of other classes beside them": other_classes_beside,
    "`fold1`, `fold2` ... with files only": folds_without_classes,
    "`train`, `test` ... with files only": splits_without_classes,
    "some clips in folders of splits or folds, some not": some_in_splits,
    "folders of the same names in every folder (`1/dog`, `2/dog`)": two_levels,
    "one class folder": one_class,
    "one folder with class folders in it beside others without audio (GTZAN)": classes_deeper,
    "files without folders": loose_files,
}


# ---- Manifests ----

ROWS = [(f"a/{name}{n}.wav", name) for n in range(4) for name in CLASSES]


def clips_below(root: Path) -> Path:
    return fill(root, [path for path, _ in ROWS])


def is_manifest(clips: Clips) -> None:
    assert classes_of(clips) == [name for _, name in ROWS]
    all_there(clips)


def plain(root: Path) -> None:
    clips, _ = opened(table(clips_below(root) / "m.csv", "path,label", ROWS), folds=2)
    is_manifest(clips)
    assert (clips.recordings_known, clips.folds_seed) == (False, 0)
    with_index = table(root / "i.csv", ",path,label", [(n, *row) for n, row in enumerate(ROWS)])
    is_manifest(opened(with_index, folds=2)[0])
    (root / "excel.txt").write_text("\n".join("\t".join(row) for row in [("path", "label"), *ROWS]), encoding="utf-16")
    is_manifest(opened(root / "excel.txt", folds=2)[0])


def separators(root: Path) -> None:
    clips_below(root)
    for name, separator in (("a.csv", ";"), ("b.csv", "\t"), ("c.tsv", "\t"), ("d.csv", "|"), ("e.tsv", ",")):
        is_manifest(opened(table(root / name, "path,label", ROWS, separator), folds=2)[0])
    excel = table(root / "x.csv", "path,label,gain", [(*row, "0,5") for row in ROWS], ";")
    excel.write_text("sep=;\n" + excel.read_text())
    clips, _ = opened(excel, folds=2)
    is_manifest(clips)
    assert set(clips.columns["gain"]) == {0.5}
    urbansound8k(root / "u")
    table(root / "u" / "metadata" / "UrbanSound8K.csv", US8K_HEADER, US8K, ";")
    is_urbansound8k(opened(root / "u")[0])


def json_lines(root: Path) -> None:
    lines = [f'{{"path": "{path}", "label": ["{name}"]}}' for path, name in ROWS]
    (clips_below(root) / "m.jsonl").write_text("\n".join(lines))
    is_manifest(opened(root / "m.jsonl", folds=2)[0])
    paths, names = zip(*ROWS, strict=True)
    pq.write_table(pa.table({"path": paths, "label": names}), root / "m.parquet")
    is_manifest(opened(root / "m.parquet", folds=2)[0])
    (root / "bad.jsonl").write_text('{"path": "a"}\n[1]')
    assert "bad.jsonl, line 2: no JSON object" in refused(root / "bad.jsonl")


def nested_json(root: Path) -> None:
    for line, said in (
        ('{"path": {"file": "a/dog0.wav"}, "label": "dog"}', "is no path. Give a column with the path alone"),
        ('{"path": ["a.wav", "b.wav"], "label": "dog"}', "is no path"),
        ('{"path": "a/dog0.wav", "label": {"name": "dog"}}', "is no name of a class"),
        ('{"path": "a/dog0.wav", "label": ["dog", "rain"]}', "names several classes"),
        ('{"path": "a/dog0.wav", "label": "dog", "label": "rain"}', "the key 'label' stands twice"),
    ):
        (root / "m.jsonl").write_text(line)
        assert said in (found := refused(root / "m.jsonl"))
        assert "m.jsonl, line 1" in found


def missing_fields(root: Path) -> None:
    for field in ("path", "label", "fold", "split", "group"):
        rows = [{"path": path, "label": name, "fold": "1", "split": "train", "group": "g"} for path, name in ROWS]
        del rows[3][field]
        (root / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
        assert f"m.jsonl, line 4: {field} " in refused(root / "m.jsonl", splits="ignore")
    (root / "m.jsonl").write_text(
        "\n".join(json.dumps({"path": p, "label": n, **({"gain": 1} if "dog" in p else {})}) for p, n in ROWS)
    )
    assert opened(root / "m.jsonl", folds=2)[0].columns["gain"].tolist() == ["1", "", ""] * 4


def columns_twice(root: Path) -> None:
    rows = [(*row, "x") for row in ROWS]
    clips_below(root)
    assert "two columns named 'label'" in refused(table(root / "m.csv", "path,label, label", rows))
    assert "two columns named 'x'" in refused(table(root / "m.csv", "path,label,x,x", [(*row, 1) for row in rows]))
    other = table(root / "m.csv", "path,Label,LABEL", rows)
    assert "several columns may be the label: Label, LABEL" in refused(other)
    is_manifest(opened(other, columns="label=Label", folds=2)[0])
    twice = parquet(root / "t.parquet", {"label": ["dog", "rain"], "other": ["x", "y"]})
    pq.write_table(pq.read_table(twice).rename_columns(["audio", "label", "label"]), twice)
    assert "two columns named 'label'. Rename one." in refused(twice)


def no_labels(root: Path) -> None:
    rows = [(path, "NA" if "dog" in path else name) for path, name in ROWS]
    clips, noted = opened(table(clips_below(root) / "m.csv", "path,label", rows), folds=2)
    assert clips.class_names == ("NA", "horn", "rain")
    assert "label is 'NA' in 4 rows. That is taken for a class" in noted
    clips, noted = opened(parquet(root / "m.parquet", {"label": [["None", "dog"][n % 2] for n in range(8)]}), folds=2)
    assert "label is 'None' in 4 rows" in noted
    assert "row 1: label is empty" in refused(parquet(root / "n.parquet", {"label": [None, "dog", "rain"]}))


def one_label(root: Path) -> None:
    said = refused(table(clips_below(root) / "m.csv", "path,label", [(path, "dog") for path, _ in ROWS]))
    assert "all clips are of one class, 'dog', and two or more are needed" in said


def usual_names(root: Path) -> None:
    clips_below(root)
    for header in ("File Name,Category", "wav,tag", "filename,class", "audio,target"):
        is_manifest(opened(table(root / "m.csv", header, ROWS), folds=2)[0])
    speakers = [(*row, f"s{n // 3}") for n, row in enumerate(ROWS)]
    assert opened(table(root / "m.csv", "file,class,Speaker", speakers), folds=2)[0].recordings_known


def unclear_names(root: Path) -> None:
    rows = [(path, CLASSES.index(name), name) for path, name in ROWS]
    both = table(clips_below(root) / "m.csv", "filename,target,category", rows)
    assert "may be the label: target, category. Say which is which: --columns path=filename,label=category" in refused(
        both
    )
    is_manifest(opened(both, columns="label=category", folds=2)[0])
    other = table(root / "o.csv", "clip,kind", ROWS)
    assert "It has 'clip', 'kind'. Say which is which: --columns path=clip,label=kind" in refused(other)
    is_manifest(opened(other, columns="path=clip,label=kind", folds=2)[0])
    assert "no such column. It has 'clip', 'kind'" in refused(other, columns="path=nothing")
    assert "--columns 'way=clip' is not valid" in refused(other, columns="way=clip")
    bare = table(root / "b.csv", "a/dog0.wav,dog", ROWS[1:])
    assert "put a line path,label above it" in refused(bare)


def folds_or_splits(root: Path) -> None:
    clips_below(root)
    for values in ([1, 2, 3], ["fold1", "fold2", "Fold 3"]):
        rows = [(*row, values[n % 3]) for n, row in enumerate(ROWS)]
        assert opened(table(root / "m.csv", "path,label,fold", rows))[0].folds.tolist() == [1, 2, 3] * 4
    for header in ("path,label,split", "path,label,fold"):
        rows = [(*row, ["train", "test"][n // 6]) for n, row in enumerate(ROWS)]
        clips, noted = opened(table(root / "m.csv", header, rows))
        assert clips.tested_folds == (2,)
        assert "only the split test is tested" in noted
    one = table(root / "m.csv", "path,label,split", [(*row, "train") for row in ROWS])
    assert "only the split 'train'" in refused(one, splits="as-folds")
    assert len(opened(one, folds=2)[0].tested_folds) == 2


def no_folds(root: Path) -> None:
    clips_below(root)
    for fold, said in (
        ("1", "all clips are in fold 1, which leaves none to train on"),
        ("A", "fold 'A' is not a whole"),
    ):
        file = table(root / "m.csv", "path,label,fold", [(*row, fold) for row in ROWS])
        assert said in (found := refused(file))
        assert "--columns fold= leaves" in found
        is_manifest(opened(file, columns="fold=", folds=2)[0])
    fill(root / "one", tree(*(f"fold1/{name}" for name in CLASSES)))
    assert "all clips are in fold 1" in refused(root / "one")
    assert opened(root / "one" / "fold1", folds=2)[0].class_names == CLASSES


def groups(root: Path) -> None:
    rows = [(*row, f"r{n // 3}") for n, row in enumerate(ROWS)]
    clips, _ = opened(table(clips_below(root) / "m.csv", "path,label,recording", rows), folds=2)
    assert clips.recordings_known
    assert clips.groups.tolist() == [f"r{n // 3}" for n in range(12)]
    assert all(len(set(clips.folds[clips.groups == group])) == 1 for group in set(clips.groups))
    assert "says the clips' recordings already; leave --group-regex out" in refused(root / "m.csv", group_regex="x")


def segments(root: Path) -> None:
    waves = {}
    for name in ("one", "two"):
        waves[name] = np.random.default_rng(len(name)).uniform(-0.5, 0.5, 8000 * 6).astype(np.float32)
        soundfile.write(root / f"{name}.flac", waves[name], 8000, subtype="PCM_16")
    rows = [(f"{file}.flac", CLASSES[n % 3], n, n + 1) for file in waves for n in range(6)]
    manifest = table(root / "m.csv", "path,label,start,end", rows)
    clips, _ = opened(manifest, folds=2)
    assert len(clips) == 12
    assert clips.recordings_known
    assert sorted(set(clips.groups)) == ["one.flac", "two.flac"]
    whole, _ = soundfile.read(root / "two.flac", dtype="float32")
    heard = decode(read_bytes(clips.sources[8]), sample_rate_hz=8000, name="x")
    np.testing.assert_array_equal(heard, whole[16000:24000])
    assert "segment 'one.flac#0-1' stands at line 2 already" in refused(
        table(root / "twice.csv", "path,label,start,end", [rows[0], *rows])
    )
    assert "from -1 to 2 s begins before 0" in refused(
        table(root / "front.csv", "path,label,start,end", [*rows, ("one.flac", "dog", -1, 2)])
    )
    assert "from 3 to 2 s has no length" in refused(
        table(root / "back.csv", "path,label,start,end", [*rows, ("one.flac", "dog", 3, 2)])
    )
    once = [("one.flac", "dog", 1, 2), ("two.flac", "rain", 2, 3)]
    single = table(root / "once.csv", "path,label,start,end,fold", [(*row, n) for n, row in enumerate(once)])
    assert opened(single)[0].ids.tolist() == ["one.flac#1-2", "two.flac#2-3"]
    assert not opened(single)[0].recordings_known
    assert opened(single, columns="start=,end=")[0].ids.tolist() == ["one.flac", "two.flac"]


def one_time(root: Path) -> None:
    clips_below(root)
    for header in ("path,label,start", "path,label,end", "path,label,start,duration"):
        rows = [(*row, 0.01, 0.02)[: header.count(",") + 1] for row in ROWS]
        clips, noted = opened(table(root / "m.csv", header, rows), folds=2)
        is_manifest(clips)
        assert "whole clips are read, not the parts that" in noted
    rows = [(*row, 0, 50) for row in ROWS]
    in_ms = table(root / "ms.csv", "path,label,start_ms,Segment end ms", rows)
    clips, noted = opened(in_ms, folds=2)
    is_manifest(clips)
    assert "not the parts that start_ms and Segment end ms may name" in noted
    assert opened(in_ms, columns="start=,end=", folds=2)[1] == ""


def no_seconds(root: Path) -> None:
    rows = [(*row, "00:00", "00:01") for row in ROWS]
    said = refused(table(clips_below(root) / "m.csv", "path,label,start,end", rows))
    assert "line 2: start '00:00' is not a number. Times are seconds, such as 90.5; --columns start=,end= reads" in said


def times_elsewhere(root: Path) -> None:
    rows = [(*row, 10 + n, 14 + n) for n, row in enumerate(ROWS)]
    clips, noted = opened(table(clips_below(root) / "m.csv", "path,label,start,end", rows), folds=2)
    is_manifest(clips)
    assert "lie beyond the end of 12 of 12 files" in noted
    assert clips.columns["start"].tolist() == list(range(10, 22))


def other_spellings(root: Path) -> None:
    clips_below(root)
    windows = [(path.replace("/", "\\"), name) for path, name in ROWS]
    is_manifest(opened(table(root / "w.csv", "path,label", windows), folds=2)[0])
    bare = [(path.removesuffix(".wav"), name) for path, name in ROWS]
    is_manifest(opened(table(root / "b.csv", "path,label", bare), folds=2)[0])
    loud = [(path.upper(), name) for path, name in ROWS]
    is_manifest(opened(table(root / "l.csv", "path,label", loud), folds=2)[0])
    fill(root / "u", [unicodedata.normalize("NFD", f"Hündin {n}.wav") for n in range(4)])
    rows = [(unicodedata.normalize("NFC", f"Hündin {n}.wav"), "ab"[n % 2]) for n in range(4)]
    all_there(opened(table(root / "u" / "m.csv", "path,label", rows), folds=2)[0])


def another_root(root: Path) -> None:
    clips_below(root / "elsewhere")
    is_manifest(opened(table(root / "m.csv", "path,label", ROWS), audio_root=root / "elsewhere", folds=2)[0])
    far = [(f"C:\\Users\\me\\{path.replace('/', chr(92))}", name) for path, name in ROWS]
    is_manifest(opened(table(root / "f.csv", "path,label", far), audio_root=root / "elsewhere", folds=2)[0])
    gone = [(f"/home/other/{path}", name) for path, name in ROWS]
    is_manifest(opened(table(root / "g.csv", "path,label", gone), audio_root=root / "elsewhere", folds=2)[0])
    assert "is no folder" in refused(root / "m.csv", audio_root=root / "nowhere")


def missing_files(root: Path) -> None:
    from soundprobe.data.scan import check_any_there, explain_first_missing, scan

    fill(root, ["a/dog_0.wav", "b/c/rain1.wav"])
    rows = [(path, name, n % 2) for n, (path, name) in enumerate([("a/dog0.wav", "dog"), ("b/rain1.wav", "rain")])]
    clips, _ = opened(table(root / "m.csv", "path,label,fold", rows))
    with pytest.raises(DataError, match=rf"none of the 2 clips is there\. Looked for {root}/a/dog0\.wav.*dog_0\.wav"):
        check_any_there(clips, scan(clips))
    second = clips.take(np.array([1]))
    assert f"A file of that name is in {root}/b/c: for a manifest, --audio-root {root}/b/c." in explain_first_missing(
        second, scan(second)
    )


def several_labels(root: Path) -> None:
    for name in ("dog;rain", "dog|rain", "['dog', 'rain']", "dog, rain"):
        said = refused(table(root / "m.csv", "path,label", [*ROWS, ("b.wav", name)]))
        assert f"line 14: label {name!r} names several classes" in said
    assert "has the labels 'dog' and 'rain'" in refused(
        table(root / "m.csv", "path,label", [*ROWS, (ROWS[0][0], "rain")])
    )
    # A comma alone is no second label.
    rows = [(path, f"{name}, inside") for path, name in ROWS]
    assert opened(table(root / "m.csv", "path,label", rows), folds=2)[0].class_names[0] == "dog, inside"


def alike_labels(root: Path) -> None:
    rows = [(path, name.upper() if n >= 6 else name) for n, (path, name) in enumerate(ROWS)]
    clips, noted = opened(table(root / "m.csv", "path,label", rows), folds=2)
    assert "the classes 'DOG', 'dog' differ only in case" in noted
    unseen = [(path, f"{name}\u200b" if n % 2 else name) for n, (path, name) in enumerate(ROWS)]
    assert "differ only in case" in opened(table(root / "m.csv", "path,label", unseen), folds=2)[1]
    assert len(clips.class_names) == 6


MANIFESTS: dict[str, Callable[[Path], None]] = {
    "`path,label`": plain,
    "semicolons, tabs or bars for commas, in `.csv`, `.tsv` or `.txt`": separators,
    "a line of JSON for each clip (`.jsonl`), or Parquet without audio in it (`.parquet`)": json_lines,
    "JSON where a path or label is nested or a list, or a key stands twice": nested_json,
    "fields that are missing or empty": missing_fields,
    "two columns of one name, also by another case where they have a role": columns_twice,
    "`nan`, `NA`, `None` and the like as a label": no_labels,
    "one label for all clips": one_label,
    "columns with other usual names: `filename`, `category`, `speaker` ...": usual_names,
    "columns whose names don't tell, or several that may": unclear_names,
    "one fold for all clips; other folds than `1` or `fold1`": no_folds,
    "`fold` or `split`": folds_or_splits,
    "`group` (`recording`, `speaker`, `src_file`)": groups,
    "`start` and `end`, in seconds": segments,
    "`start` and `end` that lie beyond most files": times_elsewhere,
    "one of `start` and `end`; other columns that may be times (`start_ms`)": one_time,
    "times that are no seconds (`01:30`)": no_seconds,
    "Windows paths, names in another Unicode form or case, without ending": other_spellings,
    "paths below another folder": another_root,
    "files that aren't there": missing_files,
    "several labels for a clip (`a;b`, lists, a file twice)": several_labels,
    "labels that differ in case, spaces or Unicode form": alike_labels,
}


def rows_of(heading: str) -> list[str]:
    section = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (found,) = [part for part in section if part.startswith(heading)]
    return [line.split(" | ")[0].removeprefix("| ") for line in found.splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize(("heading", "run"), [("Layouts", LAYOUTS), ("Manifests", MANIFESTS)])
def test_page_on_data_every_row_is_run(heading: str, run: dict[str, Callable[[Path], None]]) -> None:
    assert rows_of(heading) == list(run)


@pytest.mark.parametrize("row", [*LAYOUTS, *MANIFESTS])
def test_row_of_the_page_on_data_holds(row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "data").mkdir()
    {**LAYOUTS, **MANIFESTS}[row](tmp_path / "data")


@pytest.mark.parametrize(("made", "file"), [(urbansound8k, "metadata/UrbanSound8K.csv"), (esc50, "meta/esc50.csv")])
def test_metadata_that_name_a_clip_outside_the_data_set_are_refused(made: Any, file: str, tmp_path: Path) -> None:
    root = made(tmp_path / "data")
    first = (US8K if made is urbansound8k else ESC50)[0][0]
    (tmp_path / "secret.wav").write_bytes(wav(seed=0))
    (root / file).write_text((root / file).read_text().replace(first, "../../../secret.wav"))
    assert "leads out of the data set's folder" in refused(root)
