"""A partition of unity: smooth windows over overlapping charts, few of which are open at any place."""

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from federation.manifold import Atlas
from federation.randomness import torch_generator
from federation.routing.chart_posterior import ChartPosterior

DRAWS = 64
"""Samples of each region by which open windows are counted."""


class Windows(ChartPosterior):
    """g = entmax(T s_i(z)): weights that add up to one, change smoothly, and are zero where a region is far behind.

    So what the experts say together is continuous, with its slope, wherever `top` is not less than the number of
    regions that meet, and one expert alone answers in the middle of its region. Source: Peters, Niculae and Martins
    (2019), Sparse sequence-to-sequence models: entmax with alpha = 1.5, by sorting.
    """

    temperature: float = Field(default=1.0, gt=0, description="the larger, the narrower the seams")
    top: int = Field(default=8, ge=1)

    def asked(self, atlas: Atlas) -> float:
        """Of samples that are drawn from the charts, each region's alike: those whose windows are open there."""
        noise, charted = torch_generator(0, "windows"), torch.unique(atlas.region).tolist()
        drawn = torch.cat([atlas.drawn(region, DRAWS, noise) for region in charted])
        weights, _ = self.shares(self.temperature * atlas.relative_scores(drawn))
        return float((weights > 0).sum(1).double().mean())

    def shares(
        self, logits: Float[Tensor, "*rows regions"]
    ) -> tuple[Float[Tensor, "*rows asked"], Int[Tensor, "*rows asked"]]:
        largest = logits.sort(dim=-1, descending=True, stable=True)
        return entmax(largest.values[..., : self.top]), largest.indices[..., : self.top]


def entmax(sorted_logits: Float[Tensor, "*rows asked"]) -> Float[Tensor, "*rows asked"]:
    """Weights (z / 2 - tau)^2 where that root is positive, tau such that they add up to one; logits descend."""
    half = ((sorted_logits - sorted_logits[..., :1]) / 2).clamp_min(-2)  # below -1 a weight is zero, whatever it is
    size = torch.arange(1, half.shape[-1] + 1, dtype=half.dtype)
    mean, square = half.cumsum(-1) / size, half.square().cumsum(-1) / size
    threshold = mean - ((1 - size * (square - mean.square())) / size).clamp_min(0).sqrt()
    support = (threshold <= half).sum(-1, keepdim=True)
    return (half - threshold.gather(-1, support - 1)).clamp_min(0).square()
