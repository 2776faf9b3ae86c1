"""The command, run as a user does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def soundprobe(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "soundprobe", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
