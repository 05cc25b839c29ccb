"""Random Fourier features: with least squares on them, a smooth function of flat inputs in one sum over clients."""

from collections.abc import Sequence
from functools import lru_cache
from math import pi, prod, sqrt
from typing import Annotated, Self

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.manifold.features import FeatureMap, Trunk, no_trunk
from federation.randomness import torch_generator
from federation.rules import Several


class FourierFeatures(FeatureMap):
    """Cosines of random projections of the input: of a Gaussian kernel of each bandwidth.

    They are the same for all clients and all experts. Source: Rahimi and Recht (2007).
    """

    count: int = Field(default=512, ge=1, description="cosines, of all bandwidths together")
    bandwidths: Several[Annotated[float, Field(gt=0)]] = Field(
        default=(0.5, 1.0), min_length=1, description="of the kernels, in mean distances between standardised inputs"
    )

    def apply(
        self, inputs: Float[Tensor, "samples *shape"], trunk: Trunk = no_trunk
    ) -> Float[Tensor, "samples features"]:
        rows = inputs.flatten(1)
        directions, phases = _waves(rows.shape[1], self.count, self.bandwidths)
        return (rows @ directions.to(rows) + phases.to(rows)).cos()

    def width(self, shape: Sequence[int]) -> int:
        return self.count

    def constants(self, shape: Sequence[int]) -> int:
        return self.count * (prod(shape) + 1)

    def multiplies(self, shape: Sequence[int]) -> int:
        return self.count * prod(shape)

    def sized_to(self, parameters: int, shape: Sequence[int], outputs: int) -> Self:
        return self.model_copy(update={"count": max(1, min(self.count, parameters // outputs - 1))})


@lru_cache(maxsize=8)
def _waves(inputs: int, count: int, bandwidths: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Directions [inputs, count] and phases [count] of the cosines."""
    draw = torch_generator(0, "fourier features")
    directions = torch.randn(inputs, count, generator=draw)
    phases = 2 * pi * torch.rand(count, generator=draw)
    widths = torch.tensor(bandwidths).repeat(count)[:count]
    return directions / (widths * sqrt(2 * inputs)), phases
