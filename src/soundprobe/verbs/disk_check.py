"""Everything that soundprobe has left on disk, checked: what is damaged, gone or left over, and what makes it again.

What carries its own digest, or is named by one, is read once. Pieces that a command makes again are taken away where
they are damaged; records stay, as they say by which command.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.weights.verify import WeightFile, known_digest, location, sha256_of, was_fetched
from soundprobe.base.as_one import is_whole
from soundprobe.base.digests import check_file, digest_of, is_as_named, is_signed
from soundprobe.base.errors import OTHER_BYTES, ConfigError, DamagedError, SoundprobeError, StoreError
from soundprobe.base.files import LEFT_OVER, parse_json, read_json, remove_file, remove_left_over
from soundprobe.base.locks import LOCK, locked
from soundprobe.base.progress import progress_bar
from soundprobe.base.remote import local
from soundprobe.base.stored import command_in
from soundprobe.embeddings.store import open_set
from soundprobe.scoring.fits import FitRecord
from soundprobe.scoring.results import check_network, fold_path, network_path, predicted_clips, read_result

State = Literal["damaged", "gone", "left over", "unsigned"]
RECORDS = (
    "inputs.json",
    "meta.json",
    "result.json",
    "peeking.json",
    "learning-curve.json",
    "shots.json",
    "published.json",
    "network.json",
)
VERSIONED = ("meta.json", "result.json", "network.json", "published.json")
PIECES = re.compile(
    r"part-\d{5,}\.parquet|predictions\.parquet|(fold-\d+(-network)?|fit)\.safetensors|fold-\d+-\S+\.(pt|json)|"
    r"(inputs|tags)\.json"
)
NAMED = re.compile(r"(spectrograms|waves|lengths)\.npy|network\.(xml|bin)")
"""Files whose digests stand in the record beside them."""
EXPORT = "export.json"
EXPORTED = re.compile(r"model\.(onnx|pt2|safetensors)|labels\.json")
"""Files whose digests stand in an export's record; they are not taken away, since nobody else may have them."""
FOLDER = "report-audio"
SOUND = re.compile(r"[0-9a-f]{16}(-\d+)?(-v[0-9a-f]+)?(-(?P<digest>[0-9a-f]{16}))?\.(mp3|webp)")
"""A report's sounds and pictures, which earlier versions named without their own digest."""
REPORT = re.compile(r"\.report-[0-9a-f]{12}")
REPORT_AGAIN = "soundprobe report"


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        why: as half a sentence; again: the command that makes it again, or "" where nothing says it.
        removed: whether it was taken away.
    """

    path: Path
    state: State
    why: str = ""
    again: str = ""
    removed: bool = False


@dataclass
class Verified:
    """How many files were checked, of how many bytes, and what was found."""

    files: int = 0
    size_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, path: Path, findings: Iterable[Finding]) -> None:
        self.findings += findings
        if path.is_file():
            self.files, self.size_bytes = self.files + 1, self.size_bytes + path.stat().st_size

    def count(self, state: State) -> int:
        return sum(finding.state == state for finding in self.findings)

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged or gone."""
        return not self.count("damaged") + self.count("gone")


def verify(places: Sequence[str | Path] | None = None, *, progress: bool = True) -> Verified:
    """Checks everything of soundprobe's below `places`, and takes away what is damaged or left over and made again.

    Args:
        places: folders, or files; by default `embeddings`, `heads`, `reports` and the weights in the cache.

    Raises:
        ConfigError: one of the places is not there. StoreError: a folder can't be listed.
    """
    given = [local(place, now=lambda _: True) for place in places or ()]
    missing = next((place for place in given if not place.exists()), None)
    if missing is not None:
        raise ConfigError(f"{missing}: there is no such folder or file. Name others, or none for the usual ones.")
    usual = [place for place in map(Path, ("embeddings", "heads", "reports")) if place.is_dir()]
    found = Verified()
    files = [path for place in given or usual for path in _ours(place)]
    weights = [] if given else [spec.weights for spec in BACKBONES.usable() if spec.weights is not None]
    with progress_bar("verify", len(files) + len(weights), "files", shown=progress) as bar:
        for path in files:
            found.add(path, _check(path))
            bar.advance(1)
        for file in weights:
            path = location(file)
            if path.exists():
                found.add(path, _check_weights(file, path))
            bar.advance(1)
    found.findings = [_mended(finding) for finding in found.findings]
    return found


def _ours(place: Path) -> Iterator[Path]:
    """What is checked at and below `place`, in the order of paths; links are not followed."""
    if place.is_file():
        yield place
        return

    def refuse(error: OSError) -> None:
        raise StoreError(f"Can't read {error.filename}: {error.strerror}. Allow it, or name other places.")

    for folder, folders, files in os.walk(place, onerror=refuse):
        folders.sort()
        here = Path(folder)
        if REPORT.fullmatch(here.name):
            folders.clear()
            yield here
            continue
        for name in sorted(files):
            kinds = (PIECES, NAMED, EXPORTED, LEFT_OVER, *[SOUND] * (here.name == FOLDER))
            if name.endswith(".json") or any(kind.fullmatch(name) for kind in kinds):
                yield here / name


def _check(path: Path) -> Iterator[Finding]:
    """What is wrong with a file, or with what the record in it names."""
    records = [folder / name for folder in path.parents[:2] for name in ("result.json", "meta.json")]
    records += [path] * (path.name == FitRecord.FILE)
    again = next(filter(None, map(command_in, records)), "")
    try:
        if LEFT_OVER.fullmatch(path.name):
            yield Finding(path, "left over", "its writer was stopped")
        elif REPORT.fullmatch(path.name):
            if not is_whole(path, "report"):
                yield Finding(path, "damaged", "the report's files are not those that were written", REPORT_AGAIN)
        elif path.parent.name == FOLDER and (sound := SOUND.fullmatch(path.name)):
            if not sound["digest"]:
                yield Finding(path, "unsigned")
            elif not is_as_named(path):
                yield Finding(path, "damaged", OTHER_BYTES, REPORT_AGAIN)
        elif NAMED.fullmatch(path.name) or EXPORTED.fullmatch(path.name):
            told = _told_of(path)
            if told is not None and told != (digest_of(path) if path.suffix == ".npy" else sha256_of(path)):
                yield Finding(path, "damaged", OTHER_BYTES, again)
        else:
            signed = is_signed(path)
            if not signed and path.suffix == ".json" and (path.name not in RECORDS or _is_anothers(path)):
                return  # somebody else's
            check_file(path)
            if not signed:
                yield Finding(path, "unsigned")
                if path.suffix in (".safetensors", ".parquet"):
                    (check_network if path.suffix == ".safetensors" else predicted_clips)(path)
            yield from (replace(finding, again=again) for finding in _named_by(path))
    except DamagedError as error:
        yield Finding(error.path, "damaged", error.why, again)
    except OSError as error:
        yield Finding(path, "damaged", f"it can't be read: {error.strerror or error}", again)
    except SoundprobeError as error:  # such as a record of another version
        yield Finding(path, "damaged", str(error), again)


def _is_anothers(path: Path) -> bool:
    """Whether the JSON without a digest says neither its version nor what made it, as all records that have them do."""
    if path.name not in VERSIONED:
        return False
    try:
        return not {"format", "command"} & set(parse_json(path.read_text(encoding="utf-8")))
    except ValueError:
        return False


def _check_weights(file: WeightFile, path: Path) -> Iterator[Finding]:
    try:
        expected = known_digest(file)
        if expected is None:  # nobody has asked for it yet
            yield Finding(path, "unsigned")
        elif sha256_of(path) != expected:
            remedy = "it is fetched again" if was_fetched(file) else "replace it"
            yield Finding(path, "damaged", f"its digest is not the right one; {remedy}")
    except SoundprobeError as error:
        yield Finding(path, "damaged", str(error))


def _told_of(path: Path) -> str | None:
    """The digest that the record beside `path` says; None where it says none, or is damaged itself."""
    try:
        if EXPORTED.fullmatch(path.name):
            return str(read_json(path.with_name(EXPORT))["files"][path.name])
        if path.suffix == ".npy":
            told: Mapping[str, str] = read_json(path.with_name("inputs.json")).get("digests", {})
            return told.get(path.name)
        return str(read_json(path.with_name("network.json"))["files"][0 if path.suffix == ".xml" else 1])
    except (StoreError, KeyError, IndexError, TypeError, AttributeError):
        return None


def _named_by(path: Path) -> Iterator[Finding]:
    """What a set's or a run's record names and isn't there; and what its JSON can't be.

    Raises:
        StoreError: the record can't be used.
    """
    if path.suffix == ".json":
        content = read_json(path)
    if path.name == "meta.json" and content.get("complete"):
        names = [part.file for part in open_set(path.parent).record.parts]
        needed = [path.with_name(name) for name in names]
    elif path.name == "result.json":
        record = read_result(path.parent)
        needed = [path.with_name("predictions.parquet")]
        if record.imported is None:
            needed += [fold_path(path.parent, fold) for fold in record.tested]
        if record.kind == "finetune":
            needed += [network_path(path.parent, fold) for fold in record.tested]
    elif path.name == EXPORT and isinstance(content.get("files"), dict):
        needed = [path.with_name(name) for name in content["files"] if EXPORTED.fullmatch(name)]
    else:
        return
    for piece in needed:
        if not piece.exists():
            yield Finding(piece, "gone", "its record names it")


def _mended(finding: Finding) -> Finding:
    """The finding, after what it is of was taken away, where a command makes that again and it can be."""
    path = finding.path
    ours = PIECES.fullmatch(path.name) or NAMED.fullmatch(path.name) or path.parent.name == FOLDER
    if finding.state != "left over" and not (finding.why == OTHER_BYTES and ours and _is_made_again(path)):
        return finding
    owner = next((folder for folder in path.parents[:2] if (folder / LOCK).exists()), path.parent)
    try:
        with locked(owner):
            if finding.state == "left over":
                remove_left_over(path)
            else:
                remove_file(path)
    except (StoreError, OSError):  # it is being written, or can't be
        return finding
    return replace(finding, removed=not path.exists())


def _is_made_again(path: Path) -> bool:
    """False of what was imported: nobody else may have it."""
    try:
        return read_result(path.parent).imported is None
    except DamagedError:
        return not path.parent.name.lstrip(".").startswith("import-")
    except StoreError:
        return True
