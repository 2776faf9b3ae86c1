"""The Hugging Face Hub's models: how they are named, what of them is in its cache, and whether it can be reached.

What is in the cache is taken without a question, so that it works offline, and the same later on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from soundprobe.base.errors import WeightsError, one_line
from soundprobe.base.files import offline

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

HUB_SECONDS = 20.0
"""How long it may take for its first answer: its client tries again for most of a minute before it gives up."""
REPO = r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}"
ADDRESS = re.compile(rf"({REPO})(?:@(\w(?:[\w/-]|\.(?!\.)){{0,99}}))?", re.ASCII)
"""OWNER/NAME or OWNER/NAME@REVISION."""


UNTRAINED = "use --weights random"


def endpoint() -> str | None:
    """The Hub's, or the mirror that `HF_ENDPOINT` names."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def cached_file(repo: str, names: Iterable[str], revision: str | None = None) -> str | None:
    """The path of the first of a repository's files that is in the cache."""
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(repo, name, revision=revision) for name in names)
    return next((path for path in found if isinstance(path, str)), None)


def model_info(what: str, repo: str, revision: str | None = None, *, instead: str = UNTRAINED) -> ModelInfo:
    """What the Hub says of a repository, asked once.

    Args:
        what: isn't in the cache, with its verb, for the message; instead: what else can be done.

    Raises:
        WeightsError: it may not be asked, doesn't answer, or has no such repository.
    """
    from huggingface_hub import HfApi

    url = f"https://huggingface.co/{repo}"
    if offline():
        raise unreachable(what, url, f"{offline()} forbids to fetch it", instead)
    try:
        return HfApi(endpoint()).model_info(repo, revision=revision, timeout=HUB_SECONDS)
    except Exception as error:  # the client's own errors, and those of the HTTP library under it
        raise unreachable(what, url, one_line(error)[:200], instead) from error


def unreachable(what: str, url: str, reason: str, instead: str = UNTRAINED) -> WeightsError:
    """The error where something is neither in the cache nor to be had."""
    return WeightsError(
        f"{what} not in the Hugging Face cache and can't be fetched: {reason}. "
        f"URL: {url} ; run once where it can be reached and copy the cache (HF_HOME), or {instead}."
    )
