"""Whether two versions of soundprobe make the same of the same clips: embeddings, predictions and scores, to the bit.

    git worktree add ../before v0.1.0
    python benchmarks/same_results.py ../before --data data/UrbanSound8K --weights mn04_as_mAP_432.pt
    python benchmarks/same_results.py ../before --data synth --limit 80 --backbone simplecnn,crnn

Each version runs in processes of its own, on the same threads. What differs is listed, and the exit status is 1 then.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from safetensors.numpy import load_file

from machine_note import describe

CLOCK = ("seconds", "clips_per_s")
OWN = Path(__file__).resolve().parent.parent


def run(checkout: Path, folder: Path, options: argparse.Namespace) -> None:
    """Sets, heads and a fine-tuned network below `folder`, by the code of `checkout`."""
    folder.mkdir()
    environ = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    few = [] if options.limit is None else ["--limit", str(options.limit)]
    data = ["--data", options.data if options.data == "synth" else str(Path(options.data).resolve()), *few]
    commands = [["extract", "--backbone", options.backbone, "--weights", "random", *data]]
    if options.weights:
        commands.append(["extract", "--backbone", "mn04", "--weights", str(options.weights.resolve()), *data])
    commands.append(["probe", "--head", "linear,mlp,knn"])
    if options.finetune:
        recipe = ["--config", "notes-simplecnn", "--set", "training.epochs=2"]
        commands.append(["finetune", "--backbone", "simplecnn", *recipe, *data])
    for command in commands:
        subprocess.run([sys.executable, "-m", "soundprobe", *command, "--quiet"], cwd=folder, env=environ, check=True)


def differences(one: Path, other: Path) -> Iterator[str]:
    """What stands in one folder and not the same in the other."""
    names = [sorted(str(path.relative_to(root)) for path in root.rglob("*") if kept(path)) for root in (one, other)]
    yield from (f"{name}: only in one of them" for name in sorted(set(names[0]) ^ set(names[1])))
    for name in sorted(set(names[0]) & set(names[1])):
        if not same(one / name, other / name):
            yield f"{name}: differs"


def kept(path: Path) -> bool:
    return path.suffix in (".parquet", ".safetensors", ".npz") or path.name == "result.json"


def same(one: Path, other: Path) -> bool:
    if one.suffix == ".parquet":
        return pq.read_table(one).equals(pq.read_table(other))
    if one.suffix == ".json":
        told = [untimed(json.loads(path.read_text(encoding="utf-8"))) for path in (one, other)]
        return all(told[0][name] == told[1][name] for name in ("folds", "summary"))
    tensors = [load_file(path) for path in (one, other)]
    return tensors[0].keys() == tensors[1].keys() and all(
        np.array_equal(tensor, tensors[1][name]) for name, tensor in tensors[0].items()
    )


def untimed(content: Any) -> Any:
    """JSON without what a clock said."""
    if isinstance(content, dict):
        return {name: untimed(value) for name, value in content.items() if name not in CLOCK}
    return [untimed(value) for value in content] if isinstance(content, list) else content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, help="a checkout of the other version")
    parser.add_argument("--data", default="synth")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--backbone", default="mn04", help="with random weights")
    parser.add_argument("--weights", type=Path, help="of mn04, besides")
    parser.add_argument("--finetune", action="store_true", help="fine-tune simplecnn for two epochs, too")
    options = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as temporary:
        before, now = Path(temporary) / "before", Path(temporary) / "now"
        run(options.before.resolve(), before, options)
        run(OWN, now, options)
        compared = sum(kept(path) for path in now.rglob("*"))
        found = list(differences(before, now)) if compared else ["nothing was made, so nothing was compared"]
    print("\n".join(found) or f"{compared} files, the same in both: embeddings, heads, predictions, networks, scores")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
