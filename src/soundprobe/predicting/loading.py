"""The heads of a run and the very backbones that they were trained on.

A head belongs to one embedding: the backbone is loaded as the head's file names it, and refused where weights or
settings are not those that it was trained on.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from soundprobe.audio.decode import check_channels
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.spec import PRECISIONS
from soundprobe.backbones.weights.verify import sha256_of
from soundprobe.base.errors import ConfigError, DamagedError, StoreError, WeightsError
from soundprobe.base.files import leading_digits
from soundprobe.base.machine import check_device_name, choose_device
from soundprobe.base.registry import allow, code_of, is_allowed
from soundprobe.base.remote import local, local_if_url, placed
from soundprobe.base.stored import NetworksRecord, UsedBackboneRecord, command_in
from soundprobe.embeddings.needed import check_may_fetch
from soundprobe.heads.catalog import HEADS, load_head
from soundprobe.heads.novelty import Novelty
from soundprobe.predicting.bundle import is_export, load_bundle
from soundprobe.predicting.hub_bundles import PREFIX, fetch_bundle
from soundprobe.predicting.predictor import Member, Predictor
from soundprobe.scoring import results
from soundprobe.scoring.fits import FitRecord, part, read_fit
from soundprobe.scoring.run_names import WHY_NOT, run_folder
from soundprobe.scoring.run_records import HeadOriginRecord
from soundprobe.scoring.thresholds import NEVER
from soundprobe.training.tuned_backbones import FinetunedRun, load_network, open_run

if TYPE_CHECKING:
    from soundprobe.backbones.load import LoadedBackbone

CAN_PREDICT = ("probe", "finetune", "fit")
"""The kinds of runs that have heads."""
SEED = re.compile(r"random \(seed (\d+)\)")


def load_predictor(
    run: str | Path | None,
    *,
    heads: str | Path = "heads",
    dataset: str | None = None,
    weights: str | Path | None = None,
    channels: str | None = None,
    device: str = "auto",
    progress: bool = True,
) -> Predictor:
    """The heads of a run or bundle and their backbones, loaded once, to be asked many times.

    Args:
        run: "best", a run's name, the beginning of its key, or its folder; see `scoring.run_names.find_run`.
        heads: the folder that runs are below; dataset: only runs on that data set.
        weights: the backbone's weights where the head was trained on a file of the user's own, or the folder of the
            fine-tuning run where that was moved.
        channels: see `Predictor`; device: "auto", "cpu", "cuda" or "mps"; progress: show a bar while fetching.

    Raises:
        StoreError: no trained heads there, a damaged one, or heads that do not belong together.
        ConfigError: no run, or several, are named so, its network answers in segments, or the backbone that can be
            loaded is not theirs.
        WeightsError: the backbone's weights can't be had.
    """
    check_device_name(device)
    if channels is not None:
        check_channels(channels)
    place = find_heads(run, heads=heads, dataset=dataset)
    if is_export(place):
        return load_bundle(place, channels=channels, device=device)
    if _is_finetuned(place):
        return _finetuned(place, channels, device)
    told: dict[str, Any] = {}
    kept: list[tuple[HeadOriginRecord, Mapping[str, Any], Mapping[str, Any]]] = []
    folds = []
    if (place / FitRecord.FILE).exists():
        fit, arrays = read_fit(place)
        kept.append((fit.about, part(arrays, "head."), fit.params))
        told = _told(fit, arrays)
    else:
        files = _head_files(place)
        for path in files:
            try:
                result, arrays, record = results.read_fold(path)
            except DamagedError as error:
                raise error.by(command_in(place / "result.json")) from None
            kept.append((record.about, arrays, record.params))
            folds.append(result.fold)
        told["known"] = results.known_clips(place, files)
    trained = [_head(of, arrays, params, place) for of, arrays, params in kept]
    about = kept[0][0]
    if any(other.backbone.key != about.backbone.key for other, *_ in kept):
        raise StoreError(f"The heads in {place} belong to different embeddings. Delete the folder and probe again.")
    if about.backbone.finetuned is not None:
        networks = _networks_of(about.backbone, about.backbone.finetuned, place, weights, folds)
        members = tuple(Member((network,), (head,)) for network, head in zip(networks, trained, strict=True))
    else:
        from soundprobe.embeddings.framed import as_taken

        backbones = _backbones_of(about.backbone, place, weights, progress)
        members = (Member(tuple(as_taken(one, about.head) for one in backbones), tuple(trained)),)
    width = sum(backbone.spec.embedding_dim for backbone in members[0].backbones)
    if width != trained[0].n_features_in_:
        raise ConfigError(
            f"The heads in {place} take embeddings of {trained[0].n_features_in_} numbers, but "
            f"{about.backbone.name} gives {width}. Probe again with this version."
        )
    told |= {"trained_s": about.clip_s, "head": about.head}
    return Predictor(place, tuple(about.class_names), members, choose_device(device), channels, **told)


def find_heads(run: str | Path | None, *, heads: str | Path, dataset: str | None = None) -> Path:
    """The folder of the run, fit or bundle that `run` names.

    Args:
        run: "best", a run's name, the beginning of its key, its folder or a bundle's, or the URL of either; or
            hf:OWNER/NAME[@REVISION].
        heads, dataset: see `scoring.run_names.find_run`.

    Raises:
        ConfigError: no run, or several, are named so. WeightsError: a bundle on the Hub can't be had.
    """
    if isinstance(run, str) and run.startswith(PREFIX):
        return fetch_bundle(run)
    run = local_if_url(run)
    if run is not None and is_export(Path(run)):
        return Path(run)
    return run_folder(heads, run, dataset=dataset, kinds=CAN_PREDICT)


def _head(about: HeadOriginRecord, arrays: Mapping[str, Any], params: Mapping[str, Any], place: Path) -> Any:
    """The saved head, once its code is known to be what it was."""
    if code_of(HEADS.of_record(about.head, place).target).get("code_sha256") != about.code_sha256:
        raise ConfigError(f"The heads in {place} were trained by other code than {about.head} has now. Probe again.")
    return load_head(about.head, arrays, params)


def _told(fit: FitRecord, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """What a fit brings for its `Predictor` besides the head."""
    found: dict[str, Any] = {"known": arrays.get("trained.sha256", leading_digits(()))}
    if fit.thresholds is not None:
        classes = fit.thresholds.classes.items()
        found["thresholds"] = {name: NEVER if one.threshold is None else one.threshold for name, one in classes}
    if fit.novelty is not None:
        found["novelty"] = Novelty.from_arrays(part(arrays, "novelty."), fit.novelty.threshold)
    return found


def check_weights(folder: str | Path, weights: str | Path | None) -> None:
    """Whether the weights of the backbones of the run in `folder` can be had, as far as can be told without torch.

    Raises:
        StoreError: no trained heads there. WeightsError: there is nothing at `weights`, or the published ones may not
            be fetched.
    """
    place = Path(folder)
    if is_export(place) or _is_finetuned(place):
        return  # which hold them
    is_fit = (place / FitRecord.FILE).exists()
    origin = read_fit(place)[0].about if is_fit else results.read_fold(_head_files(place)[0])[2].about
    about = origin.backbone
    if weights is not None:
        if not Path(weights).exists():
            raise WeightsError(f"No weights at {str(weights)!r}. Give a file's path, or that of a fine-tuning run.")
        return
    if about.finetuned is None:
        for name, kind in zip(about.name.split("+"), about.weights.split("+"), strict=False):
            file = BACKBONES.of_record(about.at_hand(name), folder).weights
            if kind == "pretrained" and file is not None:
                check_may_fetch(name, file, instead="")


def _is_finetuned(place: Path) -> bool:
    return (place / "result.json").exists() and results.read_result(place).kind == "finetune"


def _finetuned(place: Path, channels: str | None, device: str) -> Predictor:
    """The networks of a fine-tuning run, each with the head that it was trained with."""
    from soundprobe.backbones.protocol import SpectrogramBackbone

    run = open_run(place)
    told, class_names = run.record.backbone, tuple(run.dataset.class_names)
    seconds, members = _trained_seconds(run), []
    for fold in run.folds:
        network = load_network(run, fold, seconds, shortcuts=False)
        if type(network.on_spectrograms()).embed_segments is not SpectrogramBackbone.embed_segments:
            raise ConfigError(
                f"{place}: {told.name} answers for each segment of a clip, which predict can't ask. Extract its "
                "embeddings with --finetuned and probe those."
            )
        _, arrays, record = results.read_fold(results.fold_path(place, fold))
        width = len(arrays["weights"])
        plain = {"mean": np.zeros(width, np.float32), "scale": np.ones(width, np.float32), **arrays}
        params = {"settings": {}, "classes": list(range(len(class_names))), "chosen": {}}
        members.append(Member((network,), (load_head("linear", plain, params),)))
    known = results.known_clips(place, [results.fold_path(place, fold) for fold in run.folds])
    return Predictor(
        place,
        class_names,
        tuple(members),
        choose_device(device),
        channels,
        trained_s=record.about.clip_s,
        known=known,
        head="linear",
    )


def _trained_seconds(run: FinetunedRun) -> float | None:
    """The length that every clip had in training, as `FinetunedRun.clip_seconds`, by the clips that it tested."""
    from soundprobe.scoring.out_of_fold import table_of

    told = run.record.backbone
    heard = table_of(run.folder, run.record).get("clip.duration_s")
    if heard is None:  # of an older version: the network's own rule
        return told.settings["clip_seconds"]
    spec = BACKBONES[told.name]
    return spec.input_samples(float(heard.max()), told.settings["clip_seconds"]) / spec.sample_rate_hz


def _head_files(place: Path) -> list[Path]:
    files = sorted(place.glob("fold-*.safetensors"))
    if (place / "result.json").exists():
        record = results.read_result(place)
        if record.kind == "import":
            raise ConfigError(f"{place} {WHY_NOT['import']}. Give the folder of a probe.")
        lost = next((path for fold in record.tested if not (path := results.fold_path(place, fold)).exists()), None)
        if lost is not None:
            raise DamagedError(lost, "it is gone", record.command)
    if not files:
        raise StoreError(f"No trained heads in {place}. `soundprobe runs list` shows the runs there are.")
    return files


def _networks_of(
    about: UsedBackboneRecord, told: NetworksRecord, folder: Path, weights: str | Path | None, folds: Sequence[int]
) -> Iterator[LoadedBackbone]:
    """The fine-tuned network of each of `folds`, on which its head was trained."""
    place = placed(told.path if weights is None else weights)
    if weights is None and not place.resolve().is_relative_to(folder.resolve().parents[2]):
        raise ConfigError(
            f"The heads in {folder} belong to networks that were fine-tuned in {place}, which lies outside the heads' "
            f"folder. If you trust what is there, give --weights {place}"
        )
    local(place)
    if not place.exists():
        raise ConfigError(
            f"The heads in {folder} belong to networks that were fine-tuned in {place}, and nothing is there. Give the "
            "run's folder with --weights FOLDER."
        )
    run = open_run(place)
    for fold in folds:
        if run.networks.get(fold) != told.networks.get(str(fold)):
            raise ConfigError(
                f"The network of fold {fold} in {place} is not the one that the heads in {folder} were trained on. "
                "Extract with --finetuned and probe again, or give the right run with --weights FOLDER."
            )
        yield load_network(run, fold, about.settings["clip_seconds"], shortcuts=False)


def _backbones_of(
    about: UsedBackboneRecord, folder: Path, weights: str | Path | None, progress: bool
) -> Iterable[LoadedBackbone]:
    """The backbones that a head's metadata name, each checked to give the very embeddings that it was trained on."""
    told = (about.name, about.weights, about.weights_label, about.weights_sha256)
    columns = [text.split("+") if "+" in about.name else [text] for text in told]
    names = columns[0]
    for name, kind, label, sha256 in itertools.zip_longest(*columns, fillvalue=""):
        settings = about.settings if len(names) == 1 else about.settings.get(name)
        if settings is None:
            raise ConfigError(f"The heads in {folder} don't say the settings of {name}. Probe again.")
        own = len(names) == 1 or kind == "file"
        # Side by side, the published file is known by its bytes.
        own = own or (weights is not None and Path(weights).is_file() and sha256_of(Path(weights)) == sha256)
        given = weights if own else None
        there = about.at_hand(name)
        if is_allowed(name):
            allow([there])
        found = _backbone(there, kind, label, sha256, settings, folder, given, progress)
        yield replace(found, spec=replace(found.spec, name=name))


def _backbone(
    name: str,
    kind: str,
    label: str,
    sha256: str,
    settings: dict[str, Any],
    folder: Path,
    weights: str | Path | None,
    progress: bool,
) -> LoadedBackbone:
    precision = settings.get("precision", "fp32")
    if precision == "int8":
        raise ConfigError(
            f"The heads in {folder} were trained on {name} in int8, which predict can't run. "
            "Extract without --precision int8 and probe again."
        )
    if precision not in PRECISIONS:
        raise ConfigError(
            f"The heads in {folder} were trained on {name} in {precision!r}, and this version knows only "
            f"{', '.join(PRECISIONS)}. Extract and probe again."
        )
    seed = SEED.fullmatch(label)
    if kind == "file" and weights is None:
        raise ConfigError(f"The heads in {folder} were trained on {name} with {label}: give it with --weights FILE.")
    # The published file, too, may lie anywhere.
    spec = BACKBONES.of_record(name, folder)
    its_own = kind == "none" or (kind == "random" and spec.brings_weights)
    asked = weights if kind == "file" or (kind == "pretrained" and weights) else None if its_own else kind
    spec.check_weights(asked)
    from soundprobe.backbones.load import choices_in, load_backbone
    from soundprobe.embeddings.framed import framed_as_told
    from soundprobe.embeddings.precision import declared, in_half

    clip_seconds = settings.get("clip_seconds")
    if clip_seconds == BACKBONES[name].clip_seconds:
        clip_seconds = None
    backbone = load_backbone(
        name,
        weights=asked,
        clip_seconds=clip_seconds,
        **choices_in(settings),
        seed=int(seed[1]) if seed else 0,
        shortcuts=False,  # preparing CNN14's takes longer than a few clips without it, and 0.75 GB
        progress=progress,
    )
    backbone = declared(backbone, precision).on_channels(settings.get("channels", "mean"))
    backbone = framed_as_told(backbone, settings)
    if backbone.weights.sha256 != sha256:
        raise ConfigError(
            f"The heads in {folder} belong to {name} with weights {sha256[:12]}..., but those here are "
            f"{backbone.weights.sha256[:12]}.... Give the right ones with --weights, or extract and probe again."
        )
    mine = json.loads(json.dumps(backbone.settings))
    if mine != settings:
        differing = sorted(key for key in {*mine, *settings} if mine.get(key) != settings.get(key))
        raise ConfigError(
            f"The heads in {folder} belong to {name} with another {', '.join(differing)} than this version has. "
            "Extract and probe again."
        )
    # On any device, also where 16 bits are no faster: a head belongs to the numbers that it was trained on.
    return backbone if precision == "fp32" else in_half(backbone)
