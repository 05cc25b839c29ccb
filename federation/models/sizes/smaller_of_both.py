"""Devices of several sizes, and regions of several sizes: a client trains the smaller of the two."""

from collections.abc import Sequence

from pydantic import Field

from federation.models.family import Size
from federation.models.sizes.by_dimension import ByDimension
from federation.models.sizes.rule import SizeRule
from federation.models.sizes.tiers import Tiers


class SmallerOfBoth(SizeRule):
    """The size of a client's device, or that of its region's expert where that is less, in width and in depth."""

    device: SizeRule = Field(default=Tiers(), description="what says how much a client can train")
    region: SizeRule = Field(default=ByDimension(), description="what says how much a region needs")

    @property
    def sizes(self) -> tuple[Size, ...]:
        both = (mine.least(theirs) for mine in self.device.sizes for theirs in self.region.sizes)
        return tuple(dict.fromkeys((*self.device.sizes, *both)))

    def of(self, client: int, seed: int) -> Size:
        return self.device.of(client, seed)

    def of_regions(self, dimensions: Sequence[float]) -> tuple[Size, ...]:
        return self.region.of_regions(dimensions)

    def inner(self, size: Size) -> tuple[Size, ...]:
        return tuple(dict.fromkeys((*self.device.inner(size), *self.region.inner(size))))
