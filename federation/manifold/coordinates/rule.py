"""The contract of coordinates, and the tangent that all of them share: a region's least-squares map, from its sums."""

from abc import abstractmethod
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.learning.least_squares import moments, products_of, refitted
from federation.manifold.chart import Moments
from federation.manifold.coordinates.coordinates import Coordinates
from federation.manifold.coordinates.polynomials import polynomials, wide
from federation.rules import Rule
from federation.tasks import Task
from federation.tensors import Parameters, Shapes

LEAST_UNIT = 1e-3
"""Share of the federation's deviation of targets that is the least unit of a region: a region whose targets its tangent
hits has nothing left to learn, and no noise to blow up."""


class CoordinateRule(Rule):
    """Contract: the coordinates of a region, from the moments of its inputs.

    No deviation is less than `floor` of the whole federation's, so that few samples blow nothing up. The rule also says
    what least-squares map the expert begins from: of `degree` one it is affine, of two quadratic; of zero there is
    none, and the targets' mean stays. Classes have no such map.
    """

    degree: Literal[0, 1, 2] = 1
    floor: float = Field(default=0.02, gt=0, description="least deviation, as a share of the whole federation's")
    ridge: float = Field(default=1e-6, gt=0, description="penalty of the tangent, as a share of each input's variance")

    @abstractmethod
    def ways(self, inputs: Moments, whole: Moments) -> Float[Tensor, " inputs"] | Float[Tensor, "inputs inputs"]:
        """What inputs less their region's mean are multiplied with.

        Args:
            inputs: of a region.
            whole: of all regions together.
        """

    def degree_of(self, task: Task) -> int:
        """The degree of a task's tangents."""
        return 0 if task.classifies else self.degree

    def sums(self, rows: Float[Tensor, "samples inputs"], targets: Tensor, task: Task) -> dict[str, Tensor]:
        """What a client adds up: products of polynomials of its inputs, with one another and with its targets."""
        squares = task.fitted(targets).square().sum(0)
        return moments(polynomials(rows.double(), self.degree_of(task)), targets, task) | {"squares": squares}

    def shapes(self, task: Task) -> Shapes:
        """Of the sums."""
        rows = 1 + wide(task.input_shape[0], self.degree_of(task))
        return {
            "products": (rows * (rows + 1) // 2,),
            "targets": (rows, task.outputs),
            "squares": (task.outputs,),
        }

    def coordinates(self, sums: Parameters, whole: Parameters, task: Task) -> Coordinates:
        """Those of a region; one without samples sees its inputs as the whole federation does.

        Args:
            sums: of the region's clients.
            whole: of all.
        """
        sums = sums if sums else whole
        inputs, all_inputs = (_moments(each, task) for each in (sums, whole))
        tangent = _tangent(sums, self.degree_of(task), self.ridge, task)
        unit = torch.ones(()) if task.classifies else _left(sums, tangent).clamp_min(LEAST_UNIT * _spread(whole))
        return Coordinates(
            inputs.mean.float(),
            self.ways(inputs, all_inputs).float(),
            tangent["head.weight"].T.contiguous().float(),
            tangent["head.bias"].float(),
            unit.clamp_min(1e-30).float(),
        )


def per_deviation(deviation: Tensor, least: Tensor) -> Tensor:
    """One over the deviation, or over the least one; one where both are zero."""
    found = deviation.maximum(least)
    return torch.where(found > 0, 1 / found, 1.0)


def _moments(sums: Parameters, task: Task) -> Moments:
    """Of the inputs, which are the first of the polynomials."""
    products, inputs = products_of(sums), task.input_shape[0]
    return Moments(float(products[-1, -1]), products[-1, :inputs], products[:inputs, :inputs])


def _tangent(sums: Parameters, degree: int, ridge: float, task: Task) -> dict[str, Tensor]:
    """Slopes [outputs, polynomials] and levels, in double precision."""
    outputs = task.outputs
    if task.classifies:
        return {"head.weight": torch.zeros(outputs, 0), "head.bias": torch.zeros(outputs)}
    if not degree:
        level = sums["targets"][-1] / products_of(sums)[-1, -1]
        return {"head.weight": torch.zeros(outputs, 0, dtype=torch.float64), "head.bias": level}
    rows = len(sums["targets"]) - 1
    empty = {"head.weight": torch.zeros(outputs, rows).double(), "head.bias": torch.zeros(outputs).double()}
    return refitted(empty, sums, ridge, task)


def _left(sums: Parameters, tangent: Parameters) -> Float[Tensor, ""]:
    """Root mean square of what the tangent leaves, over the outputs, too."""
    products, slope, level = products_of(sums), tangent["head.weight"].T, tangent["head.bias"]
    if not len(slope):
        slope = torch.zeros(len(products) - 1, len(level), dtype=torch.float64)
    solution = torch.cat([slope, level[None]])
    explained = (solution * (2 * sums["targets"] - products @ solution)).sum(0)
    return ((sums["squares"] - explained) / products[-1, -1]).clamp_min(0).mean().sqrt()


def _spread(sums: Parameters) -> Float[Tensor, ""]:
    """Deviation of the targets, over the outputs, too."""
    count = products_of(sums)[-1, -1]
    return (sums["squares"] / count - (sums["targets"][-1] / count).square()).clamp_min(0).mean().sqrt()
