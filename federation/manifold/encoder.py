"""The shared encoder z = g(x): charted space, in which all regions are described."""

from abc import abstractmethod
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.manifold.features import FeatureMap, Flat, Trunk, no_trunk
from federation.rules import Rule
from federation.tensors import Parameters, count
from federation.wire.packing import DERIVED

LEAST_VARIANCE = 1e-12
"""Below this a direction counts as constant."""


class EncoderRule(Rule):
    """Contract: an encoder fitted from one sum over clients."""

    @property
    @abstractmethod
    def uses_prior(self) -> bool:
        """Whether it asks the trunk of the foundation prior."""

    @abstractmethod
    def moments(self, inputs: Float[Tensor, "samples *shape"], trunk: Trunk = no_trunk) -> dict[str, Tensor]:
        """What one client adds up over its samples."""

    @abstractmethod
    def fit(self, sums: Parameters) -> dict[str, Tensor]:
        """The encoder's weights from the sums of all clients."""

    @abstractmethod
    def apply(
        self, weights: Parameters, inputs: Float[Tensor, "samples *shape"], trunk: Trunk = no_trunk
    ) -> Float[Tensor, "samples latent"]:
        """Encoded samples."""


class PrincipalComponents(EncoderRule):
    """The leading principal components of simple features, scaled to variance one.

    Exact: the sums of x and of x x^T over all clients give the covariance of the union. Where features of different
    kinds stand side by side they may be `scaled` to variance one first.

    Attributes:
        whitening: 1 scales each component to variance one, 0 all by the same number; between, leading ones stay ahead.
    """

    dimensions: int = Field(default=16, ge=1)
    features: FeatureMap = Flat()
    scaled: bool = False
    whitening: float = Field(default=1.0, ge=0, le=1)

    @property
    def uses_prior(self) -> bool:
        return self.features.uses_prior

    def moments(self, inputs: Float[Tensor, "samples *shape"], trunk: Trunk = no_trunk) -> dict[str, Tensor]:
        rows = self.features.apply(inputs, trunk).double()
        return {
            "count": torch.tensor(float(len(rows)), dtype=torch.float64),
            "sum": rows.sum(0),
            "second": rows.T @ rows,
        }

    def fit(self, sums: Parameters) -> dict[str, Tensor]:
        mean = sums["sum"] / sums["count"]
        covariance = sums["second"] / sums["count"] - torch.outer(mean, mean)
        scale = torch.ones_like(mean)
        if self.scaled:
            variance = covariance.diagonal()
            scale = torch.where(variance > LEAST_VARIANCE, variance.clamp_min(LEAST_VARIANCE).rsqrt(), 0.0)
        covariance = scale[:, None] * covariance * scale
        values, vectors = torch.linalg.eigh(covariance)
        kept = max(1, min(self.dimensions, int((values > 1e-9 * values[-1].clamp_min(LEAST_VARIANCE)).sum())))
        values, vectors = values[-kept:].flip(0), vectors[:, -kept:].flip(1)
        signs = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
        values = values.clamp_min(LEAST_VARIANCE)
        spread = values ** (1 - self.whitening)
        projection = scale[:, None] * vectors * signs * (spread / spread.mean() / values).sqrt()
        return {"mean": mean.float(), "projection": projection.float()}

    def apply(
        self, weights: Parameters, inputs: Float[Tensor, "samples *shape"], trunk: Trunk = no_trunk
    ) -> Float[Tensor, "samples latent"]:
        return (self.features.apply(inputs, trunk) - weights["mean"]) @ weights["projection"]


@dataclass(frozen=True)
class Encoder:
    """A fitted encoder. `trunk` is the foundation prior's, which it may ask."""

    rule: EncoderRule
    weights: Parameters
    trunk: Trunk = field(default=no_trunk, metadata=DERIVED)

    def __call__(self, inputs: Float[Tensor, "samples *shape"]) -> Float[Tensor, "samples latent"]:
        return self.rule.apply(self.weights, inputs, self.trunk)

    @property
    def parameters(self) -> int:
        """Number of its own weights, each of which costs about one multiply-add a query."""
        return count(self.weights)
