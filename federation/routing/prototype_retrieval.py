"""The chart posterior among thousands of regions: only the few that may matter are asked."""

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.manifold import Atlas, Shortlists, Survey
from federation.routing.chart_posterior import ChartPosterior


class PrototypeRetrieval(ChartPosterior):
    """The chart posterior over the `candidates` components on the shortlist of the one with the nearest mean.

    The gates are those of all regions wherever the top ones are on the list; `benchmarks/README.md` says how often.
    """

    candidates: int = Field(default=96, ge=1)

    def survey(self, atlas: Atlas, latent: Float[Tensor, "samples latent"]) -> Survey:
        if len(atlas.mean) <= self.candidates:
            return atlas.survey(latent)
        return Shortlists.of(atlas, self.candidates).survey(latent)
