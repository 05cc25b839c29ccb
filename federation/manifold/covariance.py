"""Covariances of components: pooled over all of them, and in the few numbers that an atlas keeps."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from federation.manifold.chart import Moments

FLOOR = 1e-3
"""Least variance of a component in any direction, in units of the encoder's unit variance."""

OUTLYING = 100.0
"""Times the usual variance from which on a component has no say in the pooled covariance."""


def pooled_covariance(components: Sequence[Moments]) -> Float[Tensor, "latent latent"]:
    """The covariance within components, all samples counting alike.

    Every component is shrunk towards it, so none may make it: those whose variance is more than `OUTLYING` times that
    of the median sample's component, and of the encoder's own, which is one a dimension, are left out. Without such it
    is the plain mean.
    """
    counts = torch.tensor([m.count for m in components], dtype=torch.float64)
    scatters = torch.stack([m.scatter for m in components])
    variances = scatters.diagonal(dim1=1, dim2=2).sum(1) / counts
    order = variances.argsort()
    middle = order[int((counts[order].cumsum(0) < counts.sum() / 2).sum())]
    within = variances <= OUTLYING * variances[middle].clamp_min(scatters.shape[-1])
    return scatters[within].sum(0) / counts[within].sum()


def low_rank(
    covariance: Float[Tensor, "components latent latent"], rank: int
) -> tuple[Float[Tensor, "components latent"], Float[Tensor, "components latent rank"]]:
    """The leading directions as a factor, the rest as a diagonal; the variances stay exact."""
    values, vectors = torch.linalg.eigh(covariance)
    first = max(0, covariance.shape[-1] - rank)
    factor = vectors[..., first:] * (values[..., first:] - FLOOR).clamp_min(0).sqrt().unsqueeze(-2)
    rest = covariance.diagonal(dim1=1, dim2=2) - factor.square().sum(-1)
    return rest.clamp_min(FLOOR), factor


def spherical(
    covariance: Float[Tensor, "components latent latent"],
) -> tuple[Float[Tensor, "components latent"], Float[Tensor, "components latent 0"]]:
    """sigma^2 I with sigma^2 = tr(Sigma) / latent, the likeliest sphere, and a factor without directions.

    Source: model VII of Banfield and Raftery (1993).
    """
    variances = covariance.diagonal(dim1=1, dim2=2)
    return variances.mean(1, keepdim=True).clamp_min(FLOOR).expand_as(variances).clone(), covariance[..., :0].clone()
