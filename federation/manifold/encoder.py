"""The shared encoder z = g(x): charted space, in which all regions are described."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.manifold.features import FeatureMap, Flat
from federation.rules import Rule
from federation.tensors import Parameters, count

LEAST_VARIANCE = 1e-12
"""Below this a direction counts as constant."""


class EncoderRule(Rule):
    """Contract: an encoder fitted from one sum over clients."""

    @abstractmethod
    def moments(self, inputs: Float[Tensor, "samples *shape"]) -> dict[str, Tensor]:
        """What one client adds up over its samples."""

    @abstractmethod
    def fit(self, sums: Parameters) -> dict[str, Tensor]:
        """The encoder's weights from the sums of all clients."""

    @abstractmethod
    def apply(self, weights: Parameters, inputs: Float[Tensor, "samples *shape"]) -> Float[Tensor, "samples latent"]:
        """Encoded samples."""


class PrincipalComponents(EncoderRule):
    """The leading principal components of simple features, each scaled to variance one.

    Exact: the sums of x and of x x^T over all clients give the covariance of the union.
    """

    dimensions: int = Field(default=16, ge=1)
    features: FeatureMap = Flat()

    def moments(self, inputs: Float[Tensor, "samples *shape"]) -> dict[str, Tensor]:
        rows = self.features.apply(inputs).double()
        return {
            "count": torch.tensor(float(len(rows)), dtype=torch.float64),
            "sum": rows.sum(0),
            "second": rows.T @ rows,
        }

    def fit(self, sums: Parameters) -> dict[str, Tensor]:
        mean = sums["sum"] / sums["count"]
        covariance = sums["second"] / sums["count"] - torch.outer(mean, mean)
        values, vectors = torch.linalg.eigh(covariance)
        kept = max(1, min(self.dimensions, int((values > 1e-9 * values[-1].clamp_min(LEAST_VARIANCE)).sum())))
        values, vectors = values[-kept:].flip(0), vectors[:, -kept:].flip(1)
        signs = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
        return {"mean": mean.float(), "projection": (vectors * signs / values.clamp_min(LEAST_VARIANCE).sqrt()).float()}

    def apply(self, weights: Parameters, inputs: Float[Tensor, "samples *shape"]) -> Float[Tensor, "samples latent"]:
        return (self.features.apply(inputs) - weights["mean"]) @ weights["projection"]


@dataclass(frozen=True)
class Encoder:
    """A fitted encoder."""

    rule: EncoderRule
    weights: Parameters

    def __call__(self, inputs: Float[Tensor, "samples *shape"]) -> Float[Tensor, "samples latent"]:
        return self.rule.apply(self.weights, inputs)

    @property
    def parameters(self) -> int:
        """Number of weights, each of which costs about one multiply-add a query."""
        return count(self.weights)
