"""What soundprobe finds on this machine, for `soundprobe doctor` and for bug reports."""

from __future__ import annotations

import os

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.weights.verify import is_cached, location
from soundprobe.base.machine import choose_device, versions
from soundprobe.base.places import cache_folder


def diagnose() -> dict[str, str]:
    """Names and findings, in the order to show them. Touches no network."""
    import soundfile
    import torch

    from soundprobe.base.onednn import can_pack

    formats = soundfile.available_formats()
    found = {
        **versions(),
        "libsndfile": soundfile.__libsndfile_version__,
        "codecs": ", ".join(
            f"{codec} {'yes' if codec in formats else 'NO'}" for codec in ("WAV", "FLAC", "OGG", "MP3")
        ),
        "cores": str(os.cpu_count()),
        "torch threads": str(torch.get_num_threads()),
        "packed products": "yes" if can_pack() else "NO: this PyTorch lacks oneDNN's; AST and linear heads take longer",
        "device (auto)": str(choose_device("auto")),
        "cache": str(cache_folder()),
    }
    for spec in BACKBONES.usable():
        if spec.weights is not None:
            there = is_cached(spec.weights)
            found[f"weights of {spec.name}"] = (
                str(location(spec.weights)) if there else f"not fetched: {spec.weights.url}"
            )
    return found
