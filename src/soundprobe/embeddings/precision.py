"""What `--precision` names: which can be had for a backbone on a device, and the network in it.

| precision | the network |
|---|---|
| fp32 | as it is |
| bf16, fp16 | under autocast (backbones/half.py) |
| int8 | quantised on some of the clips (quantising.py) |

All but fp32 are compared with it on some of the clips, and refused where they differ too much.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from soundprobe.backbones.half import HALF_TYPES, Half, check_fast
from soundprobe.backbones.load import LoadedBackbone
from soundprobe.embeddings.embed import EmbeddingJob
from soundprobe.embeddings.quantising import check_half, quantised, quantised_unchecked


def check_device(precision: str, device: torch.device) -> None:
    """Raises ConfigError where `device` can't run networks in `precision`, or no faster than in float32."""
    if precision in HALF_TYPES:
        check_fast(precision, device)
    if precision == "int8":
        from soundprobe.backbones.int8 import check_engines

        check_engines(device)


def precision_of(model: LoadedBackbone) -> str:
    """One of `PRECISIONS`; no setting is float32, so that sets from before there were others keep their keys."""
    return str(model.settings.get("precision", "fp32"))


def declared(model: LoadedBackbone, precision: str) -> LoadedBackbone:
    """`model` with the settings that its precision adds, which its embeddings depend on; the network is the same."""
    if precision == "fp32":
        return model
    if precision in HALF_TYPES:
        return replace(model, settings={**model.settings, "precision": precision})
    from soundprobe.backbones.int8 import declared as declared_int8

    return declared_int8(model)


def in_half(model: LoadedBackbone) -> LoadedBackbone:
    """A model that was declared bf16 or fp16, with its network so."""
    return replace(model, network=Half(model.on_spectrograms(), precision_of(model)))


def in_precision(job: EmbeddingJob, folder: Path, progress: bool) -> tuple[EmbeddingJob, dict[str, Any]]:
    """The job with its network in the precision that it declares, and what `meta.json` says of that.

    Args:
        folder: where an int8 network is kept.

    Raises:
        QuantisationError: the embeddings differ too much from float32's on these clips.
        DataError: no clip can be decoded to see that.
    """
    precision = precision_of(job.model)
    if precision == "fp32":
        return job, {}
    if precision == "int8":
        job, check = quantised(job, folder, progress)
        return job, {"quantisation": check}
    half = in_half(job.model)
    check = check_half(job, half.network, precision, progress)
    job.model.network.release()  # the check was its last inference
    return replace(job, model=half), {"precision_check": check}


def in_precision_unchecked(job: EmbeddingJob, folder: Path) -> EmbeddingJob:
    """As `in_precision`, but whatever the embeddings are worth: for measuring speed."""
    precision = precision_of(job.model)
    if precision == "int8":
        return quantised_unchecked(job, folder, progress=False)
    return job if precision == "fp32" else replace(job, model=in_half(job.model))
