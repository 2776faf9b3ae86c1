"""Hooks of mkdocs.yml: pages that stand outside docs/, the API's page, and links that hold on the site."""

from __future__ import annotations

import posixpath
import re
import tomllib
from importlib import import_module
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "embeddings/README.md": "embeddings.md",
    "examples/plugin/README.md": "plugin.md",
    "heads/README.md": "heads.md",
}
"""Pages of the repository by their names on the site."""
LAZY = "soundprobe", "soundprobe.heads"
"""Packages that say in `_HOMES` where their public names are, and import them on first use."""
MODULES = "soundprobe.sklearn", "soundprobe.adapters.hear", "soundprobe.adapters.mteb", "soundprobe.adapters.xares"
"""What else is public."""
HATCH = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]
SOURCE = HATCH["metadata"]["hooks"]["custom"]["repository"]
"""Not mkdocs' `repo_url`, for which the theme would ask the network about stars."""
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
CODE = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for path, name in OUTSIDE.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    files.append(File.generated(config, "api.md", content=api()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links to the site's page of a file, or else to the repository where its address is known."""
    origin = {name: path for path, name in OUTSIDE.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def led(link: re.Match[str]) -> str:
        words, anchor = link[1], link[3] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link[2]))
        if path in OUTSIDE or path.startswith("docs/"):
            return f"[{words}]({OUTSIDE.get(path, path.removeprefix('docs/'))}{anchor})"
        if (ROOT / path).exists():
            kind = "tree" if (ROOT / path).is_dir() else "blob"
            return f"[{words}]({SOURCE}/{kind}/main/{path}{anchor})" if SOURCE else words
        return link[0]  # mkdocs says that it leads nowhere

    return "".join(part if number % 2 else LINK.sub(led, part) for number, part in enumerate(CODE.split(markdown)))


def api() -> str:
    """A page of the docstrings of all public names, whose modules it reads without importing torch."""
    blocks = [f"# API\n\n{import_module('soundprobe').__doc__}"]
    for package in LAZY:
        for name, home in sorted(import_module(package)._HOMES.items()):
            module, _, attribute = home.partition(":")
            options = f"    options:\n      heading: {package}.{name}\n      toc_label: {name}\n"
            blocks.append(f"::: {package}.{module}.{attribute or name}\n{options}")
    return "\n\n".join([*blocks, *(f"::: {module}\n    options:\n      heading: {module}\n" for module in MODULES)])
