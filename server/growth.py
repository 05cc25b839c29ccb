"""Growth between rounds: the next state, and what has grown. Experts of other regions stay bit by bit.

Source of the operations: Chen et al. (2016), Sattler et al. (2020); of the criteria: `federation.learning.growth`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import torch

from federation.learning.experts import specialised
from federation.learning.fixed_point import Watch
from federation.learning.growth import Growth
from federation.manifold.atlas import mutual
from federation.manifold.coupling import neighbours
from federation.manifold.growth import alike, halves, merge, split
from federation.manifold.regions import region_charts
from federation.models import Size
from federation.randomness import torch_generator
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, count
from server.state import Model, ServerState

Item = TypeVar("Item")

Grown = tuple[ServerState, tuple[str, ...]]
"""A state, and a sentence for each thing that has grown in it."""


def grown(state: ServerState, sums: Mapping[int, Parameters], round_: int, scenario: Scenario, task: Task) -> Grown:
    """Larger experts first, those that lose most before others, then regions that split, then those that merge.

    Args:
        sums: of the round of the experts that has just ended, by region.
        round_: its number, the address of all draws.
    """
    lost = {r: float(own["metric/loss"]) / max(float(own["metric/visited"]), 1.0) for r, own in sums.items()}
    told: tuple[str, ...] = ()
    for region in sorted(lost, key=lambda region: (-lost[region], region)):
        if scenario.growth.due(state.watches[region].residuals[-1], lost[region]):
            state, more = enlarged(state, region, round_, scenario, task)
            told += more
    for region in sorted(sums):
        if _torn(state, region, sums[region], scenario.growth):
            state, more = divided(state, region, scenario)
            told += more
    if scenario.growth.merge:
        state, more = united(state, scenario)
        told += more
    return state, told


def enlarged(state: ServerState, region: int, round_: int, scenario: Scenario, task: Task) -> Grown:
    """One expert at its next size, with the function that it had, if there is one and the budget allows it."""
    before, expert = state.sizes[region], state.expert(region)
    after = scenario.growth.beyond(before)
    if after is None:
        return state, ()
    family, own = specialised(scenario.model, task, expert.outputs, expert.members)
    draw = torch_generator(scenario.seed, "growth", region, round_)
    larger = family.grown(expert.parameters, own, before, after, draw)
    if not scenario.growth.affords(state.parameters + count(larger) - count(expert.parameters)):
        return state, ()
    model = Model(larger, scenario.aggregation.init(larger), state.experts[region].variance)
    watch = Watch(rounds=state.watches[region].rounds)
    grown_state = replace(
        state,
        experts=_with(state.experts, region, model),
        sizes=_with(state.sizes, region, after),
        watches=_with(state.watches, region, watch),
    )
    return grown_state, (f"region {region} grew to {_told(after)}",)


def divided(state: ServerState, region: int, scenario: Scenario) -> Grown:
    """One region as two, if two Gaussians fit it better and the budget allows it; both go on from the same expert."""
    found = halves(state.charts, state.region_of_client, region)
    if found is None or not scenario.growth.affords(state.parameters + count(state.experts[region].parameters)):
        return state, ()
    new = len(state.experts)
    regions = split(state.region_of_client, found[1])
    origin = (*range(new), region)
    return _rearranged(state, regions, origin, {region, new}, scenario), (f"region {region} split, {new} is new",)


def united(state: ServerState, scenario: Scenario) -> Grown:
    """All pairs of regions that are alike as one each, the most overlapping first. The expert of the one with more
    samples goes on."""
    told: tuple[str, ...] = ()
    while (pair := _most_alike(state, scenario.seed)) is not None:
        low, high = pair
        charts = region_charts(state.charts, state.region_of_client, len(state.experts))
        heavier = max(pair, key=lambda region: (charts[region].whole.count, -region))
        regions = merge(state.region_of_client, low, high)
        origin = tuple(heavier if r == low else r for r in range(len(state.experts)) if r != high)
        state = _rearranged(state, regions, origin, {low}, scenario)
        told += (f"regions {low} and {high} became {low}",)
    return state, told


def _torn(state: ServerState, region: int, sums: Parameters, growth: Growth) -> bool:
    """Whether the clients of a region pull apart; one that has just grown has nothing to compare."""
    residuals, visited = state.watches[region].residuals, max(float(sums["metric/visited"]), 1.0)
    return bool(residuals) and growth.torn(residuals[-1], float(sums.get("metric/moved", 0.0)) / visited)


def _most_alike(state: ServerState, seed: int) -> tuple[int, int] | None:
    """The two regions that overlap most among those that should be one."""
    assert state.atlas is not None
    charts = region_charts(state.charts, state.region_of_client, len(state.experts))
    shared = mutual(state.atlas.overlaps(seed))
    charted = [region for region, chart in enumerate(charts) if chart.components]
    pairs = [
        (-float(shared[one, other]), one, other)
        for one in charted
        for other in charted
        if one < other and alike(charts[one].whole, charts[other].whole, float(shared[one, other]))
    ]
    return min(pairs)[1:] if pairs else None


def _rearranged(
    state: ServerState, regions: tuple[int, ...], origin: tuple[int, ...], anew: set[int], scenario: Scenario
) -> ServerState:
    """The state of other regions.

    Args:
        regions: of each client.
        origin: of each region, that whose expert goes on in it.
        anew: regions whose clients have changed: they are charted again, and their experts' way to a fixed point begins
            again. All others stay bit by bit.
    """
    assert state.atlas is not None
    charts = region_charts(state.charts, regions, len(origin))
    kept = {origin[region]: region for region in range(len(origin)) if region not in anew}
    atlas = state.atlas.rearranged(len(origin), kept, {region: charts[region] for region in anew}, scenario.charts)
    coupled = scenario.coupling.rounds
    overlaps = atlas.overlaps(scenario.seed) if coupled else torch.eye(atlas.regions)
    draw = torch_generator(scenario.seed, "small networks", len(origin))
    watches = (Watch() if region in anew else state.watches[old] for region, old in enumerate(origin))
    return replace(
        state,
        region_of_client=regions,
        atlas=atlas,
        watches=tuple(watches),
        neighbours=neighbours(overlaps, scenario.coupling.neighbours),
        experts=tuple(state.experts[old] for old in origin),
        sizes=tuple(state.sizes[old] for old in origin),
        classes=tuple(state.classes[old] for old in origin),
        coordinates=tuple(state.coordinates[old] for old in origin if state.coordinates),
        router=scenario.router.rule.init(atlas.mean.shape[1], atlas.regions, draw),
    )


def _with(items: tuple[Item, ...], place: int, item: Item) -> tuple[Item, ...]:
    return (*items[:place], item, *items[place + 1 :])


def _told(size: Size) -> str:
    depth = "" if size.depth == 1 else f" and {100 * size.depth:.0f} % of its depth"
    return f"{100 * size.width:.0f} % of its width{depth}"
