"""Server momentum on the mean update: FedAvgM."""

import torch
from pydantic import Field
from torch import Tensor

from federation.tensors import Parameters
from federation.wire.contribution import AggregationRule, coverage_mean


class Momentum(AggregationRule):
    """velocity <- beta velocity + (mean - theta); theta <- theta + rate velocity. Source: Hsu et al. (2019)."""

    beta: float = Field(default=0.7, ge=0, lt=1)
    rate: float = Field(default=1.0, gt=0)

    def init(self, parameters: Parameters) -> dict[str, Tensor]:
        return {name: torch.zeros_like(tensor) for name, tensor in parameters.items()}

    def apply(
        self, state: Parameters, parameters: Parameters, sums: Parameters
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        mean = coverage_mean(sums, parameters)
        velocity = {name: self.beta * state[name] + mean[name] - before for name, before in parameters.items()}
        return {name: before + self.rate * velocity[name] for name, before in parameters.items()}, velocity
