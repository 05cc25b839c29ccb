"""Values as JSON and tensors, and back."""

import json
from dataclasses import dataclass
from enum import StrEnum
from math import inf

import pytest
import torch

from federation.routing import ChartPosterior, RoutingRule
from federation.wire.packing import packed, unpacked


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    weights: dict[str, torch.Tensor]
    limit: float


@dataclass(frozen=True)
class Outer:
    inner: tuple[Inner, ...]
    of: dict[int, tuple[int, ...]]
    colour: Colour
    rule: RoutingRule
    nothing: Inner | None = None


KINDS = (Inner, Outer, Colour, RoutingRule)


def there_and_back(value, kinds=KINDS):
    tree, tensors = packed(value, kinds)
    return unpacked(json.loads(json.dumps(tree)), tensors, kinds)


def test_what_is_packed_comes_back_as_it_was():
    shared = torch.tensor([1.0, 2.0])
    value = Outer(
        (Inner({"a": shared}, inf), Inner({"b/c": shared}, 0.1)), {7: (1, 2)}, Colour.RED, ChartPosterior(top=2)
    )
    back = there_and_back(value)
    assert (back.of, back.colour, back.rule, back.nothing) == (value.of, Colour.RED, value.rule, None)
    assert isinstance(back.colour, Colour)
    assert [inner.limit for inner in back.inner] == [inf, 0.1]
    assert torch.equal(back.inner[1].weights["b/c"], shared)


def test_a_tensor_that_occurs_twice_is_kept_once():
    shared = torch.ones(3)
    assert len(packed((shared, shared, torch.ones(3)), ())[1]) == 2


def test_kinds_that_nobody_named_are_neither_written_nor_read():
    with pytest.raises(TypeError, match="a Inner cannot be packed"):
        packed(Inner({}, 0.0), (Outer,))
    tree, tensors = packed(Inner({}, 0.0), KINDS)
    with pytest.raises(KeyError, match="Inner"):
        unpacked(tree, tensors, (Outer,))
