"""Regions of several sizes: a region that fills few dimensions has a small expert."""

from collections.abc import Sequence
from math import isfinite

from pydantic import Field

from federation.models.family import FULL, Size
from federation.models.sizes.rule import SizeRule, Width
from federation.rules import Several


class ByDimension(SizeRule):
    """The least of the widths that is at least d / d_max, d the intrinsic dimension of the region's samples and d_max
    the largest of all regions; the largest width where d is not known."""

    widths: Several[Width] = Field(default=(1.0, 0.75, 0.5, 0.25), min_length=1)
    ordered_dropout: bool = Field(default=True, description="the smaller widths learn, in turns, what the largest says")

    @property
    def sizes(self) -> tuple[Size, ...]:
        return tuple(Size(width=width) for width in sorted(self.widths, reverse=True))

    def of(self, client: int, seed: int) -> Size:
        return FULL

    def of_regions(self, dimensions: Sequence[float]) -> tuple[Size, ...]:
        largest = max(filter(isfinite, dimensions), default=1.0)
        return tuple(self._least(d / largest if isfinite(d) else 1.0) for d in dimensions)

    def inner(self, size: Size) -> tuple[Size, ...]:
        return self.within(size) if self.ordered_dropout else ()

    def _least(self, complexity: float) -> Size:
        enough = [size for size in self.sizes if size.width >= complexity]
        return enough[-1] if enough else self.sizes[0]
