"""Some points at which commands are killed, cut off and stopped; `make test-faults` tries all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HARNESS = Path(__file__).with_name("harness.py")


def test_commands_stopped_at_any_act_leave_old_or_new_and_go_on_to_the_same_result():
    folders = [str(HARNESS.parent), str(HARNESS.parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, HARNESS, "--points", "52", "--power", "2"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(re.match(r"\d+", done.stdout)[0]) >= 60
