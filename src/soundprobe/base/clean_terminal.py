"""What is shown to people: names may hold line breaks, terminal codes, and characters that turn text about."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from soundprobe.base.errors import HARMFUL_IN_LINES


class Terminal(Console):
    """A rich console whose texts, in tables and bars too, send nothing to the terminal but themselves."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            harmless = segment.control or not HARMFUL_IN_LINES.search(segment.text)
            yield segment if harmless else Segment(HARMFUL_IN_LINES.sub(" ", segment.text), segment.style)
