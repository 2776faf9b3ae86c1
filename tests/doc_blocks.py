"""The code blocks of README and docs, and what of them a test can't run. As a script it prints that, by reason.

Blocks of `sh` and `python` are run. A comment right above one keeps it back, or its lines that hold some words; on a
page's first line it does so for the whole page:

    <!-- not run: a microphone -->
    <!-- not run finetune: hours of training -->
"""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

PROJECT = Path(__file__).resolve().parent.parent
PAGES = [
    "README.md",
    *sorted(path.relative_to(PROJECT).as_posix() for path in PROJECT.glob("docs/*.md")),
    *(f"{folder}/README.md" for folder in ("benchmarks", "embeddings", "examples/plugin", "heads")),
]
MARK = re.compile(r"<!-- not run(?: (?P<words>[^:]+))?: (?P<reason>.+?) -->")


@dataclass(frozen=True)
class Mark:
    """Why what holds `words` is not run."""

    words: str
    reason: str


@dataclass(frozen=True)
class Block:
    """A code block, the line of its page that it begins at, and what keeps parts of it back."""

    page: str
    line: int
    language: str
    content: str
    marks: tuple[Mark, ...]

    @property
    def pieces(self) -> list[str]:
        """What is run or not by itself: a shell's lines, or all of the block."""
        if self.language != "sh":
            return [self.content]
        return [line for line in self.content.replace("\\\n", " ").splitlines() if commands_of(line)]

    def reason(self, piece: str) -> str | None:
        """Why it is not run."""
        return next((mark.reason for mark in self.marks if mark.words in piece), None)


def commands_of(line: str) -> list[list[str]]:
    """The words of each command of a shell's line, comments and where the output goes left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    words = iter(lexer)
    for word in words:
        if word in ("&&", "|", ";"):
            commands.append([])
        elif word == ">":
            next(words)
        else:
            commands[-1].append(word)
    return [command for command in commands if command]


def blocks_of(page: str) -> list[Block]:
    """Its code blocks in order, indented ones too."""
    blocks: list[Block] = []
    everywhere: tuple[Mark, ...] = ()
    above: tuple[Mark, ...] = ()
    for token in MarkdownIt("commonmark").enable("table").parse((PROJECT / page).read_text(encoding="utf-8")):
        if token.type == "html_block":
            marks = tuple(Mark(mark["words"] or "", mark["reason"]) for mark in MARK.finditer(token.content))
            if not blocks and token.map == [0, 1]:
                everywhere = marks
            else:
                above += marks
            continue
        if token.type in ("fence", "code_block"):
            assert token.map
            blocks.append(Block(page, token.map[0] + 1, token.info, token.content, (*above, *everywhere)))
        above = ()
    return blocks


def main() -> None:
    """Prints how many pieces are run, and which are not."""
    kept: dict[str, list[str]] = defaultdict(list)
    for page in PAGES:
        for block in blocks_of(page):
            if block.language in ("sh", "python"):
                for piece in block.pieces:
                    kept[block.reason(piece) or ""].append(f"{page}:{block.line}: {piece.splitlines()[0]}")
    print(f"{len(kept.pop('', []))} commands and blocks of README and docs are run by tests/test_docs.py. Only parsed:")
    for reason, pieces in sorted(kept.items()):
        print(f"\n{reason}: {len(pieces)}", *pieces, sep="\n  ")


if __name__ == "__main__":
    main()
