"""A page taken apart with the standard library's parser, as a browser would see its tags."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "br", "wbr", "img", "input", "hr"}
BLOCKS = {"p", "tr", "li", "dd", "figcaption"}


class Page(HTMLParser):
    """`tags`: every (tag, attributes); `blocks`: the text of each paragraph, row and list item; `text`: all of it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: list[str] = []
        self.styles: list[str] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        self.text = " ".join(" ".join(self.blocks).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append((tag, []))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][0] in ("style", "script"):
            self.styles.append(data)
            return
        for _, texts in self._open:
            texts.append(data)

    def handle_endtag(self, tag: str) -> None:
        opened, texts = self._open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"
        if tag in BLOCKS:
            self.blocks.append(" ".join("".join(texts).split()))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]
