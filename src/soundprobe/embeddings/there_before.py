"""A set that is there already, whole, found without PyTorch: its key hangs on nothing but the weights' digest."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from soundprobe.audio.decode import DECODE_VERSION
from soundprobe.backbones.spec import LAST, PRETRAINED, RANDOM, BackboneSpec
from soundprobe.backbones.weights.verify import known_digest, sha256_of
from soundprobe.base.errors import DamagedError, StoreError
from soundprobe.base.files import LEFT_OVER, digest_key, path_name
from soundprobe.base.locks import HOLDER, LOCK
from soundprobe.base.machine import device_in_key, versions
from soundprobe.embeddings import store
from soundprobe.embeddings.tag_means import FILE, TagsRecord


def embedding_key(
    spec: BackboneSpec,
    settings: Mapping[str, Any],
    weights_sha256: str,
    data_fingerprint: str,
    batch_size: int = store.BATCH_CLIPS,
    device: str = "cpu",
) -> str:
    """The key of the set that a backbone makes of the data: weights, front end, pooling, lengths, decoding and clips.

    And of the batch size and the device's type, which are part of it where they aren't the usual ones: some layers'
    sums round otherwise (in other batches CNN14's and the small networks', by 1e-6 of the largest number).
    """
    return digest_key(
        {
            "backbone": spec.name,
            "embedding_dim": spec.embedding_dim,
            "sample_rate_hz": spec.sample_rate_hz,
            "max_seconds": spec.max_seconds,
            "step_seconds": spec.step_seconds,
            "settings": settings,
            "weights_sha256": weights_sha256,
            "decode_version": DECODE_VERSION,
            "data": data_fingerprint,
            **({} if batch_size == store.BATCH_CLIPS else {"batch_size": batch_size}),
            **device_in_key(device),
        }
    )


def known_sha256(spec: BackboneSpec, weights: str | Path | None, seed: int, beside: Path) -> str | None:
    """The digest of the weights that `load_backbone` would report; None where the network has to be made for it.

    Random ones are known from a set among those `beside` that the same versions drew from the same seed.
    """
    if not spec.is_own or (weights in (None, PRETRAINED) and spec.loads_own_weights):
        return None
    if weights == RANDOM:
        drawn = (RANDOM, f"random (seed {seed})", versions())
        for path in beside.glob(f"{path_name(spec.name)}-*/meta.json"):
            with suppress(StoreError):
                record = store.open_set(path.parent).record
                if (record.backbone.weights, record.backbone.weights_label, record.versions) == drawn:
                    return record.backbone.weights_sha256
        return None
    if spec.parameters == 0:
        return hashlib.sha256().hexdigest() if weights is None else None
    if weights in (None, PRETRAINED):
        return None if spec.weights is None else known_digest(spec.weights)
    return sha256_of(Path(weights))


def was_finished(folder: Path) -> bool:
    """Whether a set was finished in `folder`, whatever it lacks since."""
    try:
        store.open_set(folder)
    except DamagedError:
        return True
    except StoreError:
        return False
    return True


def has_all_parts(folder: Path) -> bool:
    """Whether the set in `folder` is finished and its parts are whole, so that nothing is embedded for it any more."""
    try:
        store.check_parts(store.open_set(folder))
    except StoreError:
        return False
    return True


def extraction_there(folder: Path, spec: BackboneSpec) -> store.Extraction | None:
    """Of the set in `folder`, if it is finished, every part of it is whole, no clip failed, all that `extract` puts
    beside it is there, and nothing that a writer leaves who was killed or is at work.

    None where `extract` has something to do or to say.
    """
    began = time.perf_counter()
    try:
        found = store.open_set(folder)
        if any(path.name == LOCK + HOLDER or LEFT_OVER.fullmatch(path.name) for path in folder.iterdir()):
            return None
        store.check_parts(found)
    except StoreError:
        return None
    layers = found.record.backbone.layers or {LAST: spec.embedding_dim}
    tagged = spec.tags and LAST in layers and found.record.backbone.weights != RANDOM
    untagged = tagged and TagsRecord.read_or_make(folder / FILE) is None
    if untagged or found.record.failures:
        return None
    return store.Extraction.of(found, found.record.embedded, time.perf_counter() - began)
