"""All that is to be measured on a GPU, in one command of under 8 minutes, on a machine that reaches no registry.

    make gpu-wheels                                  where there is a registry: what a bare machine lacks
    make gpu                                         on the GPU's machine: writes gpu.json and gpu.md
    python benchmarks/gpu.py --device cpu --tiny     the same way with tiny sizes, which says nothing of speed

A bare machine has Python 3.12, torch and transformers. This file imports nothing else before it has said what is
missing; an installed package goes before a wheel. Weights are random and clips noise of 4 s; gpu_figures.py measures.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BARE = ("torch", "transformers")
HEADS, RECORDS, SOUND, PEER = "the heads", "records and recipes", "sound files", "panns_inference's loop"
NEEDED = {  # package: its import, and what of soundprobe or of the peers needs it
    "torchaudio": ("torchaudio", "the front ends' mel bands"),
    "xxhash": ("xxhash", "digests of weights"),
    "pydantic": ("pydantic", RECORDS),
    "pydantic-core": ("pydantic_core", RECORDS),
    "annotated-types": ("annotated_types", RECORDS),
    "typing-inspection": ("typing_inspection", RECORDS),
    "platformdirs": ("platformdirs", "the cache's place"),
    "scipy": ("scipy", HEADS),
    "scikit-learn": ("sklearn", HEADS),
    "joblib": ("joblib", HEADS),
    "cloudpickle": ("cloudpickle", HEADS),
    "threadpoolctl": ("threadpoolctl", HEADS),
    "narwhals": ("narwhals", HEADS),
    "soundfile": ("soundfile", SOUND),
    "soxr": ("soxr", SOUND),
    "cffi": ("cffi", SOUND),
    "pycparser": ("pycparser", SOUND),
    "panns-inference": ("panns_inference", PEER),
    "torchlibrosa": ("torchlibrosa", PEER),
    "librosa": ("librosa", PEER),
    "lazy-loader": ("lazy_loader", PEER),
    "msgpack": ("msgpack", PEER),
    "pooch": ("pooch", PEER),
    "decorator": ("decorator", PEER),
}


def missing(packages: list[str]) -> list[str]:
    """Of the `packages` those that can't be imported, without importing them."""
    return [name for name in packages if importlib.util.find_spec(NEEDED.get(name, (name,))[0]) is None]


def add_wheels(wheels: Path, folder: Path) -> None:
    """Unpacks the wheels into `folder`, behind everything that is installed."""
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(folder)
    sys.path.append(str(folder))
    importlib.invalidate_caches()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda or cpu")
    parser.add_argument("--tiny", action="store_true", help="seconds instead of minutes: does it run?")
    parser.add_argument("--wheels", type=Path, default=ROOT / "gpu-wheels", help="a folder of wheels")
    parser.add_argument("--out", type=Path, default=Path(), help="the folder of gpu.json and gpu.md")
    parser.add_argument("--seconds", type=float, default=450, help="after so many no row is begun any more")
    parser.add_argument("--list", action="store_true", help="only name the packages that a bare machine lacks")
    options = parser.parse_args()
    if options.list:
        print("\n".join(NEEDED))
        return
    bare = missing(list(BARE))
    if bare:
        raise SystemExit(f"missing: {', '.join(bare)}. Install them: no wheels are carried for these.")
    with tempfile.TemporaryDirectory(prefix="gpu-wheels-") as folder:
        for name in missing(list(NEEDED)):
            print(f"not installed: {name}, for {NEEDED[name][1]}")
        add_wheels(options.wheels, Path(folder))
        lacking = missing(list(NEEDED))
        if lacking:
            raise SystemExit(
                f"missing, and no wheel in {options.wheels}: {', '.join(lacking)}. Run `make gpu-wheels` where there "
                "is a registry, and carry that folder here."
            )
        sys.path.insert(0, str(ROOT / "src"))
        from gpu_figures import FULL, TINY, measure, write

        rows = measure(options.device, TINY if options.tiny else FULL, options.seconds)
        write(rows, options.device, options.out)
    failed = [row for row in rows if "failed" in row]
    if failed:
        raise SystemExit(f"{len(failed)} of {len(rows)} rows failed; see {options.out / 'gpu.md'}.")


if __name__ == "__main__":
    main()
