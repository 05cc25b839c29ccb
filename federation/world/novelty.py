"""What no region knows: from which novelty on, who answers there, and how much of the world is covered.

Novelty is -log of the atlas' density. Its distribution over held-out samples travels as histograms, which add up.
"""

from dataclasses import dataclass, replace
from math import inf

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from federation.data.samples import Samples
from federation.tensors import Parameters
from federation.world.design import NOTHING_NOVEL
from federation.world_model import WorldModel

BINS = 2048
"""Bins of the novelty histogram; equal steps of asinh(novelty), so that far tails still fit."""
REACH = 16.0


def novelty_histogram(
    novelty: Float[Tensor, " samples"], weights: Float[Tensor, " samples"] | None = None
) -> Float[Tensor, " bins"]:
    """Counts (or sums of weights) of asinh(novelty) in fixed bins: a sum that clients can add up."""
    ones = torch.ones(len(novelty)) if weights is None else weights
    return torch.zeros(BINS, dtype=torch.float64).index_add(0, _bins(novelty), ones.double())


def _bins(novelty: Float[Tensor, " samples"]) -> Int[Tensor, " samples"]:
    return ((novelty.asinh() + REACH) / (2 * REACH) * BINS).long().clamp(0, BINS - 1)


def novelty_quantile(histogram: Float[Tensor, " bins"], quantile: float) -> float:
    """The upper edge of the bin that holds the quantile; infinity where nothing was counted."""
    if float(histogram.sum()) == 0:
        return inf
    return float(torch.tensor((_quantile_bin(histogram, quantile) + 1) / BINS * 2 * REACH - REACH).sinh())


def _quantile_bin(histogram: Float[Tensor, " bins"], quantile: float) -> int:
    share = torch.tensor(quantile * float(histogram.sum()), dtype=histogram.dtype)
    return min(int(torch.searchsorted(histogram.cumsum(0), share)), BINS - 1)


def novelty_threshold(sums: Parameters, quantile: float) -> float:
    """The novelty above which the generalist answers.

    It is the quantile of the held-out samples if the generalist answers those beyond it better than the composition
    does. Otherwise only what lies far outside all regions is left to the generalist: as far above the most novel
    held-out sample as that one is above the median. With a quantile of one nothing is novel.
    """
    counts, gain = sums["count"], sums["composition"] - sums["generalist"]
    if float(counts.sum()) == 0 or quantile == 1:
        return inf
    pays = float(gain[_quantile_bin(counts, quantile) + 1 :].sum()) > 0
    if pays:
        return novelty_quantile(counts, quantile)
    return 2 * novelty_quantile(counts, 1.0) - novelty_quantile(counts, 0.5)


def discovered(
    novelty: Float[Tensor, " samples"], known: Float[Tensor, " bins"], rate: float
) -> Bool[Tensor, " samples"]:
    """Which of a client's samples are novel; no more than `rate` of these are expected to be known ones after all.

    A sample's p-value is the share of known samples that are at least as novel; where many are small, more are
    believed. Source: Benjamini and Hochberg (1995); for p-values from held-out samples, Bates et al. (2023).

    Args:
        known: histogram of the novelty of samples held out by those who were charted.
    """
    tails = (known.flip(0).cumsum(0).flip(0) + 1) / (known.sum() + 1)
    shares = tails[_bins(novelty)]
    ranked, ranks = shares.sort().values, torch.arange(1, len(shares) + 1)
    below = ranked[ranked * len(shares) <= rate * ranks]
    return shares <= (below[-1] if len(below) else 0.0)


@dataclass(frozen=True)
class Coverage:
    """How a world model does where its regions know the samples, and beyond; a score is None where nothing is scored.

    Attributes:
        share: of the samples that are covered: not novel, so that the composition answers.
        covered: its score on these.
        rest: the score of the generalist on the others, which it answers.
        rest_composed: what the composition would have scored there.
    """

    share: float
    covered: float | None
    rest: float | None
    rest_composed: float | None


def coverage(world: WorldModel, samples: Samples) -> Coverage:
    """Coverage of samples, and the world model's score on both sides of its threshold."""
    novel = world.novelty(samples.inputs) > world.design.novelty_threshold
    known, rest = samples.take(torch.nonzero(~novel).flatten()), samples.take(torch.nonzero(novel).flatten())
    unguarded = replace(world, design=world.design.model_copy(update={"novelty_threshold": NOTHING_NOVEL}))
    return Coverage(float((~novel).double().mean()), _score(world, known), _score(world, rest), _score(unguarded, rest))


def _score(world: WorldModel, samples: Samples) -> float | None:
    return world.design.task.score(world.predict(samples.inputs), samples.targets) if len(samples) else None
