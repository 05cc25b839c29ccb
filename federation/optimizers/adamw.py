"""Steps of a length that does not depend on the gradient's scale, with decoupled weight decay."""

import torch
from pydantic import Field
from torch import Tensor

from federation.optimizers.optimizer import Optimizer


class AdamW(Optimizer):
    """m_hat / (sqrt(v_hat) + eps) + weight_decay weight, of the corrected moments: torch.optim.AdamW.

    The moments begin anew with each round of a client. Source: Loshchilov and Hutter (2019).
    """

    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)

    @classmethod
    def kind(cls) -> str:
        return "adamw"

    def direction(self, gradient: Tensor, weight: Tensor, state: dict[str, Tensor], step: int) -> Tensor:
        if not state:
            state |= {"first": torch.zeros_like(gradient), "second": torch.zeros_like(gradient)}
        first = state["first"].lerp_(gradient, 1 - self.beta1)
        second = state["second"].mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        spread = second.div(1 - self.beta2**step).sqrt_().add_(self.eps)
        return first.div(1 - self.beta1**step).div_(spread).add_(weight, alpha=self.weight_decay)
