"""Compact columns of text: numpy's array of the same texts, in every way that columns are used."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from soundprobe.base import texts
from soundprobe.base.texts import CodedTexts, HexTexts, Texts, first_of_each, texts_of

DIFFERENT = [f"klänge/{number:03d} ☃.wav" for number in range(40)]
SOME = {
    Texts: [*DIFFERENT[::-1], "", "z" * 300, "a\0b", "🐦"],
    CodedTexts: ["train", "test", "", "train"] * 12,
    HexTexts: ["00ff" * 16, "", "ab" * 32, "00ff" * 16],
}


def made(kind: type) -> texts.CompactTexts:
    if kind is not HexTexts:
        return texts_of(SOME[kind])
    return HexTexts(np.stack([np.frombuffer(bytes.fromhex(one) or bytes(32), np.uint8) for one in SOME[kind]]))


@pytest.mark.parametrize("kind", SOME)
@pytest.mark.parametrize("batch", [3, 1000])
def test_compact_texts_read_as_an_array_of_str_does(kind, batch, monkeypatch):
    monkeypatch.setattr(texts, "BATCH", batch)
    found, plain = made(kind), np.array(SOME[kind])
    assert type(found) is kind or batch == 3
    rows = np.random.default_rng(0).permutation(len(plain))
    for key in (rows, rows[:0], slice(1, 4), slice(None, None, -1), plain == plain[0], [0, 2]):
        np.testing.assert_array_equal(found[key], plain[key])
    assert [found[0], found[-1], found[np.int64(1)]] == plain[[0, -1, 1]].tolist()
    with pytest.raises(IndexError):
        found[len(plain)]
    assert found.tolist() == list(found) == list(found.take(rows)[np.argsort(rows)]) == plain.tolist()
    np.testing.assert_array_equal(plain[np.argsort(found, kind="stable")], np.sort(plain))
    for other in (str(plain[0]), "none", plain[::-1], found):
        np.testing.assert_array_equal(found == other, plain == np.asarray(other))
        np.testing.assert_array_equal(found != other, plain != np.asarray(other))
    assert plain[0] in found
    assert "none" not in found
    codes, values = found.coded()
    assert [values[code] for code in codes] == plain.tolist()
    assert values == list(dict.fromkeys(plain.tolist()))
    np.testing.assert_array_equal(np.unique(found), np.unique(plain))
    assert pickle.loads(pickle.dumps(found)).tolist() == plain.tolist()


def test_texts_that_cease_to_repeat_are_coded_no_more(monkeypatch):
    monkeypatch.setattr(texts, "BATCH", 8)
    given = ["a", "b"] * 20 + DIFFERENT
    found = texts_of(given)
    assert type(found) is Texts
    assert found.tolist() == given


def test_first_of_each_tells_texts_of_one_hash_apart(monkeypatch):
    given = ["a", "b", "a", "c", "b", "a"]
    assert first_of_each(given).tolist() == [0, 1, 0, 3, 1, 0]
    monkeypatch.setattr(texts, "hash", lambda text: 7, raising=False)
    assert first_of_each(given).tolist() == [0, 1, 0, 3, 1, 0]
    assert first_of_each(["x.wav", "X.wav"], str.casefold).tolist() == [0, 0]
