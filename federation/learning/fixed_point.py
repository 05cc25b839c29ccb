"""Learning as fixed-point iteration: when a region has come to rest, and leaves the schedule.

One round of a region is a map Phi of its expert's weights theta. Its residual e_t = ||Phi(theta) - theta|| / ||theta||
(eq. 23), its contraction rate the median of e_t / e_t-1 (eq. 50: below one, the iteration contracts), its divergence
the mean KL(p_t+1 || p_t) in nats between the answers of two rounds to samples that its clients hold out. Source: Ma and
Shi (2025).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from statistics import median

from pydantic import Field

from federation.rules import Frozen

HISTORY = 8
"""Rounds that are remembered."""


def contraction_rate(residuals: Sequence[float]) -> float:
    """Median of e_t / e_t-1; infinity where there are fewer than two residuals, and where something moves from rest."""
    ratios = [now / old if old > 0 else (0.0 if now == 0 else inf) for old, now in pairwise(residuals)]
    return median(ratios) if ratios else inf


class FixedPoint(Frozen):
    """When a region counts as stable: all three within bounds, in so many rounds in a row.

    Rounds of a phase at a constant learning rate only: with a falling one everything comes to rest, stable or not.
    """

    residual: float | None = Field(default=None, gt=0, description="that of a stable region; nothing is stable without")
    rate: float = Field(default=1.0, gt=0, description="contraction rate of a stable region; above 1 it expands")
    divergence: float = Field(default=0.02, ge=0, description="nats a sample between a stable region's rounds")
    rounds: int = Field(default=3, ge=1, description="in a row, in which all of these hold")

    @property
    def watched(self) -> bool:
        """Whether anything can be stable."""
        return self.residual is not None


@dataclass(frozen=True)
class Watch:
    """A region's way to its fixed point.

    Attributes:
        residuals: of its last rounds, the latest last.
        divergence: of the last round, in nats a sample; infinity before it is known.
        calm: rounds in a row in which all bounds have held.
        rounds: all its rounds so far.
    """

    residuals: tuple[float, ...] = ()
    divergence: float = inf
    calm: int = 0
    rounds: int = 0

    @property
    def rate(self) -> float:
        """Its contraction rate."""
        return contraction_rate(self.residuals)

    def seen(self, residual: float, divergence: float, bounds: FixedPoint) -> "Watch":
        """After one more round."""
        residuals = (*self.residuals, residual)[-HISTORY:]
        after = Watch(residuals, divergence, self.calm + 1, self.rounds + 1)
        holds = (
            bounds.residual is not None
            and residual <= bounds.residual
            and after.rate <= bounds.rate
            and divergence <= bounds.divergence
        )
        return after if holds else replace(after, calm=0)

    def stable(self, bounds: FixedPoint) -> bool:
        """Whether it has come to rest."""
        return bounds.watched and self.calm >= bounds.rounds
