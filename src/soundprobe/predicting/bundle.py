"""A run in a folder of its own: `export.json` says what it is, `model.safetensors` holds networks and heads.

Such a folder may be a stranger's. Its JSON is checked as such, and nothing in it names code: backbones and heads are
those of the catalogue and of installed packages, or what the user allows by its address.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from soundprobe.audio.decode import check_channels
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.weights.verify import sha256_of
from soundprobe.base.errors import ConfigError, StoreError
from soundprobe.base.files import atomic_path
from soundprobe.base.machine import choose_device
from soundprobe.base.registry import code_of
from soundprobe.base.stored import BackboneRecord, Count, DatasetRecord, Entry, Record, Settings
from soundprobe.heads.catalog import HEADS, load_head
from soundprobe.heads.novelty import Novelty
from soundprobe.predicting.predictor import Member, Predictor
from soundprobe.predicting.windows import LEAST_S
from soundprobe.scoring.thresholds import NEVER
from soundprobe.training.tuned_backbones import FINETUNED, KIND

if TYPE_CHECKING:
    from torch import Tensor

    from soundprobe.backbones.load import LoadedBackbone

FILE, WEIGHTS, LABELS, CARD = "export.json", "model.safetensors", "labels.json", "README.md"
Format = Literal["onnx", "torch", "bundle"]
NOVELTY, TRAINED = "novelty.", "trained.sha256"
LONGEST_BYTES = 16_000_000
"""Of `export.json`: that of 50 heads and 10,000 classes is shorter."""


class HeadEntry(Entry):
    """What a head's `state_params` gave."""

    params: Settings


class MemberEntry(Entry):
    """See `predicting.predictor.Member`."""

    backbones: Annotated[list[BackboneRecord], Field(min_length=1)]
    heads: Annotated[list[HeadEntry], Field(min_length=1)]


class ScoreEntry(Entry):
    """A mean over folds with its 95 % interval, whose ends are None where the data give none."""

    mean: float
    low: float | None = None
    high: float | None = None


class CheckEntry(Entry):
    """What the written file gave beside the run itself, on made-up waves of several lengths.

    Attributes:
        runtime: with its version; proba_differs: the largest difference of a probability; embedding_differs: that of a
            number of an embedding, as a share of the largest one where that is above 1.
        clip_seconds: of one clip, which took `milliseconds` there and `here_milliseconds` in soundprobe, both on
            `threads` threads of a CPU.
    """

    runtime: str
    proba_differs: float
    embedding_differs: float
    clip_seconds: float
    milliseconds: float
    here_milliseconds: float
    threads: Count


class ExportRecord(Record):
    """`export.json`.

    Attributes:
        name: the run's; key: its head's; created, versions: when (ISO 8601) and with what it was written.
        dataset: what it was trained on, without where that was; recordings: how many that are.
        data_licence: as the user says, or of a data set that is known; None where nobody says.
        accuracy, macro_f1: of its cross-validation; accuracy_std: population, between folds.
        controls: accuracy by the name of each control and run without a network on the same data.
        head: a key of `HEADS`; code_sha256: of another package's, see `registry.code_of`.
        members: what is asked; files: name -> SHA-256, of all other files but the card.
        recipe: of a fit, the run whose recipe it is, and whose accuracy this is.
        trained_s: see `Predictor`; thresholds: None of a class that is never told; novelty: from which distance on a
            clip is none of the classes.
        checked: of a graph.
    """

    REMEDY: ClassVar[str] = "Export it again."
    kind: Format
    name: str
    key: str
    created: str
    versions: Settings
    dataset: DatasetRecord
    recordings: Count | None = None
    data_licence: str | None = None
    accuracy: ScoreEntry | None = None
    accuracy_std: float | None = None
    macro_f1: ScoreEntry | None = None
    controls: dict[str, float] = Field(default={})
    head: str
    code_sha256: str | None = None
    members: Annotated[list[MemberEntry], Field(min_length=1)]
    trained_s: Annotated[float, Field(ge=LEAST_S, allow_inf_nan=False)] | None = None
    thresholds: dict[str, Annotated[float, Field(ge=0, le=1)] | None] | None = None
    novelty: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    recipe: str | None = None
    files: dict[str, str]
    checked: CheckEntry | None = None

    @property
    def backbones(self) -> list[BackboneRecord]:
        """Each once, however many networks of it there are."""
        every = (backbone for member in self.members for backbone in member.backbones)
        return list({backbone.name: backbone for backbone in every}.values())


def read_export(folder: Path) -> ExportRecord:
    """What the folder of an export says of itself.

    Raises:
        StoreError: it is none, or not one that this version reads.
    """
    path = folder / FILE
    try:
        size = path.stat().st_size
    except OSError as error:
        raise StoreError(f"No export in {folder}: {FILE} can't be read ({error.strerror}).") from error
    if size > LONGEST_BYTES:
        raise StoreError(f"{path} has {size / 1e6:.0f} MB, more than any export's. {ExportRecord.REMEDY}")
    return ExportRecord.read(path)


def is_export(folder: Path) -> bool:
    """Whether there is something that calls itself one; see `read_export`."""
    return (folder / FILE).is_file()


def write_weights(predictor: Predictor, path: Path) -> None:
    """All numbers that a bundle needs, atomically."""
    import torch
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    for number, member in enumerate(predictor.members):
        for place, backbone in enumerate(member.backbones):
            network: Any = backbone.network
            if backbone.settings.get("precision", "fp32") != "fp32":
                network = getattr(network, "network", network)
            for name, tensor in network.state_dict().items():
                tensors[f"{_backbone(number, place)}{name}"] = tensor.detach().cpu().contiguous().clone()
        for place, head in enumerate(member.heads):
            for name, array in head.state_dict().items():
                tensors[f"{_head(number, place)}{name}"] = torch.from_numpy(np.ascontiguousarray(array))
    if predictor.novelty is not None:
        for name, array in predictor.novelty.arrays().items():
            tensors[f"{NOVELTY}{name}"] = torch.from_numpy(array)
    tensors[TRAINED] = torch.from_numpy(predictor.known.view(np.int64))
    with atomic_path(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # as the system gives new files; safetensors' are the writer's alone
        save_file(tensors, temporary)
        temporary.chmod(mode)


def describe_members(predictor: Predictor) -> list[dict[str, Any]]:
    """`ExportRecord.members`."""
    return [
        {
            "backbones": [
                {name: value for name, value in backbone.describe().items() if name != "folders"}  # of this machine
                for backbone in member.backbones
            ],
            "heads": [{"params": head.state_params()} for head in member.heads],
        }
        for member in predictor.members
    ]


def load_bundle(folder: Path, *, channels: str | None = None, device: str = "auto") -> Predictor:
    """The heads and networks of the bundle in `folder`, which may be a stranger's.

    Raises:
        StoreError: it is none, damaged, or its parts don't fit each other.
        ConfigError: it is an export of another kind, needs a package that isn't installed, or another version of what
            it was written with.
    """
    record = read_export(folder)
    if record.kind != "bundle":
        raise ConfigError(
            f"{folder} is an export for other runtimes ({record.kind}), whose {CARD} says how to call it. To predict "
            "here, export with --format bundle."
        )
    if code_of(HEADS.of_record(record.head, folder / FILE).target).get("code_sha256") != record.code_sha256:
        raise ConfigError(
            f"The heads in {folder} were trained by other code than {record.head} has now. Install that version."
        )
    path = folder / WEIGHTS
    if sha256_of(path) != record.files.get(WEIGHTS):
        raise StoreError(f"{path} is not the file that {FILE} beside it describes. {ExportRecord.REMEDY}")
    members, novelty, known = _members(record, path)
    thresholds = None
    if record.thresholds is not None:
        if unknown := set(record.thresholds) - set(record.dataset.class_names):
            raise StoreError(f"{folder} has thresholds of {len(unknown)} classes that it lacks. {ExportRecord.REMEDY}")
        thresholds = {name: NEVER if least is None else least for name, least in record.thresholds.items()}
    return Predictor(
        folder,
        tuple(record.dataset.class_names),
        tuple(members),
        choose_device(device),
        channels,
        trained_s=record.trained_s,
        thresholds=thresholds,
        novelty=novelty,
        known=known,
        head=record.head,
    )


def _members(record: ExportRecord, path: Path) -> tuple[list[Member], Novelty | None, np.ndarray]:
    """What is asked, how unlike the training clips an embedding is, where a fit knows that, and `Predictor.known`."""
    from safetensors import SafetensorError, safe_open

    from soundprobe.embeddings.framed import as_taken

    n_classes, members = len(record.dataset.class_names), []
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())

            def under(prefix: str) -> dict[str, Tensor]:
                return {name.removeprefix(prefix): file.get_tensor(name) for name in names if name.startswith(prefix)}

            for number, told in enumerate(record.members):
                backbones = tuple(
                    _filled(one, under(_backbone(number, place)), path) for place, one in enumerate(told.backbones)
                )
                heads = tuple(
                    load_head(
                        record.head,
                        {name: tensor.numpy() for name, tensor in under(_head(number, place)).items()},
                        one.params,
                    )
                    for place, one in enumerate(told.heads)
                )
                width = sum(backbone.spec.embedding_dim for backbone in backbones)
                for head in heads:
                    _check_fits(head, width, n_classes, path)
                members.append(Member(tuple(as_taken(one, record.head) for one in backbones), heads))
            trained = under(TRAINED).get("")
            known = np.empty(0, np.int64) if trained is None else trained.numpy().reshape(-1).astype(np.int64)
            known = np.sort(known.view(np.uint64))
            novelty = None
            if record.novelty is not None:
                arrays = {name: tensor.numpy() for name, tensor in under(NOVELTY).items()}
                novelty = Novelty.from_arrays(arrays, record.novelty)
                if len(novelty.centre) != width or len(members) != 1:
                    raise ValueError(f"a distance of {len(novelty.centre)} numbers for embeddings of {width}")
    except (OSError, SafetensorError, TypeError, ValueError) as error:
        raise StoreError(f"{path} can't be read as networks and heads ({error}). {ExportRecord.REMEDY}") from error
    return members, novelty, known


def _filled(told: BackboneRecord, state: Mapping[str, Tensor], path: Path) -> LoadedBackbone:
    """The backbone that `told` describes with the weights `state`."""
    from soundprobe.backbones.half import HALF_TYPES
    from soundprobe.backbones.load import LoadedBackbone, WeightsInfo, choices_in, load_backbone, misfits
    from soundprobe.embeddings.framed import framed_as_told
    from soundprobe.embeddings.precision import declared, in_half

    settings, name = told.settings, plain_name(told)
    known = BACKBONES.of_record(name, path.with_name(FILE))
    seconds, precision = settings.get("clip_seconds"), told.precision
    channels = settings.get("channels", "mean")
    texts = [settings.get(name) for name in ("layers", "pool")]
    if not isinstance(seconds, int | float | None) or not all(isinstance(text, str | None) for text in texts):
        raise StoreError(f"{path.with_name(FILE)} has no valid settings of {name!r}. {ExportRecord.REMEDY}")
    check_channels(channels)
    how: dict[str, Any] = {"clip_seconds": seconds, **choices_in(settings), "shortcuts": False, "progress": False}
    plain = load_backbone(name, weights=known.weights_at_hand, **how).on_channels(channels)
    plain = framed_as_told(declared(plain, precision) if precision in HALF_TYPES else plain, settings)
    own = {setting: value for setting, value in settings.items() if setting != "run"}  # of fine-tuning
    mine = {**json.loads(json.dumps(plain.settings)), "clip_seconds": seconds}
    if mine != own:
        differing = sorted(key for key in {*mine, *own} if mine.get(key) != own.get(key))
        raise ConfigError(
            f"{path.parent} belongs to {name} with another {', '.join(differing)} than this version has. Open it with "
            "the version that wrote it, or export the run again."
        )
    problems = misfits(plain.network.state_dict(), state)
    if problems:
        raise StoreError(f"{path} holds no {name}: {'; '.join(problems)}. {ExportRecord.REMEDY}")
    if state:
        network: Any = plain.network
        network.load_state_dict(state)
    info = WeightsInfo(told.weights, told.weights_sha256, told.weights_label)  # type: ignore[arg-type]
    spec = dataclasses.replace(plain.spec, name=told.name, title=told.title)
    found = LoadedBackbone(spec, plain.network, info, dict(settings))
    return in_half(found) if precision in HALF_TYPES else found


def _check_fits(head: Any, width: int, n_classes: int, path: Path) -> None:
    classes = np.asarray(head.classes_)
    known = classes.ndim == 1 and classes.dtype.kind == "i" and len(set(classes.tolist())) == len(classes)
    if not known or classes.min() < 0 or classes.max() >= n_classes or head.n_features_in_ != width:
        raise StoreError(
            f"{path}: a head of {head.n_features_in_} numbers and {len(classes)} classes doesn't fit embeddings of "
            f"{width} numbers and {n_classes} classes. {ExportRecord.REMEDY}"
        )


def plain_name(told: BackboneRecord) -> str:
    """Of the catalogue's spec that it was made of."""
    return told.name.removesuffix(FINETUNED) if told.weights == KIND else told.name


def _backbone(member: int, place: int) -> str:
    return f"member.{member}.backbone.{place}."


def _head(member: int, place: int) -> str:
    return f"member.{member}.head.{place}."
