"""Installs the project into the environment that runs this: as pip would, by uv, in a fifth of the time.

    python tools/install.py constraints.txt ".[dev]"

uv reads none of pip's settings, so it is told where pip would look for packages. Where pip has a setting that uv can't
be told of, or uv fails, pip does it all.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
UV = [
    sys.executable,
    "-m",
    "uv",
    "pip",
    "install",
    "--quiet",
    "--system-certs",
    "--index-strategy",
    "unsafe-best-match",
]
TOLD = {
    "index-url": "--default-index",
    "extra-index-url": "--extra-index-url",
    "find-links": "--find-links",
    "trusted-host": "--allow-insecure-host",
}
HARMLESS = {
    "config-file",
    "default-timeout",
    "disable-pip-version-check",
    "progress-bar",
    "retries",
    "root-user-action",
    "timeout",
}


def uv_options(listed: str) -> tuple[list[str], dict[str, str]] | None:
    """uv's options and environment for what `pip config list` printed; None where a setting has no equal."""
    found = dict(line.split("=", 1) for line in listed.splitlines())
    settings: dict[str, str] = {}
    for section in ("global.", "install.", ":env:."):  # the later wins
        own = {key.removeprefix(section): value for key, value in found.items() if key.startswith(section)}
        settings |= {name: ast.literal_eval(value) for name, value in own.items()}
    settings.pop("constraint", None)  # ours goes before it, with pip too
    certificates = settings.pop("cert", None)
    if settings.keys() - TOLD.keys() - HARMLESS:
        return None
    options = [word for name in TOLD for each in settings.get(name, "").split() for word in (TOLD[name], each)]
    return options, {"SSL_CERT_FILE": certificates} if certificates else {}


def main(constraints: str, project: str) -> int:
    os.environ["PIP_CONSTRAINT"] = os.path.abspath(constraints)  # reaches what pip builds packages with, too
    listed = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=True).stdout
    given = uv_options(listed)
    if given is not None and subprocess.run([*PIP, "install", "--quiet", "uv"]).returncode == 0:
        options, environment = given
        pins = ["--python", sys.executable, "--constraint", constraints, "--build-constraint", constraints]
        if subprocess.run([*UV, *pins, *options, "--editable", project], env=os.environ | environment).returncode == 0:
            return 0
    print("uv can't install this here, so pip does, in some minutes.", file=sys.stderr)
    return subprocess.run([*PIP, "install", "--quiet", "--no-compile", "--editable", project]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
