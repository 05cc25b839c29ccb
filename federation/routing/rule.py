"""The contract of a router: which experts answer a query, and with which weight."""

from abc import abstractmethod

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.contribution import filled
from federation.rules import Rule
from federation.tensors import Parameters, shapes


class RoutingRule(Rule):
    """Contract: gate logits from where a sample lies. `top` experts answer each query."""

    top: int = Field(default=3, ge=1)

    @property
    def tuned(self) -> bool:
        """Whether clients tune the router's weights."""
        return False

    @abstractmethod
    def init(self, latent: int, regions: int, draw: torch.Generator) -> dict[str, Tensor]:
        """The router's weights before tuning; empty where nothing is tuned."""

    def with_region(self, weights: Parameters, latent: int, regions: int) -> dict[str, Tensor]:
        """The weights for one region more than `regions`: those that are there stay, and new ones are zero."""
        wanted = shapes(self.init(latent, regions + 1, torch.Generator()))
        return {name: filled(weights[name], shape) for name, shape in wanted.items()}

    @abstractmethod
    def logits(
        self,
        weights: Parameters,
        latent: Float[Tensor, "clients samples latent"],
        scores: Float[Tensor, "clients samples regions"],
    ) -> Float[Tensor, "clients samples regions"]:
        """Gate logits, one router a client, from encoded samples and the atlas' scores."""


def gates(logits: Float[Tensor, "*rows regions"], top: int) -> Float[Tensor, "*rows regions"]:
    """Softmax over the `top` largest logits of each row; all other gates are zero. Ties go to the lower region."""
    if top < logits.shape[-1]:
        order = logits.argsort(dim=-1, descending=True, stable=True)
        dropped = order[..., top:]
        logits = logits.scatter(-1, dropped, -torch.inf)
    return logits.softmax(-1)
