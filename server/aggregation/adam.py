"""Adam on the mean update: FedAdam."""

import torch
from pydantic import Field
from torch import Tensor

from federation.tensors import Parameters, prefixed, under
from federation.wire.contribution import AggregationRule, coverage_mean


class Adam(AggregationRule):
    """delta = mean - theta; m and v as in Adam, of delta; theta <- theta + rate' m / (sqrt(v) + tau).

    rate' is the bias-corrected rate sqrt(1 - beta_2^(t+1)) / (1 - beta_1^(t+1)) of rate, t the round from 1, as in
    Flower's FedAdam. Source: Reddi et al. (2021).
    """

    rate: float = Field(default=0.1, gt=0)
    beta_1: float = Field(default=0.9, ge=0, lt=1)
    beta_2: float = Field(default=0.99, ge=0, lt=1)
    tau: float = Field(default=1e-3, gt=0, description="degree of adaptability")

    def init(self, parameters: Parameters) -> dict[str, Tensor]:
        zeros = {name: torch.zeros_like(tensor) for name, tensor in parameters.items()}
        return prefixed("m", zeros) | prefixed("v", zeros) | {"t": torch.zeros((), dtype=torch.float64)}

    def apply(
        self, state: Parameters, parameters: Parameters, sums: Parameters
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        mean, old_m, old_v, t = coverage_mean(sums, parameters), under("m", state), under("v", state), state["t"] + 1
        m, v = dict[str, Tensor](), dict[str, Tensor]()
        for name, before in parameters.items():
            delta = mean[name] - before
            m[name] = self.beta_1 * old_m[name] + (1 - self.beta_1) * delta
            v[name] = self.beta_2 * old_v[name] + (1 - self.beta_2) * delta.square()
        rate = self.rate * float((1 - self.beta_2 ** (t + 1)).sqrt() / (1 - self.beta_1 ** (t + 1)))
        moved = {name: before + rate * m[name] / (v[name].sqrt() + self.tau) for name, before in parameters.items()}
        return moved, prefixed("m", m) | prefixed("v", v) | {"t": t}
