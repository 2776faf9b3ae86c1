"""README as a package index shows it, and the project's addresses, from `repository` in pyproject.toml.

Where that is empty, links that are README's own lead nowhere on an index: their words stay, pictures go.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

OWN = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)]+)\)")
"""A picture or a link within the repository: "!" or nothing, its words, its path."""


def shown(readme: str, repository: str) -> str:
    """README with its own links led to the repository on GitHub, or taken away."""

    def led(link: re.Match[str]) -> str:
        if not repository:
            return "" if link[1] else link[2]
        return f"{link[1]}[{link[2]}]({repository}/{'raw' if link[1] else 'blob'}/main/{link[3]})"

    return OWN.sub(led, readme)


def urls(repository: str) -> dict[str, str]:
    """The addresses that an index lists; none of a repository that is not known."""
    paths = {"Source": "", "Documentation": "/tree/main/docs", "Issues": "/issues"}
    paths["Changelog"] = "/blob/main/CHANGELOG.md"
    return {name: repository + path for name, path in paths.items()} if repository else {}


class Hook(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        repository = self.config["repository"].rstrip("/")
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": shown(readme, repository)}
        metadata["urls"] = urls(repository)
