"""Which way charts face: the angles between the leading directions of two regions."""

import torch
from jaxtyping import Float
from scipy.linalg import subspace_angles
from torch import Tensor

from federation.manifold.chart import Moments


def leading_directions(region: Moments, directions: int) -> Float[Tensor, "latent directions"]:
    """The directions of most variance, orthonormal."""
    leading: Tensor = torch.linalg.eigh(region.scatter).eigenvectors[:, -directions:]
    return leading


def spread(region: Moments) -> int:
    """How many directions a region varies in, at least one: (sum of variances)^2 / sum of their squares, rounded."""
    return max(1, round(float(region.scatter.trace() ** 2 / region.scatter.square().sum().clamp_min(1e-300))))


def principal_angles(one: Moments, other: Moments, directions: int) -> Float[Tensor, " directions"]:
    """Angles in radians between the spaces of both regions' leading directions, the largest first: 0 where they have a
    direction in common, pi/2 where one's is orthogonal to all of the other's. Source: Bjoerck and Golub (1973)."""
    spaces = (leading_directions(region, directions).numpy() for region in (one, other))
    return torch.from_numpy(subspace_angles(*spaces))
