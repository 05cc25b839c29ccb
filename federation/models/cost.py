"""What a model is and what one query of it takes."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from federation.models import ElasticFamily
from federation.tasks import Task

BACKWARD = 3.0
"""What training on a sample costs, in forward passes: its own, and a backward pass, which counts two."""


@dataclass(frozen=True)
class Cost:
    """What a model is and what one query of it takes."""

    total_parameters: int
    active_parameters: int
    query_flops: int

    @staticmethod
    def of(family: ElasticFamily, task: Task) -> "Cost":
        """One model: all of it is active."""
        size = family.parameters(task)
        return Cost(total_parameters=size, active_parameters=size, query_flops=2 * family.multiplies(task))

    def times(self, models: int) -> "Cost":
        """Of several such models, all of which are asked."""
        return Cost(models * self.total_parameters, models * self.active_parameters, models * self.query_flops)

    def __add__(self, other: "Cost") -> "Cost":
        """Of two parts, both of which are asked."""
        parts = zip(astuple(self), astuple(other), strict=True)
        return Cost(*(one + another for one, another in parts))


def leading(numbers: Sequence[int], many: float | int) -> int:
    """The sum of so many of the largest numbers, the last of them in part."""
    shares = (min(1.0, max(0.0, many - place)) for place in range(len(numbers)))
    return round(sum(share * number for share, number in zip(shares, sorted(numbers, reverse=True), strict=True)))
