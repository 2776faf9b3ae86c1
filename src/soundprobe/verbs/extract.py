"""Clips x backbone -> the store. Each clip is decoded and embedded once; a killed run goes on where it was.

The networks of a fine-tuning run embed every clip once each, into a set for each fold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from soundprobe.audio.decode import check_channels
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.spec import FRAME_TYPES, LAST, RANDOM, BackboneSpec
from soundprobe.base.allowance import Allowance, parse_allowance
from soundprobe.base.config import names_in
from soundprobe.base.display import ShownList
from soundprobe.base.errors import ConfigError, WeightsError, unknown
from soundprobe.base.files import check_room, path_name
from soundprobe.base.machine import DEVICES, check_device_name, choose_device, has_device
from soundprobe.base.parallel import NETWORK_ENGINES, check_engine, one_cluster
from soundprobe.base.records import Clips
from soundprobe.base.remote import local
from soundprobe.data.catalog import MADE_FOLDS, Opening, opened, settle
from soundprobe.data.scan import Scan, fingerprint, scan_readable
from soundprobe.embeddings.needed import check_needed
from soundprobe.embeddings.store import BATCH_CLIPS, Extraction, set_folder
from soundprobe.embeddings.there_before import (
    embedding_key,
    extraction_there,
    has_all_parts,
    known_sha256,
    was_finished,
)
from soundprobe.scoring.run_names import run_folder
from soundprobe.training.tuned_backbones import FinetunedRun, check_alone, data_of, load_network, open_run

if TYPE_CHECKING:
    from soundprobe.backbones.load import LoadedBackbone

Weights = str | Path | None
"""Of one backbone: "pretrained" (as None), "random", or a file."""


def extract(
    data: str | Path | Clips | None = None,
    *,
    backbone: str | Sequence[str] | None = None,
    weights: Weights | Mapping[str, Sequence[Weights]] = None,
    clip_seconds: float | None = None,
    layers: str = LAST,
    pool: str | None = None,
    frames: str | None = None,
    precision: str = "fp32",
    seed: int | Sequence[int] = 0,
    finetuned: str | Path | None = None,
    embeddings: str | Path = "embeddings",
    heads: str | Path = "heads",
    device: str = "auto",
    batch_size: int = BATCH_CLIPS,
    jobs: int | None = None,
    engine: str = "threads",
    address: str | None = None,
    folds: int = MADE_FOLDS,
    limit: int | None = None,
    channels: str = "mean",
    max_failures: int | str | Allowance | None = None,
    progress: bool = True,
    command: str = "",
    on_extraction: Callable[[Extraction], None] | None = None,
    **opening: Unpack[Opening],
) -> ShownList[Extraction]:
    """Embeds every clip of `data` with each backbone and keeps the embeddings below the folder `embeddings`.

    A set that is there already for the same clips, weights and settings is used as it is; a part that a killed run
    finished is not embedded again.

    Args:
        data: a data set's name ("urbansound8k" by default), a path, or `Clips`; folds, limit, opening: see
            `open_data`.
        backbone: one name ("mn04" by default), several, or several joined by commas.
        weights: "pretrained" (the default), "random" (the control, drawn with `seed`) or a file's path; a backbone in
            which nothing is learnt takes none. By backbone, each may have several: {"mn04": ["pretrained", "random"]}.
        seed: of random weights; of several, a set is made for each, and the report shows their mean.
        clip_seconds: cut or pad every clip to this length; None takes the backbone's own rule.
        layers: "last", or what else the backbone offers: mn04 has "middle", models of transformers have a number for
            each block and "mean" of all; "all" puts each once side by side, and `probe` chooses.
        pool: how the layers of models of transformers are pooled over time: "mean", "mean+std", "max" or "cls".
        frames: "float32" or "float16" keeps, in that type, a clip's frames over time besides their mean, which is then
            its embedding; of backbones that have a time axis, see `soundprobe.read_frames`.
        finetuned: a fine-tuning run below the folder `heads`, by "best", its name, the beginning of its key or its
            folder, or a network file in it. Each fold's network embeds all clips into a set of its own, which only that
            fold may be scored on. Weights, lengths and clips are then the run's own.
        precision: "fp32", "bf16", "fp16" or "int8": see `soundprobe.embeddings.precision`.
        channels: what becomes of clips with several: "mean", "first" or "loudest".
        max_failures: a number, or a share as in "1%": as soon as more clips fail, the run stops and keeps what it has.
        device: "cpu", "cuda" or "mps", whose sets are their own; "auto" takes or mends one of any device, and makes one
            on the best where there is none. jobs: decoding threads.
        engine, address: "threads" of this process, or "dask": a part a task on a cluster's workers, which have the
            clips under the same path; see `base.parallel.run_tasks`.
        batch_size: clips of one forward pass; another than the usual one makes a set of its own. Fewer threads of
            PyTorch's need less memory, too, and change nothing.
        command: kept in `meta.json` as what was run; progress: show bars.
        on_extraction: called with each backbone's outcome as soon as it is there.

    Raises:
        SoundprobeError: an unknown name, unreadable data, missing weights, a full disk, a second writer; or the
            precision is not to be had for the backbone or device, or differs too much from float32 on these clips.
    """
    seeds = [seed] if isinstance(seed, int) else list(dict.fromkeys(seed))
    if len(seeds) != 1 and weights != RANDOM and not isinstance(weights, Mapping):
        raise ConfigError(f"--seed {','.join(map(str, seeds))}: only random weights are drawn. Add --weights random.")
    if batch_size < 1:
        raise ConfigError(f"--batch-size {batch_size} is not valid: give 1 or more.")
    check_device_name(device)
    check_channels(channels)
    check_engine(engine, address, NETWORK_ENGINES)
    if precision == "int8" and engine != "threads":
        raise ConfigError(
            f"--precision int8 is of this process alone, not of --engine {engine}. Leave one of them out."
        )
    if isinstance(max_failures, int | str):
        max_failures = parse_allowance(str(max_failures), "--max-failures")
    how = settle(data, folds, limit, opening)
    asked: Sequence[tuple[BackboneSpec, Weights]] = ()
    if finetuned is None:
        run, data = None, "urbansound8k" if data is None else data
        if frames not in (None, *FRAME_TYPES):
            raise ConfigError(unknown("type of frames", str(frames), FRAME_TYPES))
        asked = _asked(backbone, weights, layers, pool)
        if frames is not None:
            asked = [(spec.by_frames(), one) for spec, one in asked]
        for spec, _ in asked:
            spec.check_precision(precision)
            if clip_seconds is not None:
                spec.check_clip_seconds(clip_seconds)
    else:
        given = {
            "--backbone": backbone,
            "--weights": weights,
            "--clip-seconds": clip_seconds,
            "--seed": None if seed == 0 else seed,
        }
        check_alone(
            {
                **given,
                "--folds": None if folds == MADE_FOLDS else folds,
                **{f"--{name.replace('_', '-')}": value for name, value in opening.items()},
                "--limit": limit,
                "--layer": None if layers == LAST else layers,
                "--pool": pool,
                "--frames": frames,
                "--precision": None if precision == "fp32" else precision,
                "--channels": None if channels == "mean" else channels,
            }
        )
        run = open_run(run_folder(heads, finetuned, kinds=("finetune",), option="--finetuned"))
        data, how = data_of(run, data)
    check_needed(data, asked, progress=progress)
    embeddings = local(embeddings)
    clips, opened_as = opened(data, how)
    new = _new_numbers(embeddings, clips.name, [spec for spec, _ in asked], run)
    if new:
        check_room(embeddings, 4 * len(clips) * new)

    def look() -> tuple[Clips, Scan, str]:
        dealt, scanned = scan_readable(clips, jobs=jobs, shown=progress)
        return dealt, scanned, fingerprint(dealt, scanned)

    def finished(spec: BackboneSpec, key: Callable[[str], str]) -> dict[str, tuple[Path, Extraction | None]]:
        """The sets that were finished, by their device, any with "auto"; None where there is something to do or say."""
        devices = DEVICES[1:] if device == "auto" else [device]
        folders = {one: set_folder(embeddings, clips.name, spec.name, key(one)) for one in devices}
        return {one: (path, extraction_there(path, spec)) for one, path in folders.items() if was_finished(path)}

    drawn = [(spec, one, own_seed) for spec, one in asked for own_seed in (seeds if one == RANDOM else seeds[:1])]
    beside = embeddings / path_name(clips.name)
    looked, known = None, [] if new or frames or precision != "fp32" else [known_sha256(*one, beside) for one in drawn]
    if known and None not in known:
        looked = look()
        extractions = ShownList[Extraction]()
        for (spec, *_), sha256 in zip(drawn, known, strict=True):
            settings = spec.settings(clip_seconds) | ({} if channels == "mean" else {"channels": channels})
            key = partial(embedding_key, spec, settings, str(sha256), looked[2], batch_size)
            sets = [there for _, there in finished(spec, key).values()]
            if sets and sets[0] and all(sets):
                extractions.append(sets[0])
        if len(extractions) == len(known):
            if on_extraction:
                for there in extractions:
                    on_extraction(there)
            return extractions
    # Only now what takes seconds to import, PyTorch first.
    import torch

    from soundprobe.backbones.load import load_backbone
    from soundprobe.embeddings.embed import EmbeddingJob
    from soundprobe.embeddings.framed import framed
    from soundprobe.embeddings.make_set import make_set
    from soundprobe.embeddings.precision import check_device, declared

    torch_device = choose_device(device)
    check_device(precision, torch_device)
    load: dict[str, Any] = {"clip_seconds": clip_seconds, "layers": layers, "pool": pool, "progress": progress}

    def kept(model: LoadedBackbone) -> LoadedBackbone:
        return framed(model, frames) if frames is not None else declared(model, precision)

    models = [
        (kept(load_backbone(spec.name, weights=one, seed=own_seed, **load)).on_channels(channels), one)
        for spec, one, own_seed in drawn
    ]
    clips, scanned, digest = looked or look()
    if frames is not None:
        seconds = [float(one) for one in scanned.duration_s]
        check_room(embeddings, sum(_frame_bytes(spec, seconds, clip_seconds, frames) for spec, _ in asked))
    origin = {"fingerprint": digest, "opened_as": opened_as}
    extractions = ShownList[Extraction]()
    networks = (
        _networks_of(run, digest, scanned, batch_size, torch_device.type)
        if run
        else ((model, None) for model, _ in models)
    )
    with one_cluster(engine, address, shown=progress):
        for number, (model, belongs) in enumerate(networks):
            job = EmbeddingJob(model, clips, scanned, torch_device, batch_size, jobs, max_failures=max_failures)
            key = partial(embedding_key, model.spec, model.settings, model.weights.sha256, digest, batch_size)
            found = finished(model.spec, key) if belongs is None and frames is None and precision == "fp32" else {}
            whole = [there for _, there in found.values() if there]
            # The command that made a set mends it too, on its own device; else another device's would stand beside it.
            mended = [
                one for one, (path, there) in found.items() if not there and (has_device(one) or has_all_parts(path))
            ]
            if whole and not mended:
                extractions.append(whole[0])
            else:
                if mended:
                    job = replace(job, device=torch.device(mended[0]))
                extractions.append(make_set(job, embeddings, origin, progress, command, belongs, engine))
                if belongs is None and extractions[-1].clips:
                    _tag(extractions[-1].folder, model, models[number][1])
            if on_extraction:
                on_extraction(extractions[-1])
    return extractions


def _tag(folder: Path, model: LoadedBackbone, weights: Weights) -> None:
    """What the network's own classifier hears in each class, beside its set, where it has one and was trained."""
    from soundprobe.backbones.tags import load_tag_head
    from soundprobe.embeddings.tag_means import FILE, TagsRecord, measure_tags

    layers = model.layers or {LAST: model.spec.embedding_dim}
    trained = model.spec.tags and model.weights.kind in ("pretrained", "file")
    if not trained or LAST not in layers or TagsRecord.read_or_make(folder / FILE) is not None:
        return
    try:
        head = load_tag_head(model.spec.name, weights, progress=False)
    except WeightsError:  # a file of one's own may have no classifier
        return
    measure_tags(folder, head.names, head.predict_proba, layers[LAST])


def _networks_of(
    run: FinetunedRun, data_digest: str, scanned: Scan, batch_size: int, device: str
) -> Iterator[tuple[LoadedBackbone, dict[str, Any]]]:
    """Each fold's network, one after the other, with what its set says of the fold that it belongs to."""
    run.check_data(data_digest)
    clip_seconds = run.clip_seconds(scanned)
    for fold in run.folds:
        model = load_network(run, fold, clip_seconds)
        key = embedding_key(model.spec, model.settings, run.networks_sha256, data_digest, batch_size, device)
        about = {**run.describe(), "key": key, "fold": fold}
        yield model, {**about, "network_sha256": model.weights.sha256}


def _new_numbers(root: Path, dataset: str, specs: Sequence[BackboneSpec], run: FinetunedRun | None) -> int:
    """How many a clip gets, of backbones that have no set of the data yet; whether one is whole shows later."""
    dims = {spec.name: spec.embedding_dim for spec in specs}
    if run is not None:
        dims = {f"{run.record.backbone.name}-finetuned": run.embedding_dim * len(run.folds)}
    there = root / path_name(dataset)
    return sum(dim for name, dim in dims.items() if not any(there.glob(f"{path_name(name)}-*")))


def _frame_bytes(spec: BackboneSpec, seconds: Sequence[float], clip_seconds: float | None, kept_as: str) -> int:
    """How much the frames of clips that last so long take."""
    assert spec.frames is not None, "by_frames has refused the others"
    samples = (min(round(one * spec.sample_rate_hz), spec.input_samples(one, clip_seconds)) for one in seconds)
    return sum(map(spec.frames.count, samples)) * spec.frames.columns * (2 if kept_as == "float16" else 4)


def _asked(
    backbone: str | Sequence[str] | None,
    weights: Weights | Mapping[str, Sequence[Weights]],
    layers: str,
    pool: str | None,
) -> list[tuple[BackboneSpec, Weights]]:
    """The specs, each with the weights that are asked for."""
    if isinstance(weights, Mapping):
        asked = [(name, one) for name, several in weights.items() for one in several]
    else:
        names = names_in("mn04" if backbone is None else backbone, "backbone", "mn04,panns")
        asked = [(name, weights) for name in names]
    return [(BACKBONES[name].with_layers(layers, pool), one) for name, one in asked]
