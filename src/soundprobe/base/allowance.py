"""How many clips may fail."""

from __future__ import annotations

import re
from typing import NamedTuple

from soundprobe.base.errors import ConfigError


class Allowance(NamedTuple):
    """How many clips may fail: a number, or a share of all in percent."""

    number: float
    is_percent: bool = False

    def covers(self, failed: int, of: int) -> bool:
        return failed <= (self.number * of / 100 if self.is_percent else self.number)

    def __str__(self) -> str:
        return f"{self.number:g}{'%' * self.is_percent}"


def parse_allowance(text: str, option: str) -> Allowance:
    """Of "10" or "2.5%".

    Raises:
        ConfigError: it is neither.
    """
    match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?) ?%", text.strip())
    if match is None:
        raise ConfigError(f"{option} {text!r} is not valid: give a number of clips or a share, such as 10 or 1%.")
    return Allowance(float(match[1] or match[2]), match[1] is None)
