"""Libraries that some tests need: where one is missing they are skipped, but for CI, which installs them all."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import pytest


def needed(module: str) -> Any:
    """The module called so."""
    if os.environ.get("CI") == "true":
        return import_module(module)
    return pytest.importorskip(module, exc_type=ImportError)
