"""What version 0.1.0 left on disk; see `data_of_0_1_0/README.md`."""

from __future__ import annotations

import tarfile
from pathlib import Path

ARCHIVE = Path(__file__).parent / "data_of_0_1_0" / "samples.tar.xz"


def unpacked(folder: Path) -> Path:
    """`folder`, with a fresh copy of every sample in it."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder
