"""How experts and regions grow between the experts' rounds: the settings, and when it is time.

An expert begins small. Once it hardly moves any more at its size and still loses too much, its capacity is used up,
and it gets the next size by copies that keep its function (Net2Net). A region is two where its clients pull apart:
their mean update nearly vanishes while their own do not (Sattler et al. 2020), and two Gaussians fit its samples
better than one. Two regions are one where they overlap and look alike.
"""

from itertools import pairwise
from typing import Self

from pydantic import Field, model_validator

from federation.models import Size
from federation.models.family import FULL
from federation.rules import Frozen, Several


class Growth(Frozen):
    """By default nothing grows."""

    sizes: Several[Size] = Field(default=(), description="through which an expert grows; the first is also the prior's")
    residual: float = Field(default=0.1, gt=0, description="an expert that moves no more than this in a round may grow")
    loss: float = Field(default=0.0, ge=0, description="unless its clients lose less than this, in the task's units")
    split: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="a region may split whose clients' mean update is at most so much of theirs",
    )
    merge: bool = Field(default=False, description="regions that are alike become one")
    budget: int | None = Field(default=None, ge=1, description="parameters of all experts that growth never passes")

    @model_validator(mode="after")
    def _nested(self) -> Self:
        if not all(small.within(large) and small != large for small, large in pairwise(self.sizes)):
            raise ValueError("each of growth.sizes must be larger than the one before it, in width or in depth")
        return self

    @property
    def regions(self) -> bool:
        """Whether regions may split or merge."""
        return self.split is not None or self.merge

    @property
    def used(self) -> bool:
        """Whether anything may grow."""
        return bool(self.sizes) or self.regions

    @property
    def first(self) -> Size:
        """The size to begin with."""
        return self.sizes[0] if self.sizes else FULL

    def beyond(self, size: Size) -> Size | None:
        """The next size that has more than this one; none where it has all."""
        larger = (step for step in self.sizes if not step.within(size))
        return next((Size(width=max(s.width, size.width), depth=max(s.depth, size.depth)) for s in larger), None)

    def due(self, residual: float, loss: float) -> bool:
        """Whether an expert that last moved so far and lost so much has used up its size."""
        return residual <= self.residual and loss >= self.loss

    def affords(self, parameters: int) -> bool:
        """Whether the experts may have so many together."""
        return self.budget is None or parameters <= self.budget

    def torn(self, mean: float, own: float) -> bool:
        """Whether clients whose mean update has this length, and their own that on average, pull apart."""
        return self.split is not None and own > 0 and mean <= self.split * own
