"""Strict TOML recipes: a field that isn't known, or has the wrong type, is an error that names the near one."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from soundprobe.base.errors import ConfigError, unknown


class Recipe(BaseModel):
    """Base of every table of a recipe: no unknown fields, no silent conversions, no infinite numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ProbeRecipe(Recipe):
    """How `probe` trains heads. `settings` are the head's own and are checked against it."""

    head: str | None = None
    seeds: list[int] = [0]
    exclude_leaks: bool = False
    settings: dict[str, Any] = {}


class ComparisonRecipe(Recipe):
    """What `demo` compares; `seeds` are of untrained networks."""

    data: str
    backbone: list[str]
    head: list[str]
    seeds: list[int] = [0]


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


def recipe_folder() -> Path:
    """The folder of the recipes that come with soundprobe: in the package, or beside `src` in a checkout."""
    packaged = Path(str(files("soundprobe"))) / "configs"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "configs"


def read_recipe(name_or_path: str | None, schema: type[AnyRecipe], overrides: Sequence[str] = ()) -> AnyRecipe:
    """The recipe called `name_or_path` (a TOML file, or the name of a shipped one) with the overrides applied.

    Args:
        name_or_path: None starts from the schema's defaults.
        overrides: "table.field=value", the value in TOML's notation; what is no TOML value is taken as text.

    Raises:
        ConfigError: no such recipe, invalid TOML, an unknown field, or a value of the wrong type.
    """
    where = name_or_path or "--set"
    content = _read_toml(name_or_path) if name_or_path else {}
    for override in overrides:
        path, value = parse_override(override)
        table = content
        for name in path[:-1]:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise ConfigError(f"--set {override!r}: {name!r} is a value, not a table of settings.")
        table[path[-1]] = value
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_first_mistake(where, schema, error)) from None


def _read_toml(name_or_path: str) -> dict[str, Any]:
    path = Path(name_or_path)
    if not path.is_file():
        shipped = {found.stem: found for found in recipe_folder().glob("*.toml")}
        if name_or_path not in shipped:
            raise ConfigError(unknown("recipe", name_or_path, shipped) + " A path to a .toml file works too.")
        path = shipped[name_or_path]
    try:
        return _parsed(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not a valid TOML recipe: {error}") from None


def _parsed(toml: str) -> dict[str, Any]:
    try:
        return tomllib.loads(toml)
    except RecursionError:
        raise tomllib.TOMLDecodeError("nested too deep") from None


def names_in(given: str | Sequence[str], option: str, example: str) -> list[str]:
    """The names of an option that takes several, or one text in which commas join them: each once.

    Raises:
        ConfigError: there is none.
    """
    names = given.split(",") if isinstance(given, str) else list(given)
    names = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    if not names:
        raise ConfigError(f"No {option} given. Name one or several, such as --{option} {example}.")
    return names


def folds_in(only: Sequence[int] | None, folds: Sequence[int]) -> list[int]:
    """`folds`, or those of them that `--only-fold` names.

    Raises:
        ConfigError: one that is named is none of them.
    """
    if absent := sorted(set(only or ()) - set(folds)):
        raise ConfigError(
            f"--only-fold {absent[0]}: there is no such fold, or all of its clips failed. "
            f"Folds: {', '.join(map(str, folds))}."
        )
    return sorted(set(only)) if only else list(folds)


def parse_override(override: str) -> tuple[list[str], Any]:
    """ "a.b=0.1" -> (["a", "b"], 0.1).

    Raises:
        ConfigError: there is no "=", or no name before it.
    """
    name, equals, text = override.partition("=")
    path = [part.strip() for part in name.split(".")]
    if not equals or not all(path):
        raise ConfigError(
            f"--set {override.removeprefix('settings.')!r} is not a setting. Write it as name=value, such as "
            "--set strengths=[0.1,1.0] of a head, or --set training.lr=1e-4 of fine-tuning."
        )
    try:
        return path, _parsed(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return path, text.strip()


def _first_mistake(where: str, schema: type[Recipe], error: ValidationError) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        if inside := _in_tables(schema, field):
            return f"{where}: Unknown field {field!r}. Did you mean {' or '.join(map(repr, inside))}?"
        return f"{where}: " + unknown("field", field, _field_names(schema, first["loc"][:-1]))
    if first["type"] == "missing":
        return f"{where}: field {field!r} is missing."
    return f"{where}: {mistake(error)}"


def mistake(error: ValidationError) -> str:
    """The first value that is not valid, and what would be."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    valid = first["msg"].replace("Input should be ", "give ").replace("Value error, ", "")
    return f"{field} = {first['input']!r} is not valid: {valid}."


def _in_tables(schema: type[Recipe], field: str) -> list[str]:
    """Full names of the fields of the schema's tables that are called `field`: a table's name is easily forgotten."""
    return [
        name for table in schema.model_fields for name in _field_names(schema, (table,)) if name == f"{table}.{field}"
    ]


def _field_names(schema: type[Recipe], path: Sequence[int | str]) -> list[str]:
    """Full names of the fields of the table at `path`, for the message."""
    table: Any = schema
    names = [str(part) for part in path]
    for part in path:
        if isinstance(part, str):
            annotation = table.model_fields[part].annotation
            table = next(
                (a for a in (*getattr(annotation, "__args__", ()), annotation) if hasattr(a, "model_fields")), None
            )
            if table is None:
                return []
    return [".".join([*names, field]) for field in table.model_fields]
