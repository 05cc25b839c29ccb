"""What the charts say of queries: scores of regions and of labels, and novelty."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

FARTHEST = -1e3
"""Lower bound of relative scores: no region is so far that a tuned router could not reach it."""

NEVER = -1e30
"""The score of a region or label without components: finite, so that its gradient is zero and not NaN."""


@dataclass(frozen=True)
class Survey:
    """What the charts say of some queries: all of them, or, where a router keeps shortlists, those near each query.

    Attributes:
        densities: log n_c + log N(z; mu_c, Sigma_c) of the components that were asked.
        label: of these components; one row stands for all queries.
        mass: log of all samples behind the charts.
        scores: of the regions that were reached; NEVER for one without components.
        regions: which regions these are, in ascending order where they differ; None: all, in order.
    """

    densities: Float[Tensor, "samples asked"]
    label: Int[Tensor, "rows asked"]
    mass: float
    scores: Float[Tensor, "samples reached"]
    regions: Int[Tensor, "samples reached"] | None = None

    def relative_scores(self) -> Float[Tensor, "samples reached"]:
        """Scores less the best of each row: what routers see, in float32."""
        return (self.scores - self.scores.amax(1, keepdim=True)).clamp_min(FARTHEST).float()

    def spread(self, regions: int) -> Float[Tensor, "samples regions"]:
        """Relative scores of all regions, reached or not."""
        scores = self.relative_scores()
        if self.regions is None:
            return scores
        return torch.full((len(scores), regions), FARTHEST).scatter_reduce(1, self.regions, scores, "amax")

    def label_scores(self, labels: int) -> Float[Tensor, "samples labels"]:
        """log sum over the components of each label, over all regions: the chart posterior, unnormalised."""
        return grouped(self.densities, self.label, labels)

    def novelty(self) -> Float[Tensor, " samples"]:
        """-log of the whole density of the components that were asked."""
        return self.mass - self.densities.logsumexp(1)


def grouped(
    densities: Float[Tensor, "samples asked"], group: Int[Tensor, "rows asked"], groups: int
) -> Float[Tensor, "samples groups"]:
    """logsumexp over the members of each group; NEVER for a group without any.

    Args:
        group: of each density; one row stands for all samples.
    """
    place, shape = group.expand(len(densities), -1), (len(densities), groups)
    best = torch.full(shape, NEVER, dtype=densities.dtype).scatter_reduce(1, place, densities, "amax")
    shares = (densities - best.gather(1, place)).exp()
    return best + torch.zeros(shape, dtype=densities.dtype).scatter_add(1, place, shares).clamp_min(1).log()
