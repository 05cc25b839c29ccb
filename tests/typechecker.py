"""The runtime type checker of the tests: beartype, as jaxtyping's import hook calls it."""

from collections.abc import Callable
from inspect import isfunction
from typing import Any

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintException

_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as for mypy


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its arguments and result checked.

    jaxtyping decorates one function at a time; there beartype refuses `Self` and pydantic's validator protocols. Those
    few functions stay unchecked.
    """
    try:
        return _beartype(function)
    except BeartypeDecorHintException:
        return function


def but_closures(jaxtyped: Callable[..., Any]) -> Callable[..., Any]:
    """jaxtyping's decorator, which leaves out functions within functions: they are made with each call, and their
    checks would be compiled with each call."""

    def decorator(**options: Any) -> Callable[[Any], Any]:
        decorate = jaxtyped(**options)
        return lambda made: made if isfunction(made) and "<locals>" in made.__qualname__ else decorate(made)

    return decorator
