"""Which size of the elastic family each client trains. To add a rule: a subclass of `SizeRule` here."""

from abc import abstractmethod
from functools import lru_cache
from itertools import product
from typing import Annotated

from pydantic import Field

from federation.models.family import FULL, Size
from federation.randomness import Streams
from federation.rules import Rule, Several

Width = Annotated[float, Field(gt=0, le=1)]
Depth = Annotated[float, Field(ge=0, le=1)]


class SizeRule(Rule):
    """Contract: the size of a client's model, which never changes during a run."""

    @property
    @abstractmethod
    def sizes(self) -> tuple[Size, ...]:
        """All sizes that may occur."""

    @abstractmethod
    def of(self, client: int, seed: int) -> Size:
        """The size of one client, from its number alone."""


class FullSize(SizeRule):
    """Every client trains the whole model."""

    @property
    def sizes(self) -> tuple[Size, ...]:
        return (FULL,)

    def of(self, client: int, seed: int) -> Size:
        return FULL


class Tiers(SizeRule):
    """Tiers of devices, one for each pair of a width and a depth; each client belongs to one, drawn with equal odds.

    Source: HeteroFL, Diao et al. (2021).
    """

    widths: Several[Width] = Field(default=(1.0, 0.5, 0.25, 0.125), min_length=1)
    depths: Several[Depth] = Field(default=(1.0,), min_length=1)

    @property
    def sizes(self) -> tuple[Size, ...]:
        return _pairs(self.widths, self.depths)

    def of(self, client: int, seed: int) -> Size:
        sizes = self.sizes
        return sizes[_sizes(seed).of(client).integers(len(sizes))]


@lru_cache
def _pairs(widths: tuple[float, ...], depths: tuple[float, ...]) -> tuple[Size, ...]:
    return tuple(Size(width=width, depth=depth) for width, depth in product(widths, depths))


@lru_cache
def _sizes(seed: int) -> Streams:
    return Streams(seed, "size")
