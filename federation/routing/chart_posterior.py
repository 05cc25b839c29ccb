"""The one-shot router: Bayes' posterior of the charts, cooled."""

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.routing.rule import RoutingRule
from federation.tensors import Parameters


class ChartPosterior(RoutingRule):
    """g = softmax(T s_i(z)). With T = 1 and true densities this is P(i | z); real scores are overconfident: T = 0.3."""

    temperature: float = Field(default=0.3, gt=0)

    def logits(
        self,
        weights: Parameters,
        latent: Float[Tensor, "clients samples latent"],
        scores: Float[Tensor, "clients samples regions"],
    ) -> Float[Tensor, "clients samples regions"]:
        return self.temperature * scores
