"""Sound as Python has it, as the sources of clips: arrays, tensors, bytes, file objects and rows of `datasets`.

Letters: T samples.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import soundfile

from soundprobe.audio.decode import RATES_HZ
from soundprobe.base.errors import AudioError, ConfigError, DataError
from soundprobe.base.records import EncodedAudio, Source

MOST_CHANNELS = 32
"""More rows are no channels but a batch or a spectrogram."""
VALID = (
    "Give a path, bytes, a file opened in binary, an array (T,) or (channels, T) with sample_rate_hz, a row of "
    "datasets.Audio, or a list of these"
)


def sources_of(sound: Any, sample_rate_hz: float | None = None) -> list[Source]:
    """The clips that `sound` is, in its order; nothing is decoded yet.

    Args:
        sound: one clip or an iterable of clips. A clip is a path; encoded bytes; a file object opened in binary; an
            array or tensor (T,) or (channels, T) of floats in [-1, 1]; a row of `datasets.Audio`, {"array",
            "sampling_rate"}, {"bytes", "path"} or its AudioDecoder.
        sample_rate_hz: of arrays that don't bring it.

    Raises:
        AudioError: an array has integers or another shape. ConfigError: its rate is missing or not valid.
        DataError: something is no sound.
    """
    if sample_rate_hz is not None:
        _check_rate(sample_rate_hz)
    single = _source(sound, sample_rate_hz, "")
    if single is not None:
        return [single]
    if not isinstance(sound, Iterable):
        raise DataError(f"{_shown(sound)} is no sound. {VALID}.")
    found = []
    for number, one in enumerate(sound, 1):
        source = _source(one, sample_rate_hz, f" {number}")
        if source is None and isinstance(one, int | float | np.number):
            raise DataError(
                "A list of numbers is no sound. Give numpy.asarray(x, dtype='float32') with its sample_rate_hz."
            )
        if source is None:
            raise DataError(f"Item {number}, {_shown(one)}, is no sound. {VALID}.")
        found.append(source)
    return found


def _source(one: Any, rate_hz: float | None, number: str) -> Source | None:
    """A single clip's source; None where `one` is none. `number` follows what it is called."""
    if isinstance(one, EncodedAudio | str | os.PathLike):
        return one
    if isinstance(one, bytes | bytearray | memoryview):
        return EncodedAudio(f"bytes{number}", partial(bytes, one))
    if isinstance(one, np.ndarray) or hasattr(one, "__dlpack__"):  # torch's, JAX's and others' arrays
        return _of_array(one, rate_hz, f"array{number}")
    if isinstance(one, Mapping):
        return _of_row(one, rate_hz, number)
    if hasattr(one, "get_all_samples"):  # the AudioDecoder of torchcodec, which datasets 4 gives
        samples = one.get_all_samples()
        return _of_array(samples.data, samples.sample_rate, f"audio{number}")
    if hasattr(one, "read"):
        return _of_file(one, number)
    return None


def _of_row(row: Mapping[str, Any], rate_hz: float | None, number: str) -> Source:
    path = row.get("path")
    name = os.path.basename(path) if isinstance(path, str) and path else f"row{number}"
    if row.get("array") is not None:
        own_hz = row.get("sampling_rate")
        if own_hz is not None and rate_hz is not None and own_hz != rate_hz:
            raise ConfigError(f"{name} has {own_hz} Hz, so sample_rate_hz={rate_hz:g} can't be. Leave it out.")
        return _of_array(np.asarray(row["array"]), rate_hz if own_hz is None else own_hz, name)
    if isinstance(row.get("bytes"), bytes):
        return EncodedAudio(name, partial(bytes, row["bytes"]))
    if isinstance(path, str) and path:
        return path
    keys = ", ".join(map(str, row))[:100]
    raise DataError(
        f"A row with {keys or 'nothing'} is no sound. Give {{'array', 'sampling_rate'}} or {{'bytes', 'path'}}, such "
        'as row["audio"].'
    )


def _of_file(file: Any, number: str) -> Source:
    name = getattr(file, "name", None)
    content = file.read()
    if not isinstance(content, bytes):
        raise DataError(f"{_shown(file)} gives text. Open the file in binary: open(path, 'rb').")
    return EncodedAudio(os.path.basename(name) if isinstance(name, str) else f"file{number}", partial(bytes, content))


def _of_array(array: Any, rate_hz: float | None, name: str) -> EncodedAudio:
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        array = (array.float() if array.is_floating_point() else array).numpy()
    array = np.asarray(array)
    if array.dtype.kind in "US" or array.dtype == object:
        raise DataError(f"{name} is no sound but has {array.dtype} items. Of paths or clips give a list.")
    if array.dtype.kind in "iu":
        full = 2 ** (8 * array.dtype.itemsize - 1)
        raise AudioError(
            name, f"{array.dtype} samples, where floats in [-1, 1] are needed: divide by {full} (x / {full}.0)"
        )
    if array.dtype.kind != "f":
        raise AudioError(name, f"{array.dtype} samples, where floats in [-1, 1] are needed")
    if array.ndim not in (1, 2):
        raise AudioError(name, f"shape {array.shape}: give (T,) or (channels, T), and several clips as a list")
    if array.ndim == 2 and (array.shape[0] > MOST_CHANNELS or array.shape[0] > array.shape[1] > 0):
        raise AudioError(
            name, f"shape {array.shape}: give (channels, T), such as x.T of (T, channels), and several clips as a list"
        )
    if array.size == 0:
        raise AudioError(name, "no samples")
    if not np.isfinite(array).all():
        raise AudioError(name, "NaN or infinite samples")
    if rate_hz is None:
        raise ConfigError(f"{name} doesn't say its rate. Give sample_rate_hz, such as sample_rate_hz=44100.")
    return EncodedAudio(name, partial(_encoded, array, _check_rate(rate_hz)))


def _encoded(array: np.ndarray, rate_hz: int) -> bytes:
    """(T,) or (channels, T) as a W64 file of float32, which goes the way of every file."""
    content = io.BytesIO()
    soundfile.write(content, array.astype(np.float32).T, rate_hz, format="W64", subtype="FLOAT")
    return content.getvalue()


def _check_rate(rate_hz: Any) -> int:
    """The rate. Raises ConfigError where it is no whole number of Hz that is read."""
    lowest, highest = RATES_HZ
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, int | float | np.number):
        raise ConfigError(f"sample_rate_hz={rate_hz!r} is not valid: give a whole number of Hz, such as 44100.")
    if not lowest <= rate_hz <= highest or rate_hz != int(rate_hz):
        raise ConfigError(
            f"sample_rate_hz={rate_hz:g} is not valid: give a whole number from {lowest:,} to {highest:,} Hz."
        )
    return int(rate_hz)


def _shown(value: object) -> str:
    return f"a {type(value).__name__}" if not isinstance(value, int | float | None) else repr(value)
