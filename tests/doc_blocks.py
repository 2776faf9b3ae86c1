"""The code blocks of README and docs, and what of them a test can't run. As a script it prints that, by reason.

Blocks of `sh` and `python` are run. A comment right above one keeps it back, or its commands that hold some words; on a
page's first line it does so for the whole page. What is slow is run by `make docs-run` only:

    <!-- not run: a microphone -->
    <!-- slow finetune: trains for a minute -->
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
MARK = re.compile(r"<!-- (?P<kind>not run|slow)(?: (?P<words>[^:]+))?: (?P<reason>.+?) -->")


@dataclass(frozen=True)
class Mark:
    """Why what holds `words` is not run, or by `make docs-run` only."""

    words: str
    reason: str
    is_slow: bool


@dataclass(frozen=True)
class Piece:
    """What is run or not by itself: a shell's command in its words, or all of a block.

    Attributes:
        is_piped: whether another command's output goes into it.
    """

    text: str
    words: tuple[str, ...] = ()
    is_piped: bool = False


@dataclass(frozen=True)
class Block:
    """A code block, the line of its page that it begins at, and what keeps parts of it back."""

    page: str
    line: int
    language: str
    content: str
    marks: tuple[Mark, ...]

    @property
    def pieces(self) -> list[Piece]:
        """A shell's commands, or all of the block."""
        if self.language != "sh":
            return [Piece(self.content)]
        lines = self.content.replace("\\\n", " ").splitlines()
        return [command for line in lines for command in commands_of(line)]

    def mark_of(self, piece: Piece) -> Mark | None:
        """What keeps it back."""
        return next((mark for mark in self.marks if mark.words in piece.text), None)


def commands_of(line: str) -> list[Piece]:
    """The commands of a shell's line, comments and where the output goes left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    commands: list[Piece] = []
    words: list[str] = []
    is_piped = False
    for word in [*lexer, ";"]:
        if word in ("&&", "|", ";"):
            if words:
                kept = words[: words.index(">")] if ">" in words else words
                commands.append(Piece(" ".join(kept), tuple(kept), is_piped))
            words, is_piped = [], word == "|"
        else:
            words.append(word)
    return commands


def blocks_of(page: str) -> list[Block]:
    """Its code blocks in order, indented ones too."""
    blocks: list[Block] = []
    everywhere: tuple[Mark, ...] = ()
    above: tuple[Mark, ...] = ()
    for token in MarkdownIt("commonmark").enable("table").parse((PROJECT / page).read_text(encoding="utf-8")):
        if token.type == "html_block":
            found = MARK.finditer(token.content)
            marks = tuple(Mark(mark["words"] or "", mark["reason"], mark["kind"] == "slow") for mark in found)
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
    """Prints how many pieces are run where, and why the others are not."""
    kept: dict[tuple[bool, str], list[str]] = defaultdict(list)
    run = 0
    for page in PAGES:
        for block in blocks_of(page):
            for piece in block.pieces if block.language in ("sh", "python") else ():
                if mark := block.mark_of(piece):
                    kept[not mark.is_slow, mark.reason].append(f"{page}:{block.line}: {piece.text.splitlines()[0]}")
                else:
                    run += 1
    print(f"{run} commands and blocks of README and docs are run by tests/test_docs.py.")
    for is_kept, title in ((False, "are run by make docs-run"), (True, "are only checked")):
        reasons = {reason: pieces for (held, reason), pieces in sorted(kept.items()) if held == is_kept}
        print(f"\n{sum(map(len, reasons.values()))} {title}:")
        for reason, pieces in reasons.items():
            print(f"  {reason}: {len(pieces)}", *pieces, sep="\n    ")


if __name__ == "__main__":
    main()
