"""What is shown to people: names may hold line breaks, terminal codes, and characters that turn text about."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from soundprobe.base.errors import HARMFUL

NOT_A_BREAK = re.compile(rf"(?!\n){HARMFUL.pattern}")


class Terminal(Console):
    """A rich console whose texts, in tables and bars too, send nothing to the terminal but themselves."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            harmless = segment.control or not NOT_A_BREAK.search(segment.text)
            yield segment if harmless else Segment(NOT_A_BREAK.sub(" ", segment.text), segment.style)
