"""Which clients share a region, decided from their charts alone. One rule a class; growth and splitting come here."""

from abc import abstractmethod
from collections.abc import Sequence
from math import log

import torch
from pydantic import Field

from federation.manifold.chart import Chart, Moments
from federation.rules import Rule

RIDGE = 1e-2
"""Added to each variance, in units of the encoder's unit variance, so that small groups keep a determinant."""


class RegionRule(Rule):
    """Contract: the region of each client, from the clients' charts."""

    @abstractmethod
    def assign(self, charts: Sequence[Chart]) -> tuple[int, ...]:
        """Region number of each client, counted from zero in the order of the first member."""


class PrivateRegions(RegionRule):
    """One region a client."""

    def assign(self, charts: Sequence[Chart]) -> tuple[int, ...]:
        return tuple(range(len(charts)))


class SharedRegions(RegionRule):
    """Regions shared by clients whose samples follow the same Gaussian.

    Starts from one region a client and merges the pair that costs the least likelihood, until `count` are left, or,
    without `count`, while the Bayesian information criterion falls. A client that sent no chart joins the first region.
    """

    count: int | None = Field(default=None, ge=1)

    def assign(self, charts: Sequence[Chart]) -> tuple[int, ...]:
        groups = {number: chart.whole for number, chart in enumerate(charts) if chart.components}
        members = {number: [number] for number in groups}
        samples = sum(m.count for m in groups.values())
        costs = {(a, b): _merge_cost(groups[a], groups[b]) for a in groups for b in groups if a < b}
        while costs:
            a, b = min(costs, key=lambda pair: costs[pair])
            latent = len(groups[a].sum)
            saved = (latent + latent * (latent + 1) / 2 + 1) / 2 * log(samples)
            if len(groups) <= (self.count or 1) or (self.count is None and costs[a, b] > saved):
                break
            groups[a], members[a] = groups[a] + groups.pop(b), members[a] + members.pop(b)
            costs = {pair: cost for pair, cost in costs.items() if b not in pair}
            costs |= {(min(a, c), max(a, c)): _merge_cost(groups[a], groups[c]) for c in groups if c != a}
        homes = {client: number for number, group in enumerate(members.values()) for client in group}
        return tuple(homes.get(client, 0) for client in range(len(charts)))


def _merge_cost(a: Moments, b: Moments) -> float:
    """Log-likelihood lost when two Gaussians become one (never negative but for rounding)."""
    return _spread(a + b) - _spread(a) - _spread(b)


def _spread(group: Moments) -> float:
    covariance = group.scatter / group.count + RIDGE * torch.eye(len(group.sum), dtype=torch.float64)
    return 0.5 * group.count * float(torch.linalg.slogdet(covariance)[1])
