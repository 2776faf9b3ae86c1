"""The command line: in a process of its own, where a user's would be, and quicker in this one."""

from __future__ import annotations

import subprocess
import sys
import warnings
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TextIO
from unittest.mock import patch

from soundprobe.cli import stopping
from soundprobe.cli.main import main


def soundprobe(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "soundprobe", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def soundprobe_here(*arguments: str, cwd: Path, stdin: TextIO | None = None) -> subprocess.CompletedProcess[str]:
    """As `soundprobe`, with what this process has imported: for what is said and done, not for how a process begins."""
    out, err, code = StringIO(), StringIO(), 0
    with (
        chdir(cwd),
        patch.object(sys, "argv", ["soundprobe", *arguments]),
        patch.object(sys, "stdin", stdin or StringIO()),
        redirect_stdout(out),
        redirect_stderr(err),
        warnings.catch_warnings(),
        stopping._installed,  # signals stay pytest's
    ):
        warnings.simplefilter("default")
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
