"""Stochastic gradient descent with momentum."""

from pydantic import Field
from torch import Tensor

from federation.optimizers.optimizer import Optimizer


class Sgd(Optimizer):
    """velocity <- momentum velocity + gradient + weight_decay weight, which is the direction: torch.optim.SGD."""

    momentum: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)

    @property
    def plain(self) -> bool:
        return not (self.momentum or self.weight_decay)

    def direction(self, gradient: Tensor, weight: Tensor, state: dict[str, Tensor], step: int) -> Tensor:
        if self.weight_decay:
            gradient = gradient.add(weight, alpha=self.weight_decay)
        if self.momentum:
            state["velocity"] = gradient = gradient.add(state.get("velocity", 0.0), alpha=self.momentum)
        return gradient
