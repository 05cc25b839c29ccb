"""Which clients share a region, decided from their charts alone. One rule a class.

An assignment is the region number of each client; from it and the clients' charts follow the regions' charts.
"""

from abc import abstractmethod
from collections.abc import Sequence
from math import inf

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from federation.manifold.chart import Chart
from federation.manifold.gaussians import Gaussians, expected_log_density, gaussian_price
from federation.rules import Rule

Assignment = tuple[int, ...]


class RegionRule(Rule):
    """Contract: the region of each client, from the clients' charts."""

    @abstractmethod
    def assign(self, charts: Sequence[Chart]) -> Assignment:
        """Region number of each client, counted from zero in the order of the first member."""


class PrivateRegions(RegionRule):
    """One region a client."""

    def assign(self, charts: Sequence[Chart]) -> Assignment:
        return tuple(range(len(charts)))


class SharedRegions(RegionRule):
    """Regions shared by clients whose samples follow the same Gaussian.

    Starts from one region a client and merges the pair that costs the least likelihood, until `count` are left, or,
    without `count`, while the Bayesian information criterion falls. A client that sent no chart joins the first region.
    """

    count: int | None = Field(default=None, ge=1)

    def assign(self, charts: Sequence[Chart]) -> Assignment:
        homes = {client: number for number, group in enumerate(grouped(charts, self.count)) for client in group}
        return tuple(homes.get(client, 0) for client in range(len(charts)))


def grouped(charts: Sequence[Chart], count: int | None = None) -> list[list[int]]:
    """Which charts belong together; charts without components belong nowhere.

    Args:
        count: groups that are left; without it, as many as the Bayesian information criterion wants.
    """
    charted = [number for number, chart in enumerate(charts) if chart.components]
    if not charted:
        return []
    groups = Gaussians.of([charts[number].whole for number in charted])
    price = gaussian_price(groups.mean.shape[1], float(groups.count.sum()))
    merged = agglomerated(groups, count or 1, price if count is None else inf)
    return [[charted[row] for row in members] for members in merged]


def agglomerated(groups: Gaussians, count: int, price: float) -> list[list[int]]:
    """Merge the pair that costs the least likelihood, as long as that is no more than `price` and more than `count` are
    left; gives the members of each group.

    A determinant for each pair, and for each pair with a group that was merged, unless it is known to cost too much:
    the cost of (a and b, c) is at least that of (a, c) less that of (a, b), since misfits are superadditive. 1,000
    groups take about 8 s of one processor in 16 dimensions, about 100 s in 64.
    """
    now = Gaussians(groups.count.clone(), groups.mean.clone(), groups.covariance.clone())
    misfit, members = groups.misfit(), {row: [row] for row in range(len(groups.count))}
    costs = torch.full((len(misfit), len(misfit)), inf, dtype=torch.float64)

    def compare(row: int, others: slice | Tensor) -> None:
        joined = now.take([row]).joined(now.take(others))
        costs[row, others] = costs[others, row] = joined.misfit() - misfit[row] - misfit[others]

    for row in members:
        compare(row, slice(row))
    while len(members) > count:
        one, other = divmod(int(costs.numpy().argmin()), len(costs))
        cost = float(costs[one, other])
        if cost > price:
            break
        members[one] += members.pop(other)
        joined = now.take([one]).joined(now.take([other]))
        now.count[one], now.mean[one], now.covariance[one] = joined.count, joined.mean, joined.covariance
        misfit[one] = joined.misfit()
        least = torch.maximum(costs[one], costs[other]) - cost
        costs[one], costs[:, one], costs[other], costs[:, other] = least, least, inf, inf
        compare(one, torch.nonzero(least < price).flatten())
    return list(members.values())


def region_charts(charts: Sequence[Chart], regions: Assignment, count: int) -> list[Chart]:
    """The chart of each region: the sum of its clients' charts, in the order of the clients.

    Args:
        count: number of regions; those without a client have an empty chart.
    """
    merged = [Chart() for _ in range(count)]
    for chart, region in zip(charts, regions, strict=True):
        merged[region] = merged[region] + chart
    return merged


def memberships(
    charts: Sequence[Chart], regions: Sequence[Chart], evidence: float = 1.0
) -> Float[Tensor, "clients regions"]:
    """P(region k | client i), from moments alone: how surely a client's samples belong to each region.

    softmax_k(log(n_k / n) + evidence E_i log q_k), with E_i the mean over the client's samples, q_k the Gaussian of
    region k's samples with RIDGE added, and n_k their number. With `evidence` one it is the responsibility for a
    typical sample; with n_i, for all of the client's samples as independent ones: hard for nearly everybody. A client
    without a chart belongs to each region by its size, and nobody to a region without a chart.
    """
    known = [number for number, chart in enumerate(regions) if chart.components]
    asked = [number for number, chart in enumerate(charts) if chart.components]
    under = Gaussians.of([regions[number].whole for number in known])
    prior = (under.count / under.count.sum()).log()
    logits = prior.repeat(len(charts), 1)
    if asked:
        of = Gaussians.of([charts[number].whole for number in asked])
        logits[asked] += evidence * expected_log_density(of, under.ridged())
    rows = torch.zeros(len(charts), len(regions), dtype=torch.float64)
    rows[:, known] = logits.softmax(1)
    return rows
