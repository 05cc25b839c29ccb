"""The base of every configuration value, and of every rule that a scenario chooses.

A rule is a frozen pydantic model of its hyperparameters whose class is the method. Subclasses are found among
the imported ones by their kind (the class name in snake_case): a new rule is a new file, nothing else.
"""

import difflib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    Strict,
    model_serializer,
    model_validator,
)

Item = TypeVar("Item")
Several = Annotated[tuple[Item, ...], Strict(False)]
"""A tuple that may be written as a list, which is all that JSON and TOML have; its items stay strict."""


class InputError(ValueError):
    """The user's input is wrong. The message says what was wrong, what was expected and what to do, in one line."""


def import_all(package: str, folders: Iterable[str]) -> None:
    """Import every module of a package, so that the rules in them are known: a new file is named nowhere else.

    Args:
        folders: the package's `__path__`.
    """
    for found in pkgutil.iter_modules(folders):
        importlib.import_module(f"{package}.{found.name}")


def nearest(word: str, known: list[str]) -> str:
    """A hint that names the known word closest to `word`, or lists them all."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"


@cache
def snake_case(name: str) -> str:
    """A class name as configuration files write it."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Frozen(BaseModel):
    """A strict, immutable value that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    def dump(self) -> dict[str, Any]:
        """Plain data that JSON can hold; `model_validate_json` of it gives an equal value."""
        return self.model_dump(mode="json", serialize_as_any=True)


class Rule(Frozen):
    """One method among several: the class is the method, the fields are its hyperparameters."""

    @classmethod
    def kind(cls) -> str:
        """The name of the method in configuration files: the class name in snake_case."""
        return snake_case(cls.__name__)

    @classmethod
    def kinds(cls) -> dict[str, type[Self]]:
        """All imported concrete methods of this family of rules, by kind."""
        below = [kind for sub in cls.__subclasses__() for kind in sub.kinds().values()]
        here = [] if inspect.isabstract(cls) or cls is Rule else [cls]
        return {rule.kind(): rule for rule in here + below}

    @model_validator(mode="wrap")
    @classmethod
    def _choose(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(value, str):
            value = {"kind": value}
        if not isinstance(value, dict):
            return handler(value)
        fields = {name: field for name, field in value.items() if name != "kind"}
        kind = value.get("kind", None if inspect.isabstract(cls) else cls.kind())
        known = cls.kinds()
        if not isinstance(kind, str) or kind not in known:
            raise ValueError(f"unknown kind {kind!r}; {nearest(str(kind), list(known))}")
        if known[kind] is cls:
            return handler(fields)
        return known[kind].model_validate(fields)

    @model_serializer(mode="wrap")
    def _name_kind(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"kind": self.kind(), **handler(self)}
