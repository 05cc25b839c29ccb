"""Boundary coupling: experts agree where their regions meet, and exchange no gradients.

theta_i* = argmin loss + lambda b_i(x) KL(p_i(.|x) || q_-i(.|x)), with q_-i(.|x) = sum_{j != i} alpha_ij(x) p_j(.|x)
over the few regions that overlap region i most. Source: Ma and Shi (2025), "Deep Manifold Part 2", eqs. 163-164; the
boundary weights b_i are ours.
"""

import torch
from jaxtyping import Float
from torch import Tensor

LEAST_OVERLAP = 1e-3
"""Regions that share less of their samples are no neighbours."""


def boundary(gate: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """b = 4 g (1 - g): 1 where a region's gate is one half, 0 where the region has a sample alone or not at all."""
    return 4 * gate * (1 - gate)


def neighbours(overlaps: Float[Tensor, "regions regions"], most: int) -> tuple[tuple[int, ...], ...]:
    """The regions that overlap each region most, the nearest first: at most `most`, and perhaps none.

    Args:
        overlaps: alpha_ij, the share of region i's samples that are region j's, as `Atlas.overlaps` gives them.
    """
    others = overlaps - torch.diag(overlaps.diagonal())
    shares, order = others.sort(dim=1, descending=True, stable=True)
    counts = (shares >= LEAST_OVERLAP).sum(1).clamp_max(most).tolist()
    return tuple(tuple(row[:count]) for row, count in zip(order.tolist(), counts, strict=True))


def mixture(
    beliefs: Float[Tensor, "neighbours samples beliefs"], scores: Float[Tensor, "samples neighbours"]
) -> Float[Tensor, "samples beliefs"]:
    """q_-i: the neighbours' beliefs, each in proportion to its gate, softmax of `scores` among the neighbours alone."""
    return torch.einsum("nsb,sn->sb", beliefs, scores.softmax(-1))
