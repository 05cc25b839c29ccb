"""Many Gaussians at once: what charts become when they are compared as wholes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, pi

import torch
from jaxtyping import Float
from torch import Tensor

from federation.manifold.chart import Moments

RIDGE = 1e-2
"""Added to each variance, in units of the encoder's unit variance, so that small groups keep a determinant."""


@dataclass(frozen=True)
class Gaussians:
    """Groups of samples by their number, mean and covariance, in float64."""

    count: Float[Tensor, " groups"]
    mean: Float[Tensor, "groups latent"]
    covariance: Float[Tensor, "groups latent latent"]

    @staticmethod
    def of(groups: Sequence[Moments]) -> "Gaussians":
        """The maximum-likelihood Gaussian of each group; at least one group."""
        return Gaussians(
            torch.tensor([m.count for m in groups], dtype=torch.float64),
            torch.stack([m.mean for m in groups]),
            torch.stack([m.scatter / m.count for m in groups]),
        )

    def take(self, rows: list[int] | slice | Tensor) -> "Gaussians":
        """The groups that `rows` names, in its order."""
        return Gaussians(self.count[rows], self.mean[rows], self.covariance[rows])

    def ridged(self) -> "Gaussians":
        """The same with RIDGE added to each variance."""
        ridge = RIDGE * torch.eye(self.mean.shape[1], dtype=torch.float64)
        return Gaussians(self.count, self.mean, self.covariance + ridge)

    @property
    def volume(self) -> Float[Tensor, " groups"]:
        """log det of the covariances."""
        logs: Tensor = torch.linalg.slogdet(self.covariance)[1]
        return logs

    def joined(self, other: "Gaussians") -> "Gaussians":
        """Each group with its partner as one group; a single group is joined with every partner."""
        count = self.count + other.count
        share, gap = (other.count / count)[:, None], other.mean - self.mean
        within = torch.lerp(self.covariance, other.covariance, share[..., None])
        between = (share * (1 - share) * gap)[:, :, None] * gap[:, None, :]
        return Gaussians(count, self.mean + share * gap, within + between)

    def misfit(self) -> Float[Tensor, " groups"]:
        """n/2 log det(covariance + RIDGE): minus the log-likelihood of each group under its own Gaussian, in nats, but
        for terms that do not depend on how samples are grouped."""
        return 0.5 * self.count * self.ridged().volume


def merge_cost(one: Gaussians, other: Gaussians) -> Float[Tensor, " pairs"]:
    """Log-likelihood in nats that is lost when two groups share one Gaussian: never negative but for rounding.

    Rotations, reflections and shifts of the encoder change no cost; other affine changes change it little, as long as
    all variances stay far above RIDGE.
    """
    return one.joined(other).misfit() - one.misfit() - other.misfit()


def gaussian_price(latent: int, samples: float) -> float:
    """What the Bayesian information criterion asks for one Gaussian more: half its parameters, weight included, times
    log n. Source: Schwarz (1978)."""
    return (latent + latent * (latent + 1) / 2 + 1) / 2 * log(samples)


def expected_log_density(of: Gaussians, under: Gaussians) -> Float[Tensor, "of under"]:
    """E log q_k(z) over the samples of group i, from their moments alone, in nats a sample.

    -1/2 (d log 2 pi + log det S_k + tr(S_k^-1 C_i) + (m_i - mu_k)^T S_k^-1 (m_i - mu_k)), with m_i and C_i the mean and
    covariance of group i, and q_k = N(mu_k, S_k). Exact, whatever the distribution of the samples.
    """
    precision: Tensor = torch.linalg.inv(under.covariance)
    second = of.covariance + of.mean[:, :, None] * of.mean[:, None, :]
    pull = torch.einsum("kab,kb->ka", precision, under.mean)
    distance = second.flatten(1) @ precision.flatten(1).T - 2 * of.mean @ pull.T + (under.mean * pull).sum(1)
    return -0.5 * (of.mean.shape[1] * log(2 * pi) + under.volume + distance)


def kl_divergence(one: Gaussians, other: Gaussians) -> Float[Tensor, "one other"]:
    """KL(p_i || q_k) in nats, of every pair of two lists of Gaussians."""
    entropy = 0.5 * (one.mean.shape[1] * (log(2 * pi) + 1) + one.volume)
    return -entropy[:, None] - expected_log_density(one, other)


def symmetric_kl(groups: Gaussians) -> Float[Tensor, "groups groups"]:
    """KL(p_i || p_j) + KL(p_j || p_i) in nats, of every pair. Source: Jeffreys (1946)."""
    forward = kl_divergence(groups, groups)
    return forward + forward.T
