"""What is shown to people: names may hold line breaks, terminal codes, and characters that turn text about."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from soundprobe.base.errors import HARMFUL_IN_LINES
from soundprobe.base.places import told


class Terminal(Console):
    """A rich console whose texts, in tables and bars too, send nothing to the terminal but themselves.

    Copies of what is in a store are called by its URL.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else HARMFUL_IN_LINES.sub(" ", told(segment.text))
            yield segment if text == segment.text else Segment(text, segment.style)
