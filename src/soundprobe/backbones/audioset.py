"""The names of AudioSet's classes (Gemmeke et al. 2017), in the order of the networks that were trained on them."""

from importlib import resources

_LINES = resources.files(__package__).joinpath("audioset.txt").read_text(encoding="utf-8").splitlines()
CLASSES = tuple(line for line in _LINES if not line.startswith("#"))
"""527 display names, all different."""
