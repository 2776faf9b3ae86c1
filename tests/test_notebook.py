"""notebooks/quickstart.ipynb runs whole, without a network, and shows what it says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

QUICKSTART = Path(__file__).parent.parent / "notebooks" / "quickstart.ipynb"


def test_quickstart_is_kept_without_outputs_and_runs_whole_without_a_network(tmp_path, monkeypatch):
    book = nbformat.read(QUICKSTART, as_version=4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for folder in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(folder, str(tmp_path / folder))
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output.data for cell in code for output in cell.outputs if output.output_type == "execute_result"]
    assert [len(cell.outputs) for cell in code] == [1, *[1] * len(shown)]  # and no warning beside them
    clips, sets, runs, run, frame, said = ("".join(one.get("text/html", "")) for one in shown)
    assert "<td>dog_bark</td><td>10</td><td>10</td>" in clips
    assert sets.count("<tr>") == runs.count("<tr>") == 1 + 2
    assert run.count("<tr>") == 1 + 10
    assert f"<td>{tmp_path}"[:24] in frame  # pandas shows no more of a path
    assert "iframe" in said
    assert "2 clips" in shown[-1]["text/plain"]
