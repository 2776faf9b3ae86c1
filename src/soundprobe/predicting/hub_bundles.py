"""Bundles on the Hugging Face Hub: `hf:owner/name[@revision]`, fetched into soundprobe's cache."""

from __future__ import annotations

import re
from pathlib import Path

from soundprobe.base.errors import ConfigError, WeightsError, one_line
from soundprobe.base.files import offline
from soundprobe.base.model_hub import ADDRESS, REPO, endpoint
from soundprobe.base.places import cache_folder
from soundprobe.predicting.bundle import CARD, FILE, LABELS, WEIGHTS

PREFIX = "hf:"


def check_repo(name: str) -> None:
    """Raises ConfigError where `name` can't be a repository's."""
    if not re.fullmatch(REPO, name, re.ASCII):
        raise ConfigError(f"--repo {name!r} is no repository's name: give OWNER/NAME, such as me/siren-model.")


def fetch_bundle(address: str) -> Path:
    """The folder with the files of the bundle at `address`; from the cache where the network may not be used.

    Only the card, the labels, JSON and safetensors are fetched.

    Raises:
        ConfigError: it is no address. WeightsError: it can't be had.
    """
    match = ADDRESS.fullmatch(address.removeprefix(PREFIX))
    if match is None:
        raise ConfigError(f"--run {address!r} is no address on the Hub: give hf:OWNER/NAME or hf:OWNER/NAME@REVISION.")
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            match[1],
            revision=match[2],
            allow_patterns=[FILE, WEIGHTS, LABELS, CARD],
            cache_dir=cache_folder() / "hub",
            endpoint=endpoint(),
            local_files_only=offline() is not None,
        )
    except Exception as error:  # the client's own errors, and those of the HTTP library under it
        why = f"it is not in the cache, and {offline()} forbids to fetch it" if offline() else one_line(error)[:300]
        raise WeightsError(
            f"{address} can't be had: {why}. A private repository needs HF_TOKEN, or `hf auth login`."
        ) from error
    return Path(found)
