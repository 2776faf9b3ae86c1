"""The networks of a finished fine-tuning run as backbones, each belonging to the one fold that it never saw.

A run is `heads/<dataset>/<backbone>-<key>/finetune-<key>/`; the network of fold f was trained on the other folds' clips
and may embed any clip, but only the clips of fold f may be scored on what it gives.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.weights.verify import sha256_of
from soundprobe.base.digests import read_checked
from soundprobe.base.errors import ConfigError, DamagedError, DataError, StoreError, one_line
from soundprobe.base.files import digest_key, printable
from soundprobe.base.records import Clips
from soundprobe.base.stored import DatasetRecord
from soundprobe.data.scan import Scan
from soundprobe.scoring import results
from soundprobe.scoring.run_names import WHY_NOT
from soundprobe.scoring.run_records import NetworkRecord, RunRecord

if TYPE_CHECKING:
    from soundprobe.backbones.load import LoadedBackbone

KIND: Final = "fine-tuned"
FINETUNED = "-finetuned"
"""What the names of such backbones end in."""


@dataclass(frozen=True, eq=False)
class FinetunedRun:
    """A finished run: its folder, its record, and the digest of each fold's network file."""

    folder: Path
    record: RunRecord
    networks: Mapping[int, str]

    @property
    def key(self) -> str:
        return self.record.head.key

    @property
    def folds(self) -> list[int]:
        return sorted(self.networks)

    @property
    def embedding_dim(self) -> int:
        assert self.record.backbone.embedding_dim is not None, "told of every run that trained something"
        return self.record.backbone.embedding_dim

    @property
    def dataset(self) -> DatasetRecord:
        return self.record.dataset

    @property
    def networks_sha256(self) -> str:
        """Of all folds' networks together: no old embeddings stand beside those of networks that were trained again."""
        return digest_key({str(fold): sha256 for fold, sha256 in self.networks.items()})

    def check_data(self, data_digest: str) -> None:
        """Raises DataError where the clips are not those that the run was trained on."""
        if data_digest != self.dataset.fingerprint:
            raise DataError(
                f"These clips are not those that {self.folder} was trained on (fingerprint {data_digest[:12]}..., not "
                f"{self.dataset.fingerprint[:12]}...): a network may have been trained on clips that it would be "
                "tested on. Give the --data of the run, or fine-tune again."
            )

    def clip_seconds(self, scanned: Scan) -> float:
        """The length that every clip had in training: the longest one's, where the backbone takes any.

        Args:
            scanned: of the run's own clips.
        """
        told = self.record.backbone
        spec = BACKBONES[told.name]
        longest_s = float(scanned.duration_s.max())
        return spec.input_samples(longest_s, told.settings["clip_seconds"]) / spec.sample_rate_hz

    def describe(self) -> dict[str, Any]:
        """What embeddings and heads keep of the run: where and what it is, and what its networks began as."""
        return {
            "run": self.key,
            "path": printable(str(self.folder.resolve())),
            "backbone": self.record.backbone.name,
            "backbone_key": self.record.backbone.key,
            "start": self.record.backbone.weights_label,
            "seed": self.record.head.seed,
            "recipe": dict(self.record.head.settings),
            "folds": self.folds,
            "networks_sha256": self.networks_sha256,
            "networks": {str(fold): sha256 for fold, sha256 in self.networks.items()},
        }


def open_run(path: str | Path) -> FinetunedRun:
    """The run in the folder `path`, or of the network file `path` in it.

    Raises:
        ConfigError: it is no fine-tuning run, or its networks were carried over from fold to fold.
        StoreError: a fold or its network is missing.
    """
    folder = Path(path).parent if Path(path).is_file() else Path(path)
    if not folder.is_dir():
        raise ConfigError(
            f"--finetuned {path}: there is no such run. Give the folder that `soundprobe finetune` printed, such as "
            "heads/urbansound8k/mn04-.../finetune-...."
        )
    if not (folder / "result.json").exists() and not list(folder.glob("fold-*-network.safetensors")):
        raise ConfigError(f"--finetuned {folder} is no folder of a fine-tuning run: it holds no networks.")
    record = results.read_result(folder)
    if record.kind != "finetune":
        raise ConfigError(f"--finetuned {folder} {WHY_NOT[record.kind]}. Give a finetune-... folder.")
    if record.head.settings.get("carry_over"):
        raise ConfigError(
            f"--finetuned {folder}: its network was carried over from fold to fold, so it was trained on the clips of "
            "every fold but the first before it was tested on them. Fine-tune without --carry-over."
        )
    BACKBONES.of_record(record.backbone.name, folder)
    folds = record.dataset.folds
    missing = [fold for fold in folds if fold not in record.tested or not results.network_path(folder, fold).exists()]
    if missing:
        raise StoreError(
            f"{folder} lacks the network of fold {', '.join(map(str, missing))}, and embeddings are made of all folds "
            f"or none. Finish the run first: {record.command}"
        )
    return FinetunedRun(folder, record, {fold: sha256_of(results.network_path(folder, fold)) for fold in folds})


def load_network(run: FinetunedRun, fold: int, clip_seconds: float | None, *, shortcuts: bool = True) -> LoadedBackbone:
    """The network that never saw `fold`, without its head, as a backbone called "<name>-finetuned".

    Args:
        clip_seconds: the length of every clip in training, which its embeddings keep; None for the network's own rule.
        shortcuts: see `Backbone.allow_shortcuts`.

    Raises:
        StoreError: the file is damaged, or is not this run's network of this fold.
        ConfigError: this version's front end is not the one that the network was trained on.
    """
    from soundprobe.backbones.load import LoadedBackbone, WeightsInfo, choices_in, load_backbone, misfits

    path, told = results.network_path(run.folder, fold), run.record.backbone
    tensors = _read_network(run, path, fold)
    asked = run.record.head.settings.get("data.clip_seconds")
    how = {"clip_seconds": asked, **choices_in(told.settings), "shortcuts": shortcuts, "progress": False}
    plain = load_backbone(told.name, weights="random", **how).on_channels(told.settings.get("channels", "mean"))
    if json.loads(json.dumps(plain.settings)) != told.settings:
        raise ConfigError(f"{path} was trained on another front end than this version has. Fine-tune again.")
    network = plain.on_spectrograms()
    state = {name.removeprefix("backbone."): tensor for name, tensor in tensors.items() if name.startswith("backbone.")}
    problems = misfits(network.state_dict(), state)
    if problems:
        raise StoreError(f"{path} is no network of {told.name}: {'; '.join(problems)}. Fine-tune again with --force.")
    network.load_state_dict(state)
    label = f"fine-tuned in each fold from {told.weights_label}"
    return LoadedBackbone(
        spec=dataclasses.replace(plain.spec, name=told.name + FINETUNED, title=f"{told.title} fine-tuned in each fold"),
        network=network,
        weights=WeightsInfo(KIND, run.networks[fold], label),
        settings={**plain.settings, "clip_seconds": clip_seconds, "run": run.key},
    )


def _read_network(run: FinetunedRun, path: Path, fold: int) -> dict[str, Any]:
    """The network's tensors, checked to be what the fold's record describes."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        result, arrays, _ = results.read_fold(results.fold_path(run.folder, fold))
        content = read_checked(path)
        about = NetworkRecord.of(results.read_metadata(content, path), path)
        tensors = load(content)
        head = tensors["head.weight"].numpy().T
    except DamagedError as error:
        raise error.by(run.record.command) from None
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        why = f"it can't be read as a network ({one_line(error)[:100]})"
        raise DamagedError(path, why, run.record.command) from error
    if sha256_of(path) != run.networks[fold]:
        raise StoreError(f"{path} was trained anew while its embeddings were being made. Run the same command again.")
    own = (
        about.fold == result.fold == fold
        and about.dataset.fingerprint == run.dataset.fingerprint
        and np.array_equal(head, arrays.get("weights", ()))
    )
    if not own:
        raise StoreError(
            f"{path} is not the network that was tested on fold {fold} of this run, so it may have been trained on "
            "that fold. Put the right file back, or fine-tune again with --force."
        )
    return tensors


def check_alone(given: Mapping[str, object]) -> None:
    """Raises ConfigError where an option was given that a fine-tuned run settles itself."""
    for option, value in given.items():
        if value is not None:
            raise ConfigError(f"{option} {value} can't be used with --finetuned: the run settles it. Leave it out.")


def data_of(run: FinetunedRun, data: str | Path | Clips | None) -> tuple[str | Path | Clips, dict[str, Any]]:
    """Where the run's clips are, by itself or as the user says, and how it opened them."""
    opened_as = dict(run.dataset.opened_as or {})
    if data is None and not opened_as:
        raise ConfigError(
            f"{run.folder} does not say where its clips were, because it was given them in Python. Give data."
        )
    address = opened_as.pop("data", None)
    return (address if data is None else data), opened_as
