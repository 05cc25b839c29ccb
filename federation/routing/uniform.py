"""No routing: every expert has the same say."""

import torch
from jaxtyping import Float
from torch import Tensor

from federation.routing.rule import RoutingRule
from federation.tensors import Parameters


class Uniform(RoutingRule):
    """g = 1 / M for all regions; set `top` to the number of regions for the plain ensemble."""

    def logits(
        self,
        weights: Parameters,
        latent: Float[Tensor, "clients samples latent"],
        scores: Float[Tensor, "clients samples regions"],
    ) -> Float[Tensor, "clients samples regions"]:
        return torch.zeros_like(scores)
