"""What the report says of each region beside its place: who is in it, how it is shaped, and what is next to it."""

from collections.abc import Mapping, Sequence
from math import degrees
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from federation.manifold import Chart
from federation.manifold.angles import principal_angles, spread
from federation.manifold.atlas import mutual
from federation.manifold.chart import Moments
from federation.manifold.growth import alike, halves
from federation.manifold.regions import memberships, region_charts
from server.app import Outcome

COOLED = 0.3
"""What a sample counts as evidence of its region: log densities are overconfident, and routers cool them as much."""
LEAST_OVERLAP = 0.005
"""With less, regions are no neighbours."""


def shapes_of(outcome: Outcome, overlaps: Float[Tensor, "regions regions"]) -> list[dict[str, Any]]:
    """A row for each region; what a region without a chart or without neighbours does not have is None.

    `entropy` is that of P(region | client) in nats, the mean over the clients. `nearest` is the region with the largest
    share of this one's density, `overlap` that share, `angle` the largest principal angle to it in degrees. `two` says
    whether its clients are better described by two Gaussians, `alike` which regions could be one with it.
    """
    homes, charts = outcome.world.design.region_of_client, outcome.charts
    regions = region_charts(charts, homes, outcome.world.design.regions)
    entropy, shared = torch.special.entr(memberships(charts, regions, COOLED)).sum(1), mutual(overlaps)
    rows = []
    for number, chart in enumerate(regions):
        members = [client for client, home in enumerate(homes) if home == number]
        share = {other: float(overlaps[number, other]) for other in _others(number, regions, overlaps, LEAST_OVERLAP)}
        near = max(share, key=lambda other: share[other], default=None)
        close = _others(number, regions, shared, 0.5)
        rows.append(
            {
                "clients": len(members),
                "entropy": float(entropy[members].mean()) if members else None,
                "nearest": near,
                "overlap": None if near is None else share[near],
                "angle": None if near is None else _angle(chart.whole, regions[near].whole),
                "two": halves(charts, homes, number) is not None,
                "alike": [o for o in close if alike(chart.whole, regions[o].whole, float(shared[number, o]))],
            }
        )
    return rows


def _others(region: int, regions: Sequence[Chart], shares: Tensor, least: float) -> list[int]:
    """The regions of which more than `least` is in this one's row; clients' charts must say how both are shaped."""
    found = torch.nonzero(shares[region] > least).flatten().tolist()
    return [o for o in found if o != region and regions[o].components and regions[region].components]


def _angle(one: Moments, other: Moments) -> float:
    """The largest angle in degrees between as many leading directions as the flatter of the two varies in."""
    return degrees(float(principal_angles(one, other, min(spread(one), spread(other)))[0]))


def advice(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which regions should be split or merged, one sentence each."""
    two = [f"region {number}" for number, row in enumerate(rows) if row["two"]]
    pairs = [f"regions {one} and {other}" for one, row in enumerate(rows) for other in row["alike"] if one < other]
    return [
        f"Better described by two Gaussians than by one: {', '.join(two) or 'the clients of no region'}.",
        f"So alike that they could be one: {', '.join(pairs) or 'no two regions'}.",
    ]
