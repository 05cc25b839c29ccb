"""Devices of several sizes."""

from functools import lru_cache
from itertools import product

from pydantic import Field

from federation.models.family import Size
from federation.models.sizes.rule import Depth, SizeRule, Width
from federation.randomness import Streams
from federation.rules import Several


class Tiers(SizeRule):
    """Tiers of devices, one for each pair of a width and a depth; each client belongs to one, drawn with equal odds.

    Source: HeteroFL, Diao et al. (2021); ordered dropout: FjORD, Horvath et al. (2021).
    """

    widths: Several[Width] = Field(default=(1.0, 0.5, 0.25, 0.125), min_length=1)
    depths: Several[Depth] = Field(default=(1.0,), min_length=1)
    ordered_dropout: bool = Field(
        default=True, description="a client's smaller sizes learn, in turns, what its largest says; else as in HeteroFL"
    )

    @property
    def sizes(self) -> tuple[Size, ...]:
        return _pairs(self.widths, self.depths)

    def of(self, client: int, seed: int) -> Size:
        sizes = self.sizes
        return sizes[_sizes(seed).of(client).integers(len(sizes))]

    def inner(self, size: Size) -> tuple[Size, ...]:
        return self.within(size) if self.ordered_dropout else ()


@lru_cache
def _pairs(widths: tuple[float, ...], depths: tuple[float, ...]) -> tuple[Size, ...]:
    return tuple(Size(width=width, depth=depth) for width, depth in product(widths, depths))


@lru_cache
def _sizes(seed: int) -> Streams:
    return Streams(seed, "size")
