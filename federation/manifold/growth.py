"""When a region should be two, and when two should be one. Pure functions: all other regions stay as they are."""

from collections.abc import Collection, Sequence

from federation.manifold.chart import Chart, Moments
from federation.manifold.gaussians import Gaussians, gaussian_price, merge_cost, symmetric_kl
from federation.manifold.regions import Assignment, grouped

OVERLAP, DIVERGENCE = 0.9, 0.5
"""Regions are alike above the one (a share), and below the other (nats)."""


def halves(charts: Sequence[Chart], regions: Assignment, region: int) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The members of a region in two groups, if two Gaussians fit their samples better than one by the Bayesian
    information criterion; None otherwise.

    The members are clients. To look into one region, give its chart's `parts` as charts, all of them in one region.
    """
    members = [client for client, home in enumerate(regions) if home == region]
    groups = grouped([charts[client] for client in members], count=2)
    if len(groups) < 2:
        return None
    one, other = (tuple(members[row] for row in group) for group in groups)
    first, second = (Gaussians.of([sum((charts[client] for client in half), Chart()).whole]) for half in (one, other))
    samples = sum(chart.whole.count for chart in charts if chart.components)
    better = float(merge_cost(first, second)) > gaussian_price(first.mean.shape[1], samples)
    return (one, other) if better else None


def split(regions: Assignment, leaving: Collection[int]) -> Assignment:
    """The same regions, with some clients in a new one, which gets the next number."""
    return tuple(max(regions) + 1 if client in leaving else home for client, home in enumerate(regions))


def alike(one: Moments, other: Moments, overlap: float) -> bool:
    """Whether two regions should be one: they overlap, and the symmetric Kullback-Leibler divergence of their Gaussians
    is small.

    Args:
        overlap: of the two, as `federation.manifold.atlas.mutual` gives it.
    """
    return overlap > OVERLAP and float(symmetric_kl(Gaussians.of([one, other]).ridged())[0, 1]) < DIVERGENCE


def merge(regions: Assignment, one: int, other: int) -> Assignment:
    """The same regions, with two of them as one under the lower number; numbers above the higher move down by one."""
    low, high = sorted((one, other))
    return tuple(low if home == high else home - (home > high) for home in regions)
