"""Features that an encoder starts from, cheap and fixed. To add one: a subclass of `FeatureMap` here."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import cos, pi, prod, sin, sqrt
from typing import Self

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.randomness import torch_generator
from federation.rules import InputError, Rule, Several

Trunk = Callable[[Tensor], Tensor]
"""The foundation prior's last hidden layer before its nonlinearity: inputs [samples, *shape] -> [samples, units]."""


def no_trunk(inputs: Tensor) -> Tensor:
    """For features that do not ask for the prior."""
    raise InputError("these features need the trunk of the foundation prior, which the encoder alone has")


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

    def width(self, shape: Sequence[int]) -> int:
        """Number of features of an input of this shape."""
        return self.apply(torch.zeros(1, *shape)).shape[1]

    def constants(self, shape: Sequence[int]) -> int:
        """Numbers that the features are made of."""
        return 0

    def multiplies(self, shape: Sequence[int]) -> int:
        """Multiply-adds of one sample, where they are more than a few for each number of the input."""
        return 0

    def sized_to(self, parameters: int, shape: Sequence[int], outputs: int) -> Self:
        """As many features as, with a last layer of so many outputs, have at most so many parameters: at least one.

        Raises:
            InputError: their number is given by the input.
        """
        raise InputError(f"{self.kind()} are as many as their input makes; take gabor_energies or random_features")


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
        gradients = torch.cat([(across * cos(a) + down * sin(a)).relu() for a in angles], 1)
        patch = [min(self.patch, side) for side in inputs.shape[2:]]
        means, changes = F.avg_pool2d(inputs, patch), F.avg_pool2d(gradients, patch).sqrt()
        return torch.cat([means, changes], 1).flatten(1)


class SignalStatistics(FeatureMap):
    """Of each channel of a signal [channels, time, 1]: mean, log deviation, and log power of the lowest frequencies.

    Attributes:
        axes: channels that are the components of one vector. Of more than one the length is a channel, too, which stays
            the same however a sensor is turned.
        correlations: whether the correlation in time of each pair of channels is told, too.
    """

    frequencies: int = Field(default=16, ge=1)
    axes: int = Field(default=1, ge=1)
    correlations: bool = False

    def apply(
        self, inputs: Float[Tensor, "samples *shape"], trunk: Trunk = no_trunk
    ) -> Float[Tensor, "samples features"]:
        signal = self._with_lengths(inputs.flatten(2))
        mean = signal.mean(-1, keepdim=True)
        moving = signal - mean
        variance = moving.square().mean(-1, keepdim=True)
        power = torch.fft.rfft(moving).abs().square()[..., 1 : self.frequencies + 1] / signal.shape[-1]
        read = torch.cat([mean, (variance + 1e-4).log() / 2, (power + 1e-4).log() / 2], -1).flatten(1)
        if not self.correlations:
            return read
        scaled = moving / (variance + 1e-4).sqrt()
        one, other = torch.triu_indices(signal.shape[1], signal.shape[1], 1, device=signal.device)
        return torch.cat([read, (scaled @ scaled.mT)[:, one, other] / signal.shape[-1]], 1)

    def _with_lengths(self, signal: Float[Tensor, "samples channels time"]) -> Float[Tensor, "samples more time"]:
        channels = signal.shape[1]
        if channels % self.axes:
            raise InputError(f"axes: {channels} channels are no vectors of {self.axes} components; take a divisor")
        if self.axes == 1:
            return signal
        return torch.cat([signal, signal.reshape(len(signal), -1, self.axes, signal.shape[2]).norm(dim=2)], 1)

    def multiplies(self, shape: Sequence[int]) -> int:
        channels = shape[0] + (shape[0] // self.axes if self.axes > 1 else 0)
        return channels**2 * prod(shape[1:]) if self.correlations else 0


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

    def sized_to(self, parameters: int, shape: Sequence[int], outputs: int) -> Self:
        return self.model_copy(update={"count": max(1, (parameters - outputs) // outputs)})


class RandomProjections(FeatureMap):
    """The input itself; of one with more than `count` numbers so many random projections, the same for all clients.

    Distances between inputs are kept, nearly. Source: Johnson and Lindenstrauss (1984).
    """

    count: int = Field(default=512, ge=1)

    def apply(
        self, inputs: Float[Tensor, "samples *shape"], trunk: Trunk = no_trunk
    ) -> Float[Tensor, "samples features"]:
        rows = inputs.flatten(1)
        return rows if rows.shape[1] <= self.count else rows @ _directions(rows.shape[1], self.count)


@lru_cache(maxsize=2)
def _directions(width: int, count: int) -> Float[Tensor, "width count"]:
    return torch.randn(width, count, generator=torch_generator(0, "random projections")) / sqrt(count)


class GaborEnergies(FeatureMap):
    """How strongly an image answers random Gabor filters, in each cell of a grid: fixed, and the same for all clients.

    A filter sees patches of mean zero and deviation one, so that light and contrast are left out; what exceeds a
    threshold in either direction is averaged over a cell. Last layers on many such features come close to trained
    convolutions where samples are few. Sources: Daugman (1985) for the filters; Coates, Ng and Lee (2011), An analysis
    of single-layer networks in unsupervised feature learning, for all else.

    Attributes:
        filters: how many; each gives two features a cell.
        side: of a filter, in pixels.
        cells: along each side of the image.
        threshold: of a filter's answer, a filter having norm one.
        contrast: variance of a patch that counts as much as the filters' noise: plainer patches say little.
        mirrored: whether an image and its mirror image read the same: each feature is the mean over the two.
    """

    filters: int = Field(default=64, ge=1)
    side: int = Field(default=8, ge=2)
    cells: int = Field(default=4, ge=1)
    threshold: float = Field(default=0.25, ge=0)
    contrast: float = Field(default=0.005, gt=0)
    mirrored: bool = False

    def apply(
        self, inputs: Float[Tensor, "samples *shape"], trunk: Trunk = no_trunk
    ) -> Float[Tensor, "samples features"]:
        if inputs.dim() != 4:
            raise InputError(f"gabor_energies reads images [channels, height, width], not {list(inputs.shape[1:])}")
        bank = gabors(self.filters, inputs.shape[1], self.side).to(inputs)
        few = max(1, AT_ONCE[inputs.device.type != "cpu"] // (self.filters * prod(inputs.shape[2:])))
        read = torch.cat([self._few(rows, bank) for rows in torch.split(inputs, few)])
        if not self.mirrored:
            return read
        return (read + torch.cat([self._few(rows.flip(-1), bank) for rows in torch.split(inputs, few)])) / 2

    def _few(self, rows: Float[Tensor, "samples channels height width"], bank: Tensor) -> Tensor:
        """Of so many rows as memory holds easily: their maps are far larger than they are."""
        even = torch.full_like(bank[:1], 1 / bank[0].numel())
        mean, square = (F.conv2d(power, even, padding=self.side // 2) for power in (rows, rows.square()))
        deviation = ((square - mean.square()).clamp_min(0) + self.contrast).sqrt()
        answers = F.conv2d(rows, bank, padding=self.side // 2) / deviation
        cells = [F.adaptive_avg_pool2d((a - self.threshold).relu_(), self.cells) for a in (answers, -answers)]
        return torch.cat(cells, 1).flatten(1).sqrt()

    def constants(self, shape: Sequence[int]) -> int:
        return self.filters * shape[0] * self.side**2

    def sized_to(self, parameters: int, shape: Sequence[int], outputs: int) -> Self:
        each = shape[0] * self.side**2 + 2 * self.cells**2 * outputs
        return self.model_copy(update={"filters": max(1, (parameters - outputs) // each)})

    def multiplies(self, shape: Sequence[int]) -> int:
        places = prod(side + 2 * (self.side // 2) - self.side + 1 for side in shape[1:])
        return self.constants(shape) * places * (1 + self.mirrored)


AT_ONCE = 2**19, 2**26
"""Numbers of the maps of images that are convolved together, on a processor and on a GPU. What a processor's caches
cannot hold takes pages anew from the system each time, which costs more than the filters."""


@lru_cache(maxsize=8)
def gabors(filters: int, channels: int, side: int) -> Float[Tensor, "filters channels side side"]:
    """Waves under a bell, of random direction, length, phase, shape and place; mean zero and norm one.

    Of colours, one half of the filters sees all channels alike, the other half how they differ.
    """
    draw = torch_generator(0, "gabor filters")

    def between(low: float, high: float) -> Float[Tensor, "filters 1 1"]:
        return low + (high - low) * torch.rand(filters, 1, 1, generator=draw)

    places = torch.arange(side) - (side - 1) / 2
    down, across = (axis - between(-side / 4, side / 4) for axis in torch.meshgrid(places, places, indexing="ij"))
    angle, phase = between(0, 2 * pi), between(0, 2 * pi)
    length = SHORTEST_WAVE * (max(1.2 * side, SHORTEST_WAVE) / SHORTEST_WAVE) ** between(0, 1)
    deviation, aspect = length * between(0.3, 0.7), between(0.5, 1)
    along, beside = across * angle.cos() + down * angle.sin(), down * angle.cos() - across * angle.sin()
    bell = (-(along.square() + (aspect * beside).square()) / (2 * deviation.square())).exp()
    waves = bell * (2 * pi * along / length + phase).cos()
    waves = F.normalize((waves - waves.mean((1, 2), keepdim=True)).flatten(1), dim=1).view_as(waves)
    colours = torch.ones(filters, channels)
    if channels > 1:
        drawn = torch.randn(filters, channels, generator=draw)
        colours[1::2] = (drawn - drawn.mean(1, keepdim=True))[1::2]
    return waves.unsqueeze(1) * F.normalize(colours, dim=1)[:, :, None, None]


SHORTEST_WAVE = 2.5
"""Of a Gabor filter, in pixels: shorter ones are but noise on a grid."""


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
