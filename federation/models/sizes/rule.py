"""The contract of a size rule, and what its clients train of the size that they hold."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from federation.models.family import Size
from federation.randomness import generator
from federation.rules import Rule

Width = Annotated[float, Field(gt=0, le=1)]
Depth = Annotated[float, Field(ge=0, le=1)]


class SizeRule(Rule):
    """Contract: how much a client's device can train, which never changes during a run.

    A client trains the smaller of that and the model itself, which may have to grow before it is whole.
    """

    @property
    @abstractmethod
    def sizes(self) -> tuple[Size, ...]:
        """All sizes that may occur."""

    @abstractmethod
    def of(self, client: int, seed: int) -> Size:
        """What one client's device can train, from its number alone."""

    def within(self, size: Size) -> tuple[Size, ...]:
        """The sizes that may occur and are slices of one, itself among them."""
        return tuple(inner for inner in self.sizes if inner.within(size))

    def inner(self, size: Size) -> tuple[Size, ...]:
        """The sizes within its own that a client trains in turns beside it, its own among them; by default none."""
        return ()


def turns(own: Size, inner: Sequence[Size], seed: int, *address: int | str) -> Iterator[Size | None]:
    """The size that each step trains beside the whole: all in turn, in an order that is drawn anew each time.

    It is the same for all clients of a size, so that a cohort trains one slice at a time.

    Args:
        own: of the whole, in whose turn there is nothing beside it.
    """
    draw = generator(seed, "turns", *address)
    while inner:
        yield from (None if inner[place] == own else inner[place] for place in draw.permutation(len(inner)))
