"""The chart of a region: how many samples of each local component lie where, as sums that commute."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from federation.manifold.clusters import clustered
from federation.rules import Frozen
from federation.tensors import Parameters


@dataclass(frozen=True)
class Moments:
    """Sums over the samples of one component: count, sum of z, sum of z z^T."""

    count: float
    sum: Float[Tensor, " latent"]
    second: Float[Tensor, "latent latent"]

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.sum + other.sum, self.second + other.second)

    @property
    def mean(self) -> Float[Tensor, " latent"]:
        """Mean of the samples."""
        return self.sum / self.count

    @property
    def scatter(self) -> Float[Tensor, "latent latent"]:
        """Sum of (z - mean)(z - mean)^T."""
        return self.second - torch.outer(self.sum, self.sum) / self.count


@dataclass(frozen=True)
class Chart:
    """The components of one region, by label (or cluster)."""

    components: Mapping[int, Moments] = field(default_factory=dict)

    def __add__(self, other: "Chart") -> "Chart":
        labels = sorted({*self.components, *other.components})
        mine, theirs = self.components, other.components
        return Chart(
            {c: mine[c] + theirs[c] if c in mine and c in theirs else mine.get(c) or theirs[c] for c in labels}
        )

    @property
    def whole(self) -> Moments:
        """All components together."""
        first, *rest = self.components.values()
        for moments in rest:
            first = first + moments
        return first

    @property
    def count(self) -> float:
        """Samples of all components."""
        return sum(moments.count for moments in self.components.values())

    @property
    def parts(self) -> tuple["Chart", ...]:
        """Each component as the chart of a region of its own; itself where it has none."""
        return tuple(Chart({0: moments}) for moments in self.components.values()) or (self,)

    @staticmethod
    def from_sums(sums: Parameters) -> "Chart":
        """Read the chart that `ChartRule.sums` wrote, of one client or of several added up."""
        labels = sorted(int(name.split("/")[1]) for name in sums if name.startswith("count/"))
        return Chart(
            {
                label: Moments(
                    float(sums[f"count/{label}"]), sums[f"sum/{label}"].double(), sums[f"second/{label}"].double()
                )
                for label in labels
            }
        )


class ChartRule(Frozen):
    """How a client describes its region, and how the server makes densities of it.

    Covariances are shrunk towards the pooled one as if it had `shrinkage` samples, then kept as `rank` leading
    directions plus a diagonal, or, spherical, as one variance. Components with fewer than `min_count` samples are never
    sent.
    """

    by_label: bool = True
    clusters: int = Field(
        default=1, ge=1, description="that a client may find in its samples, each in a region; no labels"
    )
    min_count: int = Field(default=5, ge=2)
    shrinkage: float = Field(default=100.0, gt=0)
    covariance: Literal["low_rank", "spherical"] = "low_rank"
    rank: int = Field(default=8, ge=1)
    whole_regions: bool = Field(default=False, description="queries are routed by one Gaussian a region, of all labels")

    def sums(
        self, latent: Float[Tensor, "samples latent"], labels: Int[Tensor, " samples"] | None, seed: int = 0
    ) -> dict[str, Tensor]:
        """One client's chart as named sums. A client with too few samples of everything sends nothing.

        Args:
            seed: of the search for clusters.
        """
        found = labels if self.by_label else None
        of = clustered(latent, self.clusters, self.min_count, seed) if found is None else found
        sums = {}
        for label in sorted(set(of.tolist())):
            rows = latent[of == label].double()
            if len(rows) >= self.min_count:
                sums[f"count/{label}"] = torch.tensor(float(len(rows)), dtype=torch.float64)
                sums[f"sum/{label}"] = rows.sum(0).float()
                sums[f"second/{label}"] = (rows.T @ rows).float()
        return sums
