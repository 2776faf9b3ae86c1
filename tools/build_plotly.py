"""Builds the plotly.js that report.html holds, and checks it against its recorded digest: `make plotly` (needs npm).

Of plotly.js it takes the core, which draws scatter traces, and those named in `static/plotly.json`; that file also
pins every npm package that ends up in the bundle. To move on, change versions or traces there and run this: it says
the digest that it found, to be recorded once the page has been looked at.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

STATIC = Path(__file__).parent.parent / "src" / "soundprobe" / "reporting" / "static"


def main() -> int:
    told = json.loads((STATIC / "plotly.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pinned = [f"{package}@{version}" for package, version in told["packages"].items()]
        _run(folder, "npm", "install", "--silent", "--no-audit", "--ignore-scripts", "--prefix", ".", *pinned)
        traces = ", ".join(f"require('plotly.js/lib/{trace}')" for trace in told["traces"])
        (folder / "entry.js").write_text(
            f"const Plotly = require('plotly.js/lib/core');\nPlotly.register([{traces}]);\nmodule.exports = Plotly;\n"
        )
        options = ["--bundle", "--minify", "--format=iife", "--global-name=Plotly", "--define:global=window"]
        banner = f"--banner:js=/* plotly.js v{told['packages']['plotly.js']}: scatter, {', '.join(told['traces'])} */"
        options += ["--target=es2020", "--loader:.css=empty", "--metafile=meta.json", "--log-level=error", banner]
        _run(folder, "node_modules/.bin/esbuild", "entry.js", "--outfile=plotly.js", *options)
        script = (folder / "plotly.js").read_bytes()
        licences = _licences(folder)
    found = hashlib.sha256(script).hexdigest()
    if found != told["sha256"]:
        print(f"{told['file']} has sha256 {found}, but plotly.json says {told['sha256']}: nothing written.")
        return 1
    (STATIC / told["file"]).write_bytes(script)
    (STATIC / told["licence"]).write_text(licences, encoding="utf-8")
    print(f"{told['file']}: {len(script):,} bytes, sha256 as recorded.")
    return 0


def _licences(folder: Path) -> str:
    """The licences of all packages whose code is in the bundle."""
    (bundle,) = json.loads((folder / "meta.json").read_text(encoding="utf-8"))["outputs"].values()
    modules = [path for path, part in bundle["inputs"].items() if part["bytesInOutput"] and "node_modules/" in path]
    inside = [path.rpartition("node_modules/")[2].split("/") for path in modules if not path.endswith(".css")]
    blocks = []
    for package in sorted({"/".join(parts[: 2 if parts[0].startswith("@") else 1]) for parts in inside}):
        home = folder / "node_modules" / package
        about = json.loads((home / "package.json").read_text(encoding="utf-8"))
        texts = [path.read_text(encoding="utf-8").strip() for path in sorted(home.glob("[Ll][Ii][Cc][Ee][Nn][Ss]*"))]
        blocks.append("\n\n".join([f"{package} {about['version']}: {about.get('license', 'see below')}", *texts]))
    return f"\n\n{'-' * 80}\n\n".join(blocks) + "\n"


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
