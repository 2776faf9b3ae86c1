"""Fetches the plotly.js that report.html holds, and checks it against its recorded digest: `make plotly` (needs npm).

`src/soundprobe/reporting/static/plotly.json` names the npm package, its version, the file and its sha256. To move to
another version, change the version there and run this: it says the digest that it found, to be recorded once the page
has been looked at.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

STATIC = Path(__file__).parent.parent / "src" / "soundprobe" / "reporting" / "static"


def main() -> int:
    told = json.loads((STATIC / "plotly.json").read_text(encoding="utf-8"))
    name = f"{told['package']}@{told['version']}"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", name], cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603, S607
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as packed:
            script, licence = (_read(packed, f"package/{member}") for member in (told["file"], "LICENSE"))
    found = hashlib.sha256(script).hexdigest()
    if found != told["sha256"]:
        print(f"{told['file']} of {name} has sha256 {found}, but plotly.json says {told['sha256']}: nothing written.")
        return 1
    (STATIC / told["file"]).write_bytes(script)
    (STATIC / told["licence"]).write_bytes(licence)
    print(f"{name}: {told['file']}, {len(script):,} bytes, sha256 as recorded.")
    return 0


def _read(packed: tarfile.TarFile, member: str) -> bytes:
    content = packed.extractfile(member)
    if content is None:
        raise SystemExit(f"{member} is not a file in the package.")
    return content.read()


if __name__ == "__main__":
    sys.exit(main())
