"""Stored sets and heads as another run would have left them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from damage import sign_again
from soundprobe.base.records import Clips
from soundprobe.embeddings import store


def make_set(
    root: Path,
    *,
    backbone: str = "toy",
    weights: str = "pretrained",
    seed: int = 0,
    n: int = 120,
    dim: int = 6,
    drop: int = 0,
    without_fold: int | None = None,
    fingerprint: str = "f0",
    shuffle_labels: bool = False,
    frames: bool = False,
) -> Path:
    """A stored set of 3 classes in 4 folds, separable enough; `drop` clips failed, or those of a fold.

    With `frames` a clip has 1 to 3, which differ by noise alone.
    """
    rng = np.random.default_rng(7)  # the clips are the same whatever the seed of the embeddings
    labels = np.arange(n) % 3
    folds = np.arange(n) // 3 % 4 + 1
    groups = np.array([f"r{fold}-{label}-{i // 24}" for i, (fold, label) in enumerate(zip(folds, labels, strict=True))])
    rng_features = np.random.default_rng(seed)
    centres = rng_features.normal(size=(3, dim)) * 1.5
    features = (centres[labels] + rng_features.normal(size=(n, dim))).astype(np.float32)
    clips = Clips(
        name="toy",
        ids=np.array([f"c{i:04d}" for i in range(n)]),
        sources=["x"] * n,
        labels=rng.permutation(labels) if shuffle_labels else labels,
        folds=folds,
        groups=groups,
        class_names=("a", "b|c", "<script>"),
    )
    rows = list(range(n))
    kept = [row for row in rows[drop:] if folds[row] != without_fold]
    failures = {str(clips.ids[row]): "empty file" for row in rows if row not in kept}
    key = f"{seed:06d}{weights[:6]:0<6}"
    return _write(
        root,
        clips,
        features,
        kept,
        failures,
        backbone=backbone,
        weights=weights,
        key=key,
        fingerprint=fingerprint,
        frames=[rng.normal(row, 0.1, size=(1 + number % 3, dim)) for number, row in enumerate(features)]
        if frames
        else None,
    )


def store_set(
    root: Path,
    features: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    groups: np.ndarray,
    sha256: np.ndarray | None = None,
) -> Path:
    """A stored set of these embeddings (N, D), of clips with these columns (N,)."""
    n = len(labels)
    ids, names = np.array([f"c{i:04d}" for i in range(n)]), tuple("abcdefghij"[: labels.max() + 1])
    clips = Clips("made", ids, ["x"] * n, labels, folds, groups, names)
    every = list(range(n))
    return _write(
        root,
        clips,
        features.astype(np.float32),
        every,
        {},
        backbone="toy",
        weights="pretrained",
        key="0" * 12,
        fingerprint="f",
        sha256=sha256,
    )


def _write(
    root: Path,
    clips: Clips,
    features: np.ndarray,
    kept: list[int],
    failures: dict[str, str],
    *,
    backbone: str,
    weights: str,
    key: str,
    fingerprint: str,
    sha256: np.ndarray | None = None,
    frames: Sequence[np.ndarray] | None = None,
) -> Path:
    n, folds = len(clips), clips.folds
    folder = store.set_folder(root, clips.name, backbone, key)
    digests = np.full(n, "") if sha256 is None else sha256
    own = None if frames is None else [frames[row].astype(np.float32) for row in kept]
    features = features[kept] if own is None else np.stack([clip.mean(axis=0) for clip in own])
    part = store.write_part(
        store.part_path(folder, 0), clips, list(range(n)), kept, features, digests, np.ones(n), failures, frames=own
    )
    about = {"type": "float32", "columns": features.shape[1], "hop_s": 0.3, "first_s": 0.1}
    store.write_meta(
        folder,
        {
            "key": key,
            "complete": True,
            "dataset": {
                "name": clips.name,
                "fingerprint": fingerprint,
                "clips": n,
                "class_names": list(clips.class_names),
                "folds": np.unique(folds).tolist(),
            },
            "backbone": {
                "name": backbone,
                "title": backbone.title(),
                "weights": weights,
                "weights_label": weights,
                "weights_sha256": "ab",
                "embedding_dim": features.shape[1],
                "parameters": 10,
                "settings": {} if frames is None else {"frames": about},
            },
            "device": "cpu",
            "command": "soundprobe extract",
            "embedded": part.clips,
            "embedded_folds": sorted({int(folds[row]) for row in kept}),
            "parts": [{"file": part.path.name, "clips": part.clips}],
            "failures": [{"clip_id": clip, "reason": reason} for clip, reason in failures.items()],
            "seconds_per_clip": 0.01,
        },
    )
    return folder


def rewrite_about(folder: Path, **backbone: object) -> None:
    """Gives every head in `folder` other metadata, as another version or another embedding would have."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    for path in folder.glob("fold-*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            told = json.loads(file.metadata()["soundprobe"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        told["about"]["backbone"].update(backbone)
        save_file(tensors, path, metadata={"soundprobe": json.dumps(told)})
        sign_again(path)
