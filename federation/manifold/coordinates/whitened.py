"""Inputs along their region's own principal directions, each in units of its deviation there."""

import torch
from jaxtyping import Float
from torch import Tensor

from federation.manifold.chart import Moments
from federation.manifold.coordinates.rule import CoordinateRule, per_deviation


class Whitened(CoordinateRule):
    """Inputs less their region's mean, turned to its principal directions and divided by its deviation along each."""

    def ways(self, inputs: Moments, whole: Moments) -> Float[Tensor, "inputs inputs"]:
        values, directions = torch.linalg.eigh(inputs.scatter / inputs.count)
        usual = (whole.scatter.diagonal().mean() / whole.count).clamp_min(0).sqrt()
        ways: Tensor = directions * per_deviation(values.clamp_min(0).sqrt(), self.floor * usual)
        return ways
