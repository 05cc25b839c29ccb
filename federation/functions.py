"""Functions of a user's own, named as `module:function`."""

import importlib
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from federation.rules import InputError


@lru_cache
def function(name: str) -> Callable[..., Any]:
    """The function that `module:function` names; modules in the working folder are found, too.

    Raises:
        InputError: there is none.
    """
    module, _, inside = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), inside)):
        raise InputError(f"{name!r} names no function; expected module:function, such as mymodule:pinball")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), inside)
    except Exception as error:
        raise InputError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise InputError(f"{name} is no function but {type(found).__name__}; name one that can be called")
    return found
