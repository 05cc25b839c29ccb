"""Features that an encoder starts from, cheap and fixed. To add one: a subclass of `FeatureMap` here."""

from abc import abstractmethod
from collections.abc import Callable
from math import cos, pi, sin, sqrt

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.randomness import torch_generator
from federation.rules import Rule, Several

Trunk = Callable[[Tensor], Tensor]
"""The foundation prior's last hidden layer before its nonlinearity: inputs [samples, *shape] -> [samples, units]."""


def no_trunk(inputs: Tensor) -> Tensor:
    """For features that do not ask for the prior."""
    raise ValueError("these features need the trunk of the foundation prior")


class FeatureMap(Rule):
    """Contract: features of raw inputs. The trunk of the prior is the only thing learned that they may use."""

    @property
    def uses_prior(self) -> bool:
        """Whether the trunk is asked."""
        return False

    @abstractmethod
    def apply(
        self, inputs: Float[Tensor, "samples *shape"], trunk: Trunk = no_trunk
    ) -> Float[Tensor, "samples features"]:
        """One row of features a sample."""


class Flat(FeatureMap):
    """The input itself."""

    def apply(
        self, inputs: Float[Tensor, "samples *shape"], trunk: Trunk = no_trunk
    ) -> Float[Tensor, "samples features"]:
        return inputs.flatten(1)


class PooledPixels(FeatureMap):
    """Means over square patches of an image."""

    pool: int = Field(default=2, ge=1)

    def apply(
        self, inputs: Float[Tensor, "samples *shape"], trunk: Trunk = no_trunk
    ) -> Float[Tensor, "samples features"]:
        return F.avg_pool2d(inputs, [min(self.pool, side) for side in inputs.shape[2:]]).flatten(1)


class OrientedGradients(FeatureMap):
    """Means over square patches of an image, and how much it changes there in each of several directions.

    After Dalal and Triggs (2005), without their normalisation of blocks.
    """

    patch: int = Field(default=4, ge=1)
    directions: int = Field(default=8, ge=2)

    def apply(
        self, inputs: Float[Tensor, "samples *shape"], trunk: Trunk = no_trunk
    ) -> Float[Tensor, "samples features"]:
        framed = F.pad(inputs, (1, 1, 1, 1), mode="replicate")
        across = framed[..., 1:-1, 2:] - framed[..., 1:-1, :-2]
        down = framed[..., 2:, 1:-1] - framed[..., :-2, 1:-1]
        angles = [2 * pi * n / self.directions for n in range(self.directions)]
        slopes = torch.cat([(across * cos(a) + down * sin(a)).relu() for a in angles], 1)
        patch = [min(self.patch, side) for side in inputs.shape[2:]]
        means, changes = F.avg_pool2d(inputs, patch), F.avg_pool2d(slopes, patch).sqrt()
        return torch.cat([means, changes], 1).flatten(1)


class SignalStatistics(FeatureMap):
    """Of each channel of a signal [channels, time, 1]: mean, log deviation, and log power of the lowest frequencies."""

    frequencies: int = Field(default=16, ge=1)

    def apply(
        self, inputs: Float[Tensor, "samples *shape"], trunk: Trunk = no_trunk
    ) -> Float[Tensor, "samples features"]:
        signal = inputs.flatten(2)
        mean = signal.mean(-1, keepdim=True)
        deviation = (signal - mean).square().mean(-1, keepdim=True)
        power = torch.fft.rfft(signal - mean).abs().square()[..., 1 : self.frequencies + 1] / signal.shape[-1]
        return torch.cat([mean, (deviation + 1e-4).log() / 2, (power + 1e-4).log() / 2], -1).flatten(1)


class PriorTrunk(FeatureMap):
    """The last hidden layer of the foundation prior, before its nonlinearity, as the prior is when charting begins."""

    @property
    def uses_prior(self) -> bool:
        return True

    def apply(
        self, inputs: Float[Tensor, "samples *shape"], trunk: Trunk = no_trunk
    ) -> Float[Tensor, "samples features"]:
        return trunk(inputs)


class RandomFeatures(FeatureMap):
    """Rectified random projections of the input, the same for all clients. Source: Rahimi and Recht (2007)."""

    count: int = Field(default=256, ge=1)

    def apply(
        self, inputs: Float[Tensor, "samples *shape"], trunk: Trunk = no_trunk
    ) -> Float[Tensor, "samples features"]:
        rows = inputs.flatten(1)
        directions = torch.randn(rows.shape[1], self.count, generator=torch_generator(0, "random features"))
        return (rows @ directions / sqrt(rows.shape[1])).relu()


class Concatenated(FeatureMap):
    """Several kinds of features side by side."""

    parts: Several[FeatureMap] = Field(min_length=1)

    @property
    def uses_prior(self) -> bool:
        return any(part.uses_prior for part in self.parts)

    def apply(
        self, inputs: Float[Tensor, "samples *shape"], trunk: Trunk = no_trunk
    ) -> Float[Tensor, "samples features"]:
        return torch.cat([part.apply(inputs, trunk) for part in self.parts], 1)
