"""Settings of an augmentation: a recipe's table to typed values, and what a value may be. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_type_hints

from pydantic import ValidationError, create_model

from soundprobe.base.config import Recipe, mistake
from soundprobe.base.errors import ConfigError, unknown


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
    given: dict[str, Any] = {field: (hints[field], ...) for field in settings}
    try:  # as a table of a recipe, which it is; its range is for the dataclass to check
        return create_model(kind.__name__, __base__=Recipe, **given).model_validate(dict(settings)).model_dump()
    except ValidationError as error:
        raise ConfigError(f"{name}.{mistake(error)}") from None
