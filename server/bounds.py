"""What a client may send: the shape and the range of each sum that a phase asks for."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from federation.tensors import Parameters
from federation.wire.contribution import LARGEST, WEIGHT

METRICS = ("metric/loss", "metric/visited", "metric/multiplies", "metric/divergence", "metric/probed", "metric/moved")
"""One number each, that come beside a model; all but the loss count something."""

MOST_NATS = 21.0
"""Bound of the loss of a sample's class, whose likelihood counts as no less than 1e-9."""

MOST_SAMPLES, MOST = 1e9, 1e24
"""Bounds of the samples of a reply, and of any sum, far beyond any that were ever of use."""

ROUNDING = 1e-4
"""Of moments that travel in float32, as a share of their trace."""


@dataclass(frozen=True)
class Sum:
    """One sum of an answer.

    Attributes:
        shape: of the tensor.
        least, most: of each of its numbers.
        counts: whether its numbers count samples of the client, which has no more of them than its census told.
        votes: whether its numbers are losses of options, of which the one with the least is taken.
    """

    shape: tuple[int, ...]
    least: float = -MOST
    most: float = MOST
    counts: bool = False
    votes: bool = False


Answer = Mapping[str, Sum | tuple[int, ...]]
"""Each sum of an answer by name; a shape alone stands for numbers of any size."""


def counts(*shape: int) -> Sum:
    """Numbers of samples."""
    return Sum(shape, 0.0, MOST_SAMPLES, counts=True)


def no_less_than_zero(*shape: int) -> Sum:
    """Numbers that cannot be negative, such as losses of classes and squared errors."""
    return Sum(shape, 0.0)


def votes(*shape: int) -> Sum:
    """Losses of options."""
    return Sum(shape, 0.0, votes=True)


def declared(asked: Sum | tuple[int, ...]) -> Sum:
    """The sum that an answer asks for."""
    return asked if isinstance(asked, Sum) else Sum(asked)


def check_values(who: str, sums: Parameters, answer: Answer) -> None:
    """Refuse sums that nobody asked for, numbers out of their range, and models out of all bounds.

    Raises:
        ValueError: what is wrong; begins with `who`.
    """
    for name, tensor in sums.items():
        if name not in answer and (name not in METRICS or tensor.dim()):
            raise ValueError(f"{who}: {name} {list(tensor.shape)} was not asked for")
        if not tensor.is_floating_point():
            raise ValueError(f"{who}: {name} is of {tensor.dtype}, expected floating point")
        told = declared(answer.get(name, Sum((), 0.0 if name != METRICS[0] else -MOST)))
        if not tensor.numel():
            continue
        least, most = map(float, tensor.aminmax())
        if not told.least <= least:
            raise ValueError(f"{who}: {name} is {least:g}, expected no less than {told.least:g}")
        if not most <= told.most:
            raise ValueError(f"{who}: {name} is {most:g}, expected no more than {told.most:g}")
        weight = sums.get(f"{WEIGHT}/{name}")
        if weight is not None and max(-least, most) > float(weight) * LARGEST:
            raise ValueError(f"{who}: {name} holds weights beyond {LARGEST:g}")


def at_most(who: str, sums: Parameters, part: str, whole: str, times: float = 1.0) -> None:
    """Refuse numbers that are more than so many times another one.

    Raises:
        ValueError: they are; begins with `who`.
    """
    most, found = times * float(sums[whole].sum()), float(sums[part].max())
    if found > most * (1 + 1e-6) + 1e-6:
        raise ValueError(f"{who}: {part} is {found:g}, expected no more than {most:g} by its {whole}")


def check_moments(
    what: str, count: float, total: Float[Tensor, " latent"], second: Float[Tensor, "latent latent"], least: int
) -> None:
    """Whether some samples have these moments, up to the rounding of float32.

    Raises:
        ValueError: none have; begins with `what`.
    """
    if not least <= count <= MOST_SAMPLES:
        raise ValueError(f"{what} counts {count:g} samples, expected {least} or more")
    size = 1e-300 + float(second.diagonal().abs().sum())
    if not max(size, float(total.abs().max())) <= MOST:
        raise ValueError(f"{what} has moments beyond {MOST:g}")
    if float((second - second.T).abs().max()) > ROUNDING * size:
        raise ValueError(f"{what} has second moments that are not symmetric")
    scatter = second - torch.outer(total, total) / count
    if int(torch.linalg.cholesky_ex(scatter + ROUNDING * size * torch.eye(len(scatter)).double()).info):
        raise ValueError(f"{what} has second moments that no samples have")
