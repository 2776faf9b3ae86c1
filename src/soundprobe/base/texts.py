"""Columns of text for data of any size: held as UTF-8 or as digests, and read as numpy's arrays of str are.

numpy keeps four bytes a character of the longest text, and Python some sixty an object; N texts.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

BATCH = 65_536
REPEATED = 4


class CompactTexts(Sequence[str]):
    """N texts. An index gives a str, a slice or an index array or mask gives numpy's array of these."""

    dtype = np.dtype(np.str_)

    @abstractmethod
    def at(self, rows: np.ndarray) -> list[str]:
        """The texts of `rows` (n,) int."""

    def batches(self) -> Iterator[list[str]]:
        """All texts in their order, some at a time."""
        for start in range(0, len(self), BATCH):
            yield self.at(np.arange(start, min(start + BATCH, len(self))))

    def __iter__(self) -> Iterator[str]:
        return itertools.chain.from_iterable(self.batches())

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, int | np.integer):
            return self.at(np.array([range(len(self))[key]]))[0]
        rows = np.arange(*key.indices(len(self))) if isinstance(key, slice) else np.asarray(key)
        return np.array(self.at(np.flatnonzero(rows) if rows.dtype == bool else rows), dtype=np.str_)

    def coded(self) -> tuple[np.ndarray, list[str]]:
        """(N,) int32, which of the distinct texts, in the order of their first places, each is; and those."""
        values: dict[str, int] = {}
        codes = np.fromiter((values.setdefault(text, len(values)) for text in self), np.int32, len(self))
        return codes, list(values)

    def argsort(self, *_: Any, **__: Any) -> np.ndarray:
        """(N,) int64, as `np.argsort` asks for it."""
        return np.argsort(np.asarray(self), kind="stable")

    def take(self, rows: np.ndarray) -> CompactTexts:
        """Those of `rows` (n,) int, held likewise."""
        some = (self.at(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH))
        return texts_of(itertools.chain.from_iterable(some))

    def tolist(self) -> list[str]:
        return list(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.tolist(), dtype=np.str_ if dtype is None else dtype)

    def __eq__(self, other: object) -> Any:
        """(N,) bool, as numpy's."""
        if other is self:
            return np.ones(len(self), dtype=bool)
        those: Any = itertools.repeat(other) if isinstance(other, str) else other
        return np.fromiter((one == its for one, its in zip(self, those, strict=False)), bool, len(self))

    def __ne__(self, other: object) -> Any:
        return ~(self == other)

    __hash__ = None  # type: ignore[assignment]


class Texts(CompactTexts):
    """Texts one after the other in UTF-8: their bytes, and where each ends (N,) int64; as Arrow holds strings."""

    def __init__(self, content: bytes, ends: np.ndarray) -> None:
        self.content, self.ends = content, ends

    def __len__(self) -> int:
        return len(self.ends)

    def at(self, rows: np.ndarray) -> list[str]:
        ends = self.ends[rows].tolist()
        begins = np.where(np.asarray(rows) > 0, self.ends[np.asarray(rows) - 1], 0).tolist()
        return [self.content[begin:end].decode() for begin, end in zip(begins, ends, strict=True)]

    def argsort(self, *_: Any, **__: Any) -> np.ndarray:
        import pyarrow as pa
        import pyarrow.compute as pc

        bounds = pa.py_buffer(np.concatenate([[0], self.ends]))
        column = pa.LargeStringArray.from_buffers(len(self), bounds, pa.py_buffer(self.content))
        order: np.ndarray = pc.sort_indices(column).to_numpy().astype(np.int64)
        return order


class CodedTexts(CompactTexts):
    """Texts that repeat: the distinct ones, by their first places, and which of them each is (N,) int32."""

    def __init__(self, values: Sequence[str], codes: np.ndarray) -> None:
        self.values, self.codes = list(values), codes

    def __len__(self) -> int:
        return len(self.codes)

    def __contains__(self, text: object) -> bool:
        return text in self.values

    def at(self, rows: np.ndarray) -> list[str]:
        return [self.values[code] for code in self.codes[rows].tolist()]

    def coded(self) -> tuple[np.ndarray, list[str]]:
        return self.codes, self.values

    def __eq__(self, other: object) -> Any:
        if isinstance(other, str):
            return self.codes == (self.values.index(other) if other in self.values else -1)
        return super().__eq__(other)

    __hash__ = None


class TextsBuilder:
    """Texts that come one after the other; they are coded as long as one in `REPEATED` or fewer is new."""

    def __init__(self) -> None:
        self._values: dict[str, int] = {}
        self._codes: list[np.ndarray] | None = []
        self._content: list[bytes] = []
        self._lengths: list[np.ndarray] = []
        self._waiting: list[str] = []

    def extend(self, texts: Sequence[str]) -> None:
        """`BATCH` or fewer at once."""
        self._waiting += texts
        if len(self._waiting) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._codes is not None:
            codes = (self._values.setdefault(text, len(self._values)) for text in waiting)
            self._codes.append(np.fromiter(codes, np.int32, len(waiting)))
            if REPEATED * len(self._values) > sum(map(len, self._codes)):
                values, before = list(self._values), self._codes
                self._values, self._codes = {}, None
                for part in before:
                    self._hold([values[code] for code in part.tolist()])
        else:
            self._hold(waiting)

    def _hold(self, texts: Sequence[str]) -> None:
        encoded = [text.encode() for text in texts]
        self._lengths.append(np.fromiter(map(len, encoded), np.int32, len(encoded)))
        self._content.append(b"".join(encoded))

    def column(self) -> Sequence[str]:
        """As `texts`; where fewer than `BATCH` came, the list of them."""
        return self._waiting if self._codes == [] else self.texts()

    def texts(self) -> Texts | CodedTexts:
        """All that came; the builder is used up."""
        self._flush()
        if self._codes is not None:
            return CodedTexts(list(self._values), np.concatenate(self._codes))
        return Texts(b"".join(self._content), np.cumsum(np.concatenate(self._lengths), dtype=np.int64))


def texts_of(texts: Iterable[str]) -> Texts | CodedTexts:
    """The texts as they take least memory."""
    made, rest = TextsBuilder(), iter(texts)
    while some := list(itertools.islice(rest, BATCH)):
        made.extend(some)
    return made.texts()


class HexTexts(CompactTexts):
    """Digests as hexadecimal texts, held as their bytes (N, k) uint8; of zeros alone it is ""."""

    def __init__(self, digests: np.ndarray) -> None:
        self.digests = digests

    def __len__(self) -> int:
        return len(self.digests)

    def at(self, rows: np.ndarray) -> list[str]:
        own = self.digests[rows]
        return [digest.tobytes().hex() if there else "" for digest, there in zip(own, own.any(axis=1), strict=True)]


def first_of_each(texts: Sequence[str] | np.ndarray, key: Callable[[str], str] = str) -> np.ndarray:
    """(N,) int64, for each of the texts the row where its `key` stands first; holds 24 bytes a text meanwhile."""
    hashes = np.fromiter((hash(key(text)) for text in texts), np.int64, len(texts))
    order = np.argsort(hashes, kind="stable")
    alike = hashes[order[1:]] == hashes[order[:-1]]
    first = np.arange(len(texts))
    seen: dict[str, int] = {}
    for place in np.flatnonzero(alike).tolist():
        for row in order[place : place + 2].tolist():
            first[row] = seen.setdefault(key(texts[row]), row)
    return first
