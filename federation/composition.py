"""Which parts of the world model answer together, and which samples are novel: decided on held-out samples' sums."""

from collections.abc import Mapping, Sequence
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from federation.task import DOUBT, Task
from federation.tensors import Parameters

PARTS = ("charts", "mixture", "head", "prior")
"""What may answer: the chart posterior of the labels, the routed experts, the head without experts, the generalist."""

BINS = 2048
"""Bins of the novelty histogram; equal steps of asinh(novelty), so that far tails still fit."""
REACH = 16.0


def pooled(answers: Mapping[str, Tensor], weights: Mapping[str, float], task: Task) -> Float[Tensor, "samples outputs"]:
    """One answer from several parts.

    Classes: p(y|x) proportional to the product over parts of p_part(y|x)^weight. Values: the parts' weighted mean.
    """
    used = {part: weight for part, weight in weights.items() if weight > 0}
    if task.classifies:
        logs = [w * ((1 - DOUBT) * answers[p] + DOUBT / task.outputs).log() for p, w in used.items()]
        return torch.stack(logs).sum(0).softmax(-1)
    return torch.stack([w * answers[p] for p, w in used.items()]).sum(0) / sum(used.values())


def candidates(parts: Sequence[str], weights: Sequence[float], task: Task) -> list[dict[str, float]]:
    """Every combination of the weights, but for the empty one; fewest parts first, then in the order of the grid."""
    grid = [dict(zip(parts, choice, strict=True)) for choice in product(sorted({0.0, *weights}), repeat=len(parts))]
    if not task.classifies:
        grid = [choice for choice in grid if max(choice.values()) == max(weights)]
    return sorted((c for c in grid if any(c.values())), key=_parts_used)


def chosen(options: Sequence[dict[str, float]], sums: Parameters, gain: float) -> dict[str, float]:
    """The option with the least held-out loss, unless one with fewer parts is within `gain` nats a sample and part."""
    loss = sums["loss"] / sums["count"].clamp_min(1)
    best = min(range(len(options)), key=lambda i: float(loss[i]) + gain * _parts_used(options[i]))
    return options[best]


def novelty_histogram(
    novelty: Float[Tensor, " samples"], weights: Float[Tensor, " samples"] | None = None
) -> Float[Tensor, " bins"]:
    """Counts (or sums of weights) of asinh(novelty) in fixed bins: a sum that clients can add up."""
    place = ((novelty.asinh() + REACH) / (2 * REACH) * BINS).long().clamp(0, BINS - 1)
    ones = torch.ones(len(novelty)) if weights is None else weights
    return torch.zeros(BINS, dtype=torch.float64).index_add(0, place, ones.double())


def novelty_quantile(histogram: Float[Tensor, " bins"], quantile: float) -> float:
    """The upper edge of the bin that holds the quantile; infinity where nothing was counted."""
    if float(histogram.sum()) == 0:
        return float("inf")
    return float(torch.tensor((_quantile_bin(histogram, quantile) + 1) / BINS * 2 * REACH - REACH).sinh())


def _quantile_bin(histogram: Float[Tensor, " bins"], quantile: float) -> int:
    share = torch.tensor(quantile * float(histogram.sum()), dtype=histogram.dtype)
    return min(int(torch.searchsorted(histogram.cumsum(0), share)), BINS - 1)


def _parts_used(choice: Mapping[str, float]) -> int:
    return sum(weight > 0 for weight in choice.values())


def novelty_threshold(sums: Parameters, quantile: float) -> float:
    """The novelty above which the generalist answers.

    It is the quantile of the held-out samples if the generalist answers those beyond it better than the composition
    does. Otherwise only what lies far outside all regions is left to the generalist: as far above the most novel
    held-out sample as that one is above the median.
    """
    counts, gain = sums["count"], sums["composition"] - sums["generalist"]
    if float(counts.sum()) == 0:
        return float("inf")
    pays = float(gain[_quantile_bin(counts, quantile) + 1 :].sum()) > 0
    if pays:
        return novelty_quantile(counts, quantile)
    return 2 * novelty_quantile(counts, 1.0) - novelty_quantile(counts, 0.5)
