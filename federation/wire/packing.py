"""Immutable values as plain JSON and tensors, and back: what checkpoints are made of.

Only the kinds of values that the reader names are read, so a file cannot bring in any other.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from enum import Enum
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from torch import Tensor

from federation.rules import Frozen

DERIVED = {"derived": True}
"""Metadata of a dataclass field that is not packed: whoever unpacks the value makes it again."""


def packed(value: Any, kinds: Iterable[type]) -> tuple[Any, dict[str, Tensor]]:
    """A value as JSON can hold it, and the tensors in it; one that occurs twice is kept once.

    Args:
        kinds: dataclasses, enumerations and bases of configuration values that may occur in it.
    Raises:
        TypeError: something else does.
    """
    known = tuple(kinds)
    tensors: dict[str, Tensor] = {}
    names: dict[int, str] = {}

    def pack(value: Any) -> Any:
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, Tensor):
            name = names.setdefault(id(value), str(len(names)))
            tensors[name] = value
            return {"tensor": name}
        if isinstance(value, tuple):
            return [pack(item) for item in value]
        if isinstance(value, Mapping):
            return {"map": [[pack(key), pack(item)] for key, item in value.items()]}
        kind = next((kind.__name__ for kind in known if isinstance(value, kind)), None)
        if kind is None:
            raise TypeError(f"a {type(value).__name__} cannot be packed")
        if isinstance(value, Enum):
            return {"kind": kind, "value": value.value}
        if isinstance(value, Frozen):
            return {"kind": kind, "value": value.dump()}
        parts = {part.name: pack(getattr(value, part.name)) for part in fields(value) if not part.metadata}
        return {"kind": kind, "value": parts}

    return pack(value), tensors


def unpacked(tree: Any, tensors: Mapping[str, Tensor], kinds: Iterable[type]) -> Any:
    """The inverse of `packed`.

    Raises:
        ValueError, KeyError, TypeError: the tree is damaged, or holds a kind that is not among `kinds`, or a value that
            its field's annotation does not allow.
    """
    known: dict[str, Any] = {kind.__name__: kind for kind in kinds}

    def unpack(tree: Any) -> Any:
        if isinstance(tree, list):
            return tuple(unpack(item) for item in tree)
        if not isinstance(tree, dict):
            return tree
        if "tensor" in tree:
            return tensors[tree["tensor"]]
        if "map" in tree:
            return {unpack(key): unpack(item) for key, item in tree["map"]}
        kind, value = known[tree["kind"]], tree["value"]
        if issubclass(kind, Frozen):
            return kind.model_validate_json(json.dumps(value))
        if issubclass(kind, Enum):
            return kind(value)
        parts, allowed = {name: unpack(part) for name, part in value.items()}, get_type_hints(kind)
        for name, part in parts.items():
            if not _fits(part, allowed[name]):
                raise TypeError(f"{name} of a {kind.__name__} is no {allowed[name]}")
        return kind(**parts)

    return unpack(tree)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is what an annotation says, with all that is in it."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        each = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return len(value) == len(each) and all(map(_fits, value, each))
    if origin is not None:
        return isinstance(value, origin) and all(_fits(k, parts[0]) and _fits(v, parts[1]) for k, v in value.items())
    if hint in (int, float):
        return type(value) in (int, hint)
    return isinstance(value, hint)
