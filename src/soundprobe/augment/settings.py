"""Settings of an augmentation: a recipe's table to typed values, and what a value may be. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from soundprobe.base.errors import ConfigError, unknown

KINDS: dict[type, str] = {int: "a whole number", float: "a number", str: "a text"}


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raises ConfigError where `value` is not a number from `low` to `high`; NaN never is."""
    if not low <= value <= high:
        raise ConfigError(f"{name} = {value!r} is not valid: give {low:g} to {high:g}.")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises ConfigError where `value` is none of `choices`."""
    if value not in choices:
        raise ConfigError(f"{name} = {value!r} is not valid: give {' or '.join(map(repr, choices))}.")


def typed_settings(name: str, kind: type, settings: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with each value as the type of the field of that name of the dataclass `kind`.

    Raises:
        ConfigError: a field is unknown, or a value has another type. A whole number will do for a number.
    """
    hints = get_type_hints(kind)
    for field in settings:
        if field not in hints:
            raise ConfigError(unknown(f"field of augmentation {name!r}", str(field), hints))
    return {field: _typed(f"{name}.{field}", value, hints[field]) for field, value in settings.items()}


def _typed(name: str, value: Any, hint: Any) -> Any:
    """`value` as a field annotated `hint`: int, float, str, a Literal of texts, or one of them or None."""
    if NoneType in get_args(hint):
        (hint,) = (one for one in get_args(hint) if one is not NoneType)  # TOML has no null: leaving it out is None
    if get_origin(hint) is Literal:
        hint = str  # which texts, the dataclass checks
    accepted = (int, float) if hint is float else hint
    if not isinstance(value, accepted) or isinstance(value, bool):
        raise ConfigError(f"{name} = {value!r} is not valid: give {KINDS[hint]}.")
    if hint is float and not math.isfinite(value):
        raise ConfigError(f"{name} = {value!r} is not valid: give a finite number.")
    return hint(value)
