"""Clips to look at and to hear: spectrograms with a moving playhead, inside pages that need no network.

view(clips, head=None) -> View     `.save(path)` writes a page; in a notebook it shows itself
"""

from __future__ import annotations

from soundprobe.viewing.page import View, view

__all__ = ["View", "view"]
