"""The coordinates of one chart: in them the expert of its region sees inputs, and tells what a linear map leaves."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from federation.manifold.coordinates.polynomials import polynomials, wide
from federation.tensors import Parameters, count

COORDINATES = "coordinates/"
"""Prefix of the names of coordinates among an expert's tensors."""


@dataclass(frozen=True, eq=False)
class Coordinates:
    """u = (x - centre) ways, and y = tangent(x) + unit f(u), where f is the expert's network.

    The tangent is a polynomial of x: level + slope of degree one, or two; without slope it is level alone. So f is
    trained on the residual of a map that is exact where the region is affine. Source: Ma and Shi (2025), eq. 23.

    Attributes:
        ways: a factor for each input, or a matrix whose columns are directions.
        slope: of each polynomial of the inputs; no rows where there is no tangent.
        unit: deviation of what the tangent leaves, in units of the targets.
    """

    centre: Float[Tensor, " inputs"]
    ways: Float[Tensor, " inputs"] | Float[Tensor, "inputs inputs"]
    slope: Float[Tensor, "polynomials outputs"]
    level: Float[Tensor, " outputs"]
    unit: Float[Tensor, ""]

    def inputs(self, rows: Float[Tensor, "*rows inputs"]) -> Float[Tensor, "*rows inputs"]:
        """Inputs in these coordinates."""
        apart = rows - self.centre
        return apart * self.ways if self.ways.dim() == 1 else apart @ self.ways

    def tangent(self, rows: Float[Tensor, "*rows inputs"]) -> Float[Tensor, "*rows outputs"]:
        """What the least-squares map says of inputs."""
        if not len(self.slope):
            return self.level.expand(*rows.shape[:-1], -1)
        return self.level + polynomials(rows, self.degree) @ self.slope

    def residuals(
        self, rows: Float[Tensor, "*rows inputs"], values: Float[Tensor, "*rows outputs"]
    ) -> Float[Tensor, "*rows outputs"]:
        """What the tangent leaves of values, in its own unit: what the network is trained on."""
        return (values - self.tangent(rows)) / self.unit

    def values(
        self, rows: Float[Tensor, "samples inputs"], outputs: Float[Tensor, "members samples outputs"]
    ) -> Float[Tensor, "members samples outputs"]:
        """The inverse of `residuals`: what a network's outputs say in units of the targets."""
        return self.tangent(rows) + self.unit * outputs

    @property
    def inverse(self) -> tuple[Float[Tensor, "inputs inputs"], Float[Tensor, " inputs"]]:
        """M and o with x = u M + o."""
        ways = self.ways.diag() if self.ways.dim() == 1 else self.ways
        return torch.linalg.inv(ways.double()).float(), self.centre

    @property
    def degree(self) -> int:
        """Of the tangent."""
        return 0 if not len(self.slope) else 1 if len(self.slope) == len(self.centre) else 2

    @property
    def parameters(self) -> int:
        """Numbers that a query reads."""
        return count(self.tensors())

    def tensors(self) -> dict[str, Tensor]:
        """All state, for wires and files."""
        return {COORDINATES + each.name: getattr(self, each.name) for each in fields(self)}

    @staticmethod
    def of(tensors: Parameters) -> "Coordinates | None":
        """The inverse of `tensors`, which may be among others; None where there are none."""
        found = {n.removeprefix(COORDINATES): t for n, t in tensors.items() if n.startswith(COORDINATES)}
        return Coordinates(**found) if found else None

    def check(self, inputs: int, outputs: int) -> None:
        """Whether these are coordinates of so many inputs and outputs.

        Raises:
            ValueError: a tensor has another shape, or a unit that is not positive.
        """
        rows = (0, wide(inputs, 1), wide(inputs, 2))
        fitting = (
            tuple(self.centre.shape) == (inputs,)
            and tuple(self.ways.shape) in ((inputs,), (inputs, inputs))
            and tuple(self.slope.shape) in {(each, outputs) for each in rows}
            and tuple(self.level.shape) == (outputs,)
            and self.unit.shape == ()
        )
        if not fitting or not float(self.unit) > 0:
            raise ValueError(f"its coordinates do not fit {inputs} inputs and {outputs} outputs")
