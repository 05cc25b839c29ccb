"""The default router: the chart posterior, corrected by a small network that starts at zero."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.models import Mlp
from federation.models.mlp import side_by_side
from federation.routing.rule import RoutingRule
from federation.tasks import Regression
from federation.tensors import Parameters


class TunedResidual(RoutingRule):
    """g = softmax(T s_i(z) + r_i(z)); T and r are tuned federatedly. Untuned it is the chart posterior: the floor."""

    temperature: float = Field(default=0.3, gt=0)
    hidden: int = Field(default=32, ge=1)

    @property
    def tuned(self) -> bool:
        return True

    @property
    def network(self) -> Mlp:
        """The residual's network."""
        return Mlp(width=self.hidden, blocks=0)

    def init(self, latent: int, regions: int, draw: torch.Generator) -> dict[str, Tensor]:
        weights = self.network.init(Regression(input_shape=(latent,), outputs=regions), draw)
        weights["head.weight"] = torch.zeros_like(weights["head.weight"])
        return weights | {"log_temperature": torch.tensor(self.temperature).log()}

    def part(self, weights: Parameters, regions: Sequence[int]) -> dict[str, Tensor]:
        """The residual's rows of these regions."""
        return {name: t[list(regions)] if name.startswith("head.") else t for name, t in weights.items()}

    def joined(
        self, weights: Parameters, other: RoutingRule, others: Parameters, share: float
    ) -> tuple[RoutingRule, dict[str, Tensor]]:
        """The residuals side by side: tuning leaves the mean of each over its own regions at zero, so that the charts
        alone say which of the two a sample belongs to. The logarithm of T is the mean."""
        width = other.hidden if isinstance(other, TunedResidual) else 0
        super().joined(weights, other.model_copy(update={"hidden": self.hidden}) if width else other, others, share)
        log_temperature = share * weights["log_temperature"] + (1 - share) * others["log_temperature"]
        rule = self.model_copy(update={"hidden": self.hidden + width})
        return rule, side_by_side(weights, others) | {"log_temperature": log_temperature}

    def logits(
        self,
        weights: Parameters,
        latent: Float[Tensor, "clients samples latent"],
        scores: Float[Tensor, "clients samples regions"],
    ) -> Float[Tensor, "clients samples regions"]:
        temperature = weights["log_temperature"].exp().view(-1, 1, 1)
        return temperature * scores + self.network.apply(weights, latent)
