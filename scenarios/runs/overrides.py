"""Overrides of a scenario's fields from the command line and from TOML."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from federation.rules import InputError


def collected(settings: list[str] | None, config: Path | None, data_dir: Path | None) -> dict[str, Any]:
    """All overrides by dotted field. What is given by --set wins over the file.

    Raises:
        InputError: a setting without a value, an unreadable file.
    """
    overrides = {} if config is None else flattened(_read(config))
    for field, value in overrides.items():
        if not _is_json(value):
            raise InputError(
                f"{config}: {field} is {value}, expected a number, text, true or false, or a list of these"
            )
    if data_dir is not None:
        if not data_dir.is_dir():
            raise InputError(f"no data folder {data_dir}; name an existing one by --data-dir")
        overrides["data.dir"] = str(data_dir)
    return overrides | {field: value_of(text) for field, text in map(_parted, settings or [])}


def alternatives(settings: list[str] | None, config: Path | None, data_dir: Path | None) -> dict[str, list[Any]]:
    """The same with all values that a field shall take: commas outside brackets and quotes separate them.

    Raises:
        InputError: as `collected`; also nothing between two commas, or the same value twice.
    """
    fields = {field: [value] for field, value in collected(None, config, data_dir).items()}
    for field, text in map(_parted, settings or []):
        fields[field] = [value_of(piece) for piece in _pieces(text)]
        shown = [written(value) for value in fields[field]]
        if "" in shown or len(set(shown)) < len(shown):
            raise InputError(f"--set {field}={text}: expected different values with commas between them")
    return fields


def written(value: Any) -> str:
    """A value as `--set` takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def value_of(text: str) -> Any:
    """A TOML value that JSON can hold; whatever else is there, such as a date, is a string."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value if _is_json(value) else text


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def flattened(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted fields."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _parted(setting: str) -> tuple[str, str]:
    field, equals, text = setting.partition("=")
    if not equals or not field:
        raise InputError(f"--set {setting}: expected FIELD=VALUE, such as local.learning_rate=0.05")
    return field.strip(), text.strip()


def _pieces(text: str) -> list[str]:
    """The text cut at its commas, but for those in brackets and quotes."""
    pieces, depth = [""], 0
    for token in re.findall(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|.', text):
        depth += (token in "[{") - (token in "]}")
        if token == "," and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += token
    return [piece.strip() for piece in pieces]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--config {path} cannot be read ({error}); name an existing TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"--config {path} is no TOML: {error}") from None
