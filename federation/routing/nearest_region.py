"""No weighing: the expert of the nearest prototype answers alone."""

from dataclasses import replace

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.manifold import NEVER, Atlas, Survey
from federation.routing.rule import RoutingRule
from federation.tensors import Parameters


class NearestRegion(RoutingRule):
    """One-hot on the region that has the mean nearest to z: the Voronoi cells of all components' means.

    The distance is Euclid's in encoder space, where the union of all samples has variance one in each direction. The
    charts' counts and covariances have no say.
    """

    top: int = Field(default=1, ge=1, le=1)

    def survey(self, atlas: Atlas, latent: Float[Tensor, "samples latent"]) -> Survey:
        closeness = -0.5 * torch.cdist(latent.double(), atlas.mean).square()
        none = torch.full((len(latent), atlas.regions), NEVER, dtype=closeness.dtype)
        best = none.scatter_reduce(1, atlas.region.expand(len(latent), -1), closeness, "amax")
        return replace(super().survey(atlas, latent), scores=best)

    def logits(
        self,
        weights: Parameters,
        latent: Float[Tensor, "clients samples latent"],
        scores: Float[Tensor, "clients samples regions"],
    ) -> Float[Tensor, "clients samples regions"]:
        return scores
