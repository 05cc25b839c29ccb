"""The contract of a router: which experts answer a query, and with which weight."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from federation.manifold import Atlas, Survey
from federation.rules import Rule
from federation.tensors import Parameters


@dataclass(frozen=True)
class Gates:
    """Which experts answer each query, and with which weight; the weights of a query add up to one."""

    regions: Int[Tensor, "samples asked"]
    weights: Float[Tensor, "samples asked"]

    def spread(self, regions: int) -> Float[Tensor, "samples regions"]:
        """The gate of every region; zero where nobody is asked."""
        return torch.zeros(len(self.weights), regions).scatter_add(1, self.regions, self.weights)


class RoutingRule(Rule):
    """Contract: gate logits from where a sample lies. `top` experts answer each query."""

    top: int = Field(default=3, ge=1)

    @property
    def tuned(self) -> bool:
        """Whether clients tune the router's weights."""
        return False

    def survey(self, atlas: Atlas, latent: Float[Tensor, "samples latent"]) -> Survey:
        """What the rule asks the charts. One that asks only some regions has logits that look at nothing but scores."""
        return atlas.survey(latent)

    @abstractmethod
    def init(self, latent: int, regions: int, draw: torch.Generator) -> dict[str, Tensor]:
        """The router's weights before tuning; empty where nothing is tuned."""

    @abstractmethod
    def logits(
        self,
        weights: Parameters,
        latent: Float[Tensor, "clients samples latent"],
        scores: Float[Tensor, "clients samples regions"],
    ) -> Float[Tensor, "clients samples regions"]:
        """Gate logits, one router a client, from encoded samples and the atlas' scores."""

    def gates(self, weights: Parameters, latent: Float[Tensor, "samples latent"], survey: Survey) -> Gates:
        """Which experts one router asks."""
        alone = {name: tensor[None] for name, tensor in weights.items()}
        logits = self.logits(alone, latent[None], survey.relative_scores()[None])[0]
        shares, places = strongest(logits, self.top)
        return Gates(places if survey.regions is None else survey.regions.gather(1, places), shares)


def gates(logits: Float[Tensor, "*rows regions"], top: int) -> Float[Tensor, "*rows regions"]:
    """Softmax over the `top` largest logits of each row; all other gates are zero. Ties go to the lower region."""
    weights, places = strongest(logits, top)
    return torch.zeros_like(logits).scatter(-1, places, weights)


def strongest(
    logits: Float[Tensor, "*rows regions"], top: int
) -> tuple[Float[Tensor, "*rows asked"], Int[Tensor, "*rows asked"]]:
    """The gates of the `top` largest logits of each row, and the places of these."""
    largest = logits.sort(dim=-1, descending=True, stable=True)
    return largest.values[..., :top].softmax(-1), largest.indices[..., :top]
