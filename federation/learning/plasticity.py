"""Dormant units: how they are found in a round, and when they are drawn anew."""

from typing import Self

from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor

from federation.rules import Frozen

TAU = 0.1
"""A dormant unit says at most this share of what the units of its layer say on average. Source: Sokar et al. (2023)."""


class Plasticity(Frozen):
    """Whether dormant units are looked for in the rounds of prior and experts, and begin anew."""

    samples: int = Field(default=0, ge=0, description="of each client in a round, on which units are listened to")
    renew: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="share of dormant units from which on an expert's begin anew after a round",
    )

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if self.renew is not None and not self.samples:
            raise ValueError("dormant units must be found to begin anew; set plasticity.samples=4")
        return self

    def worn(self, asleep: int, units: int) -> bool:
        """Whether so many dormant among all units are too many."""
        return self.renew is not None and asleep > 0 and asleep >= self.renew * units


def silent(
    said: Float[Tensor, "clients units"], seen: Float[Tensor, "clients units"], tau: float = TAU
) -> Bool[Tensor, "clients units"]:
    """Units that say at most `tau` x what the units of their layer do on average, by sums over samples.

    Args:
        seen: number of samples behind each sum; a unit without any counts neither as dormant nor in the average.
    """
    known = seen > 0
    mean = said / seen.clamp_min(1)
    average = (mean * known).sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp_min(1)
    return known & (mean <= tau * average)
